"""Names and values -> 64-bit numbers that a vector database can filter by: short, and they tell nothing to who reads them there.

Two values may share a number. So what is found by numbers is never taken as it is: whoever asks looks at each row again.
"""

import hashlib
import json

OVERFULL = 0
"""Stands for "more than can be listed"; no name or value has it. Every question asks for it too."""


def principal_number(name: str) -> int:
    """Return the number of a principal."""
    return _number(["principal", name])


def field_number(name: str, value: str | bool | int | float) -> int:
    """Return the number of a metadata field's value; equal for what a filter takes as equal: 1 and 1.0, but not true or "1"."""
    if isinstance(value, bool | str):
        return _number(["field", name, type(value).__name__, value])
    whole = isinstance(value, int) or value.is_integer()
    return _number(["field", name, "number", str(int(value)) if whole else repr(value)])


def listed(numbers: set[int], most: int) -> list[int]:
    """Return numbers as a row stores them, sorted; ``OVERFULL`` alone when they are too many."""
    return sorted(numbers) if len(numbers) <= most else [OVERFULL]


def _number(what: list[object]) -> int:
    digest = hashlib.sha256(json.dumps(what).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True) or 1
