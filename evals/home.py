"""A home that is thrown away: a run builds its own index, and leaves the user's index and ledger as they are."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.core.config import MilvusSettings, Settings


@contextmanager
def temporary_home(settings: Settings, *, real_ledger: bool = False) -> Iterator[Settings]:
    """Yield the settings with home, indexes and ledger in a temporary folder, which is removed at the end.

    What can be rebuilt, and the user's own prices, are linked.

    Args:
        settings: The settings in force.
        real_ledger: Keep the database: money is spent, and its rows must stay.
    """
    with tempfile.TemporaryDirectory(prefix="citewell-evals-") as name:
        home = Path(name)
        settings.cache_dir.mkdir(parents=True, exist_ok=True)
        (home / "cache").symlink_to(settings.cache_dir)
        if (settings.home / "prices.yaml").exists():
            (home / "prices.yaml").symlink_to(settings.home / "prices.yaml")
        database = settings.database_url if real_ledger else f"sqlite:///{home / 'citewell.db'}"
        here = {"home": home, "indexes_dir": home / "indexes", "database_url": database}
        yield settings.model_copy(update={**here, "milvus": MilvusSettings()})  # its names are the user's collections
