"""A path with wildcards -> the folder it starts from, and which files below that it means."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

_WILD = frozenset("*?[")
_ANY = "**"


@dataclass(frozen=True, slots=True)
class Glob:
    """Wildcards below a folder: ``*``, ``?`` and ``[a-z]`` within a name, ``**`` for any folders or none. Upper case matters."""

    pattern: str

    def wants(self, below: str) -> bool:
        """Whether a file is meant, by its path below the folder."""
        parts = self._parts
        return len(parts) in self._reached(parts, below)

    def enters(self, below: str) -> bool:
        """Whether anything in a folder could be meant; the others need not be listed."""
        parts = self._parts
        return any(position < len(parts) for position in self._reached(parts, below))

    @property
    def _parts(self) -> list[str]:
        return self.pattern.split("/")

    @staticmethod
    def _reached(parts: Sequence[str], below: str) -> set[int]:
        """Return how far into the pattern a path may have come: all possibilities at once, so that no pattern takes for ever."""
        positions = _past_any(parts, {0})
        for name in below.split("/"):
            positions = _past_any(
                parts,
                {
                    position if parts[position] == _ANY else position + 1
                    for position in positions
                    if position < len(parts) and (parts[position] == _ANY or fnmatchcase(name, parts[position]))
                },
            )
        return positions


def split(place: str, *, stands: Callable[[str], bool] = lambda _: False) -> tuple[str, Glob] | None:
    """Part a path or URL at its first wildcard; None where it has none.

    A ``**`` at the end means every file below, as ``**/*`` does.

    Args:
        place: What a person wrote.
        stands: Whether the beginning of it is meant as it stands, wildcards and all.
    """
    parts = place.split("/")
    wild = (number for number, part in enumerate(parts) if _WILD & set(part))
    first = next((number for number in wild if not stands("/".join(parts[: number + 1]))), None)
    if first is None:
        return None
    rest = [part for part in parts[first:] if part]
    if rest[-1] == _ANY:
        rest.append("*")
    root = "/".join(parts[:first]) or ("/" if place.startswith("/") else ".")
    return root, Glob("/".join(rest))


def _past_any(parts: Sequence[str], positions: set[int]) -> set[int]:
    """Add what is reached where ``**`` stands for no folder at all."""
    reached = set(positions)
    for position in sorted(positions):
        while position < len(parts) and parts[position] == _ANY:
            position += 1
            reached.add(position)
    return reached
