"""The public data that some tests read."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Public documents and question sets beside the checkout; a clone without them skips, loudly, and CI fails."""
    folder = Path(__file__).parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        if os.environ.get("CI"):
            pytest.fail("CI must have the shared data beside its clone")
        pytest.skip("there is no shared data beside this checkout")
    return folder
