"""What a soak did: commands and requests, counted and timed."""

from collections import Counter
from dataclasses import dataclass, field
from statistics import median


@dataclass
class Tally:
    """The counts of one run."""

    commands: Counter[str] = field(default_factory=Counter)
    killed: Counter[str] = field(default_factory=Counter)
    turned_away: Counter[str] = field(default_factory=Counter)
    took: dict[str, list[float]] = field(default_factory=dict)
    """Seconds of each command that was left to end, by name."""
    at_once: int = 0
    states: int = 0
    """How often the collection became another one."""
    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    waited: dict[str, list[float]] = field(default_factory=dict)
    """Seconds of each request, by kind."""

    def command(self, name: str, took: float, *, killed: bool, turned_away: bool) -> None:
        """Count a command that ended."""
        self.commands[name] += 1
        self.killed[name] += killed
        self.turned_away[name] += turned_away
        if not killed and not turned_away:
            self.took.setdefault(name, []).append(took)

    def usual(self, name: str) -> float:
        """Return the seconds that a command takes of late."""
        return median(self.took.get(name, [1.0])[-20:])

    def request(self, kind: str, status: int, waited: float) -> None:
        """Count a response."""
        self.requests[kind, status] += 1
        self.waited.setdefault(kind, []).append(waited)

    def line(self) -> str:
        """Return it in a line."""
        return (
            f"{self.commands.total():,} commands ({self.killed.total():,} killed, {self.at_once:,} times two at once), "
            f"{self.states:,} states, {self.requests.total():,} requests"
        )

    def tables(self) -> str:
        """Return it as two tables."""
        lines = [f"{'command':<14}{'run':>7}{'killed':>8}{'turned away':>13}{'median s':>10}"]
        for name, count in sorted(self.commands.items()):
            lines.append(
                f"{name:<14}{count:>7,}{self.killed[name]:>8,}{self.turned_away[name]:>13,}{median(self.took.get(name, [0.0])):>10.2f}"
            )
        lines += ["", f"{'request':<14}{'made':>7}{'200':>8}{'404':>8}{'410':>8}{'median ms':>11}{'95 % ms':>9}"]
        for kind, waited in sorted(self.waited.items()):
            by = "".join(f"{self.requests[kind, status]:>8,}" for status in (200, 404, 410))
            high = sorted(waited)[int(len(waited) * 0.95)]
            lines.append(f"{kind:<14}{len(waited):>7,}{by}{median(waited) * 1000:>11.0f}{high * 1000:>9.0f}")
        return "\n".join(lines)
