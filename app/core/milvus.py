"""Milvus, as both paths use it: what a collection's vectors look like there, and how the server is reached.

Each chunk of a segment is a row, and each whole segment one row more, its mark. Rows are copies: the segments' files are the truth,
and Milvus can be filled again from them at any time.
"""

import importlib.util
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from app.core.config import MilvusSettings
from app.core.errors import IndexUnusable, Misconfigured
from app.core.types import Vectors

SCHEMA = 1
"""Part of the names in Milvus: another version begins anew beside this one."""
MOST_LISTED = 1024
"""Numbers that a row holds of readers, and of fields."""
MOST_FOUND = 16_384
"""Rows that Milvus returns to one search."""
WRITE_S = 120.0
"""Seconds that one call which writes may take."""
LOOK_S = 30.0
"""Seconds that a look at a whole collection may take, before it serves."""
_NO_SEGMENT = "-"
"""The segment of marks, so that no search finds one."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Says that a segment is whole."""

    chunks: int
    acl_epoch: int
    """At least as new are the access lists that its rows were written with."""
    unneeded_since: int = 0
    """Seconds since 1970 when no kept snapshot needed it any more; 0 while one does."""


class Milvus:
    """A server, or a file that milvus-lite serves to this process alone; connected to when it is first used."""

    def __init__(self, settings: MilvusSettings) -> None:
        """Take the settings.

        Raises:
            Misconfigured: The package is not installed, or the file's name is none that it takes.
        """
        assert settings.uri is not None
        self._settings, self._uri = settings, settings.uri
        self._known: Any = None
        if importlib.util.find_spec("pymilvus") is None:
            raise Misconfigured("Milvus needs an extra: `pip install 'citewell[milvus]'`.")
        if "://" not in self._uri and not self._uri.endswith(".db"):
            raise Misconfigured("`milvus.uri` is neither a server, such as http://milvus:19530, nor a file ending in .db.")
        if "://" not in self._uri and importlib.util.find_spec("milvus_lite") is None:
            raise Misconfigured("Milvus in a file needs a package: `pip install milvus-lite`. A server needs none.")

    def vectors(self, collection: str, dim: int) -> "MilvusVectors":
        """Return where the vectors of a collection are; nothing need be there yet."""
        return MilvusVectors(self, f"{self.family(collection)}{dim}", dim)

    def family(self, collection: str) -> str:
        """Return what the names of all that is stored of a collection begin with. Milvus knows no hyphen."""
        named = collection.replace("_", "_u").replace("-", "_h")
        return f"{self._settings.prefix}_{named}_v{SCHEMA}_"

    def names(self) -> list[str]:
        """Return the names of all that is stored."""
        return [str(name) for name in self.call("list_collections", timeout=self._settings.seconds)]

    @property
    def seconds(self) -> float:
        """How long a search may take."""
        return self._settings.seconds

    def call(self, method: str, *args: Any, timeout: float, **kwargs: Any) -> Any:
        """Call a method of the client.

        Raises:
            IndexUnusable: The server can't be reached, took too long, or refused.
        """
        with self._translated():
            return getattr(self._client(), method)(*args, timeout=timeout, **kwargs)

    def _client(self) -> Any:
        if self._known is None:
            from pymilvus import MilvusClient  # a second, and pandas with it

            # What goes wrong is raised, and shown as one line; the library would print its traceback as well.
            logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
            if "://" not in self._uri:
                logging.getLogger("grpc._server").setLevel(logging.CRITICAL)  # milvus-lite, of a call that it lacks
            token = self._settings.token.get_secret_value() if self._settings.token else ""
            self._known = MilvusClient(self._uri, token=token, timeout=self._settings.seconds)
        return self._known

    @contextmanager
    def _translated(self) -> Iterator[None]:
        import grpc
        from pymilvus.exceptions import MilvusException

        try:
            yield
        except (MilvusException, grpc.RpcError) as error:
            raise IndexUnusable(
                "Milvus, which holds the vectors, can't be reached, took too long or refused. See that it runs and what "
                "`milvus.uri` and `milvus.token` say; the log has its words.",
                detail=self._harmless(str(error)),
            ) from None

    def _harmless(self, text: str) -> str:
        """Return what the library said, without the secrets that it was given."""
        secrets = [urlsplit(self._uri).password, self._settings.token.get_secret_value() if self._settings.token else None]
        for secret in filter(None, secrets):
            text = text.replace(secret, "********")
        return text


