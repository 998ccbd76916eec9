"""What the project wants to be, as ratios and bounds, and whether a run of the comparison shows it.

A ratio is to what a peer achieved in the same run, to the best of the two C programs, or to another
row of our own. What was not measured is not judged.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.rows import BY_NAME, Row

PROGRAMS = ("slirp4netns", "pasta")
BEST = "the best of " + " and ".join(PROGRAMS)


class Measured:
    """The medians of one run: of our own, and of a peer's."""

    def __init__(self, subject: str, medians: dict[tuple[int, str, str], float]) -> None:
        """`medians` by MTU, name of row, and peer."""
        self._subject = subject
        self._medians = medians

    def own(self, mtu: int, row: str) -> float | None:
        return self._medians.get((mtu, row, self._subject))

    def of(self, mtu: int, rows: Sequence[str], peer: str) -> float | None:
        """The best that a peer, or any program for BEST, achieved in one of these rows."""
        peers = PROGRAMS if peer == BEST else (peer,)
        found = [self._medians.get((mtu, row, one)) for row in rows for one in peers]
        values = [value for value in found if value is not None]
        if not values:
            return None
        return min(values) if BY_NAME[rows[0]].better == "lower" else max(values)


@dataclass(frozen=True, slots=True)
class Target:
    """`rows` are judged one by one, against `bound` times what `peer` achieved in the same row, or
    in the best of `peer_rows`; against that of our own in `own_row`; or against `bound` itself.
    """

    number: int
    rows: tuple[str, ...]
    bound: float
    peer: str | None = None
    peer_rows: tuple[str, ...] = ()
    own_row: str | None = None
    mtus: tuple[int, ...] = (1500, 65520)

    def judge(self, measured: Measured) -> Iterator["Verdict"]:
        """One verdict for each row and MTU that were measured."""
        for mtu in self.mtus:
            for name in self.rows:
                value, divisor = measured.own(mtu, name), self._divisor(measured, mtu, name)
                if value is not None and divisor:
                    yield Verdict(self, BY_NAME[name], mtu, value / divisor)

    def _divisor(self, measured: Measured, mtu: int, name: str) -> float | None:
        if self.peer is not None:
            return measured.of(mtu, self.peer_rows or (name,), self.peer)
        return 1.0 if self.own_row is None else measured.own(mtu, self.own_row)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was measured for a target in one row at one MTU."""

    target: Target
    row: Row
    mtu: int
    value: float

    @property
    def is_met(self) -> bool:
        return (
            self.value >= self.target.bound if self._wants_more else self.value <= self.target.bound
        )

    @property
    def wanted(self) -> str:
        """In words."""
        target = self.target
        limit = f"at {'least' if self._wants_more else 'most'} {target.bound:g}"
        if target.peer is not None:
            return f"{limit} of {target.peer}"
        if target.own_row is not None:
            return f"{limit} of “{BY_NAME[target.own_row].title}”"
        return f"{limit} {self.row.unit}"

    @property
    def _wants_more(self) -> bool:
        return self.row.better == "higher"


_OUT, _IN = ("tcp-out", "tcp-out-8"), ("tcp-in", "tcp-in-8")
_EXCHANGES = ("tcp-rr", "udp-rr", "tcp-crr", "tcp-rr-64", "forwarded-crr")

TARGETS = (
    Target(1, _OUT, 8, "slirp4netns", mtus=(1500,)),
    Target(1, _IN, 5, "slirp4netns", mtus=(1500,)),
    Target(1, _OUT + _IN, 8, "pasta", mtus=(1500,)),
    Target(1, _OUT + _IN, 2.5, "slirp4netns", mtus=(65520,)),
    Target(1, _OUT, 0.9, "pasta", _OUT, mtus=(65520,)),
    Target(1, _IN, 0.9, "pasta", _IN, mtus=(65520,)),
    Target(1, _OUT + _IN, 0.5, "loopback"),
    Target(2, _EXCHANGES, 1, BEST),
    Target(3, ("udp-out", "udp-in"), 1, BEST),
    Target(3, ("udp-out-gso", "udp-in-gso"), 5, BEST),
    Target(4, ("cpu-out", "cpu-in"), 0.15, "slirp4netns", mtus=(1500,)),
    Target(5, ("memory-many",), 150),
    Target(5, ("idle-many",), 0.77, own_row="idle-1"),
    Target(5, ("open-last",), 1.3, own_row="open-first"),
    Target(6, ("start-up",), 180),
    Target(6, ("start-up",), 3, "pasta"),
    Target(6, ("memory",), 40),
    Target(7, ("latency-out", "latency-in"), 3, own_row="latency"),
)


def verdicts(measured: Measured) -> list[Verdict]:
    """Those of all targets, in order."""
    return [verdict for target in TARGETS for verdict in target.judge(measured)]
