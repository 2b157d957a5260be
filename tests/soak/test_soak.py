"""A short soak: ``make soak`` runs it for minutes."""

import secrets
import sys
from pathlib import Path

import pytest

from tests.soak.run import Soak

COMMANDS = 60
"""A minute or so on a quiet machine."""
MOST_S = 90


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_that_the_server_says_differs_from_the_model(tmp_path: Path, cache_dir: Path):
    seed = secrets.randbelow(10**6)  # a difference names it: python -m tests.soak --seed N

    soak = Soak(tmp_path, cache_dir, seed=seed, out=sys.stderr, workers=1)
    soak.run(seconds=MOST_S, commands=COMMANDS)

    assert soak.tally.commands.total() > 10
    assert soak.tally.requests.total() > 50
