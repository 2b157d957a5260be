"""Metadata filters -> the documents that pass them. Values are compared with their types: 2020 is not "2020", and true is not 1."""

from collections.abc import Mapping, Sequence
from weakref import WeakKeyDictionary

import numpy as np

from app.core.errors import FilterUnknown, InvalidRequest
from app.core.snapshot import Flags, Segment

Scalar = str | bool | int | float
Filters = Mapping[str, Scalar | Sequence[Scalar]]
"""Field -> the value that a document must have, or some of which it must have one; all fields must pass."""

_KINDS = {str: "a string", bool: "true or false", float: "a number"}
_Fields = dict[str, dict[tuple[type, Scalar], list[int]]]

_known: WeakKeyDictionary[Segment, _Fields] = WeakKeyDictionary()
"""Made with the first filter on a segment; segments never change, and most outlive their snapshot."""


def passing(segments: Sequence[Segment], within: Sequence[Flags], filters: Filters) -> list[Flags]:
    """Return, of the flagged documents of each segment, those that pass.

    Raises:
        FilterUnknown: None of the flagged documents has such a field.
        InvalidRequest: None of them has a value of that type in it.
    """
    tables = [_known.get(segment) or _learn(segment) for segment in segments]
    flags = list(within)
    for name, wanted in filters.items():
        values = [_key(value) for value in (wanted if isinstance(wanted, Sequence) and not isinstance(wanted, str) else [wanted])]
        _check(name, values, tables, within)
        for number, table in enumerate(tables):
            found = np.zeros(len(flags[number]), dtype=bool)
            for value in values:
                found[table.get(name, {}).get(value, [])] = True
            flags[number] = flags[number] & found
    return flags


def _check(name: str, values: Sequence[tuple[type, Scalar]], tables: Sequence[_Fields], within: Sequence[Flags]) -> None:
    # Only by what the caller may read: an error must not tell which fields the other documents have.
    kinds = {
        kind
        for table, flags in zip(tables, within, strict=True)
        for (kind, _), lines in table.get(name, {}).items()
        if flags[lines].any()
    }
    if not kinds:
        raise FilterUnknown(f"No document has the field `{name}`. Leave it out, or look at a document's metadata for its fields.")
    for kind, value in values:
        if kind not in kinds:
            holds = " or ".join(sorted(_KINDS[kind] for kind in kinds))
            raise InvalidRequest(
                f"`filters.{name}` is {_KINDS[kind]}, and the field holds {holds}.",
                errors=[{"field": f"filters.{name}", "message": f"{value!r} is {_KINDS[kind]}; the field holds {holds}"}],
            )


def _learn(segment: Segment) -> _Fields:
    fields: _Fields = {}
    for line in range(len(segment.documents)):
        for name, value in segment.document(line).metadata.items():
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, str | bool | int | float):
                    fields.setdefault(name, {}).setdefault(_key(one), []).append(line)
    _known[segment] = fields
    return fields


def _key(value: Scalar) -> tuple[type, Scalar]:
    if isinstance(value, bool | str):
        return type(value), value
    return float, value  # 1 and 1.0 are equal, and hash alike