class MilvusVectors:
    """The rows of one collection's segments."""

    def __init__(self, server: Milvus, name: str, dim: int) -> None:
        self._server, self.name, self._dim = server, name, dim

    def exist(self) -> bool:
        """Whether anything was ever stored."""
        return bool(self._server.call("has_collection", self.name, timeout=self._server.seconds))

    def create(self) -> None:
        """Make room for rows, and have the server load them for searching."""
        from pymilvus import DataType, MilvusClient

        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=48)
        schema.add_field("segment", DataType.VARCHAR, max_length=32)
        schema.add_field("document", DataType.VARCHAR, max_length=32)
        schema.add_field("row", DataType.INT64)
        for name in ("readers", "fields"):
            schema.add_field(name, DataType.ARRAY, element_type=DataType.INT64, max_capacity=MOST_LISTED)
        for name in ("acl_epoch", "unneeded_since"):
            schema.add_field(name, DataType.INT64)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self._dim)
        indexes = MilvusClient.prepare_index_params()
        indexes.add_index("vector", index_type="AUTOINDEX", metric_type="IP")
        for name in ("segment", "document"):
            indexes.add_index(name, index_type="INVERTED")
        # Strong: a search sees every row that was written before it.
        self._server.call(
            "create_collection", self.name, schema=schema, index_params=indexes, consistency_level="Strong", timeout=WRITE_S
        )

    def load(self, *, wait: float) -> None:
        """Have the server load them where it has not, as milvus-lite after each start; wait at most so many seconds for it."""
        state = self._server.call("get_load_state", self.name, timeout=self._server.seconds)["state"]
        if state.name != "Loaded":
            self._server.call("load_collection", self.name, timeout=wait)

    def drop(self) -> None:
        """Remove everything."""
        self._server.call("drop_collection", self.name, timeout=WRITE_S)

    def insert(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Store rows that are not there."""
        self._server.call("insert", self.name, [_filled(row) for row in rows], timeout=WRITE_S)

    def replace(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Store rows in the place of those with their ids."""
        self._server.call("upsert", self.name, [_filled(row) for row in rows], timeout=WRITE_S)

    def remove(self, which: str) -> None:
        """Remove the rows that an expression names."""
        self._server.call("delete", self.name, filter=which, timeout=WRITE_S)

    def count(self, which: str) -> int:
        """Return how many rows an expression names."""
        return int(self._query(which, ["count(*)"], LOOK_S)[0]["count(*)"])

    def mark(self, segment: str, mark: Mark) -> None:
        """Say that a segment is whole, or since when it is not needed."""
        nowhere = [1.0] + [0.0] * (self._dim - 1)
        row = {"id": segment, "segment": _NO_SEGMENT, "row": mark.chunks, "vector": nowhere}
        self.replace([{**row, "acl_epoch": mark.acl_epoch, "unneeded_since": mark.unneeded_since}])

    def marks(self) -> dict[str, Mark]:
        """Return which segments are whole."""
        fields = ["id", "row", "acl_epoch", "unneeded_since"]
        rows = self._query(within("segment", [_NO_SEGMENT]), fields, self._server.seconds)
        return {row["id"]: Mark(row["row"], row["acl_epoch"], row["unneeded_since"]) for row in rows}

    def search(self, vector: Vectors, which: str, limit: int, *, until: float) -> list[tuple[str, int]]:
        """Return segment and row of the nearest that an expression names, best first.

        Args:
            vector: Of shape (dim,).
            which: The expression.
            limit: How many, at most ``MOST_FOUND``.
            until: When it must be done, on the monotonic clock.
        """
        (found,) = self._server.call(
            "search",
            self.name,
            data=[vector.tolist()],
            anns_field="vector",
            filter=which,
            limit=limit,
            output_fields=["segment", "row"],
            search_params={"metric_type": "IP"},
            timeout=max(until - time.monotonic(), 0.001),
        )
        return [(hit["entity"]["segment"], int(hit["entity"]["row"])) for hit in found]

    def _query(self, which: str, fields: list[str], timeout: float) -> list[dict[str, Any]]:
        return list(self._server.call("query", self.name, filter=which, output_fields=fields, timeout=timeout))


def within(field: str, values: Iterable[str]) -> str:
    """Return the expression of rows whose field is one of some names: ids, which hold neither quotes nor backslashes."""
    named = ", ".join(f'"{value}"' for value in values)
    return f"{field} in [{named}]"


def holding(field: str, numbers: Iterable[int]) -> str:
    """Return the expression of rows whose list holds one of some numbers."""
    return f"ARRAY_CONTAINS_ANY({field}, [{', '.join(map(str, numbers))}])"


def _filled(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"document": "", "readers": [], "fields": [], "acl_epoch": 0, "unneeded_since": 0, **row}
