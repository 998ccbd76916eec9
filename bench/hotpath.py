#!/usr/bin/env python3
"""What a packet costs in the engine alone: no kernel, no sockets.

  python3 -m bench.hotpath           the table
  python3 -m bench.hotpath --check   fails where a packet costs over 25 % more than what is stored
  python3 -m bench.hotpath --store   stores what is measured now

A cost is the processor time of a packet divided by that of one round of the calibration loop, which
does work of the kind that a packet makes. Slices of both, a few milliseconds long, take turns, and
the median of their ratios counts: whatever slows the machine slows both. The calls that a packet
makes, of Python and of built-in functions, are counted exactly; blocks of memory that it leaves
behind would be a leak. Allocations that end with the packet cannot be counted from within Python.

An interpreter is better at one thing and worse at another than the next: the stored values are
those of a minor version of Python each.
"""

import argparse
import gc
import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from struct import Struct
from time import process_time_ns

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for a start as a file

from bench.engine import ROUTES, Route
from rootlessnet.wire import families

STORED = Path(__file__).with_suffix(".json")
TOLERANCE = 1.25
ROUNDS = 40  # slices of each route
LONGER = 4  # times as many, for what is judged a second time
SLICE = 3_000_000  # ns of processor time
WARM_UP = 20  # passes
KEPT_OVER = 50  # passes that blocks are counted over
CALIBRATION = 500  # rounds of the loop in one of its slices

_FIELDS = Struct("!HHIIBBHHH")
_PLACE = Struct("!HH")


class _Sample:
    __slots__ = ("count", "first", "rest", "second")

    def __init__(self) -> None:
        self.count = self.first = self.second = 0
        self.rest = memoryview(b"")

    def take(self, frame: memoryview) -> int:
        """Something like a header that is read."""
        fields = _FIELDS.unpack_from(frame, 0)
        self.first, self.second = fields[2], fields[3]
        self.rest = frame[20:]
        self.count = (self.count + len(self.rest)) & 0xFFFFFFFF
        return self.second


def calibrate() -> int:
    """Nanoseconds of processor time for CALIBRATION rounds."""
    frame = memoryview(bytearray(64))
    header = bytearray(64)
    table = {bytes((number, 0, 0, 0)): _Sample() for number in range(64)}
    pack = _PLACE.pack_into
    started = process_time_ns()
    for number in range(CALIBRATION):
        sample = table.get(bytes(frame[:3]) + b"\x00")
        if sample is not None and sample.take(frame) == number & 0xFFFF:
            sample.count += 1
        pack(header, 4, number & 0xFFFF, (number * 7 - 1) % 0xFFFF + 1)
    return process_time_ns() - started


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one packet: in rounds of the calibration loop, in seconds, and what it does."""

    relative: float
    seconds: float
    calls: float
    kept: float  # blocks of memory


class Measurement:
    """One route, ready to be measured. A pass is too short for a slice, so that has several."""

    def __init__(self, name: str, route: Route) -> None:
        """Warm it up. Raises ValueError when packets do not go where they should."""
        self.name = name
        self._route = route
        self._ratios: list[float] = []
        self._nanoseconds: list[float] = []
        for _ in range(WARM_UP):
            self._pass()
        before = route.done()
        took = self._pass()
        first = route.done() - before
        self._pass()
        if not 0 < first == route.done() - before - first:
            raise ValueError(f"{name}: packets are lost on the way")
        self._passes = max(SLICE // took, 1)

    def _pass(self, run: Callable[[], None] | None = None) -> int:
        """Its nanoseconds."""
        route = self._route
        route.prepare()
        started = process_time_ns()
        (run or route.run)()
        took = process_time_ns() - started
        route.world.pass_time()
        return took

    def slice(self) -> None:
        """Measure once, between two slices of the calibration loop."""
        before = calibrate()
        took = sum(self._pass() for _ in range(self._passes)) / self._passes / self._route.packets
        loop = (before + calibrate()) / 2 / CALIBRATION
        self._ratios.append(took / loop)
        self._nanoseconds.append(took)

    def cost(self) -> Cost:
        """What all slices say."""
        return Cost(
            median(self._ratios), median(self._nanoseconds) / 1e9, self._calls(), self._kept()
        )

    def _calls(self) -> float:
        count = 0

        def notice(_frame: object, event: str, _argument: object) -> None:
            nonlocal count
            count += event in ("call", "c_call")

        def run() -> None:
            sys.setprofile(notice)
            try:
                self._route.run()
            finally:
                sys.setprofile(None)

        self._pass(run)
        return count / self._route.packets

    def _kept(self) -> float:
        before = sys.getallocatedblocks()
        for _ in range(KEPT_OVER):
            self._pass()
        return (sys.getallocatedblocks() - before) / KEPT_OVER / self._route.packets


def measurements(names: Iterable[str] | None = None) -> list[Measurement]:
    """Those of all routes by either family, or of some."""
    wanted = None if names is None else set(names)
    found = []
    for family in (families.IPV4, families.IPV6):
        for title, make in ROUTES.items():
            name = f"{title}, IPv{family.version}"
            if wanted is None or name in wanted:
                found.append(Measurement(name, make(family)))
    return found


def measure(names: Iterable[str] | None = None, rounds: int = ROUNDS) -> dict[str, Cost]:
    """The costs by name. The routes take turns, so that a bad moment hits all of them a little."""
    gc.collect()
    gc.disable()  # as the hot path has it, nearly
    try:
        measured = measurements(names)
        for _ in range(rounds):
            for measurement in measured:
                measurement.slice()
        return {measurement.name: measurement.cost() for measurement in measured}
    finally:
        gc.enable()


Stored = dict[str, dict[str, dict[str, float]]]  # by version of Python, route, and what it is


def version() -> str:
    """Of Python, as far as it matters."""
    return ".".join(platform.python_version_tuple()[:2])


def load() -> Stored:
    stored: Stored = json.loads(STORED.read_text())
    return stored


def store(costs: dict[str, Cost]) -> None:
    stored = load() if STORED.exists() else {}
    stored[version()] = {
        name: {"relative": round(cost.relative, 2), "calls": round(cost.calls, 2)}
        for name, cost in costs.items()
    }
    STORED.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n")


def losses(costs: dict[str, Cost], stored: dict[str, dict[str, float]]) -> dict[str, str]:
    """What is too dear, and why, by the name of the route."""
    found = {}
    for name, cost in costs.items():
        standard = stored.get(name)
        if standard is None:
            found[name] = "nothing is stored: --store"
        elif cost.relative > TOLERANCE * standard["relative"]:
            more = cost.relative / standard["relative"] - 1
            found[name] = f"costs {more:.0%} more than the {standard['relative']:.2f} stored"
        elif cost.calls > TOLERANCE * standard["calls"]:
            found[name] = f"makes {cost.calls:.1f} calls, where {standard['calls']:.1f} are stored"
        elif cost.kept > 0.1:
            found[name] = f"leaves {cost.kept:.1f} blocks of memory behind"
    return found


def table(costs: dict[str, Cost], stored: dict[str, dict[str, float]]) -> str:
    """For a terminal."""
    lines = [f"{'':34} packets/s     cost   stored    calls     kept"]
    for name, cost in costs.items():
        standard = stored.get(name)
        known = f"{standard['relative']:8.2f}" if standard else f"{'-':>8}"
        numbers = f"{cost.relative:8.2f} {known} {cost.calls:8.1f} {cost.kept:8.2f}"
        lines.append(f"{name:34} {1 / cost.seconds:9,.0f} {numbers}")
    return "\n".join(lines)


def check(costs: dict[str, Cost], stored: dict[str, dict[str, float]]) -> dict[str, str]:
    """The losses. What seems to be one is measured again, for longer and by another interpreter,
    since places in memory and what the first has specialised count as well: a real loss stays.
    """
    suspects = losses(costs, stored)
    if not suspects:
        return suspects
    with ProcessPoolExecutor(1, get_context("spawn")) as another:
        again = another.submit(measure, list(suspects), LONGER * ROUNDS).result()
    return losses(again, stored)


def parser() -> argparse.ArgumentParser:
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("bench.hotpath", description=__doc__, formatter_class=text)
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--check", action="store_true", help="compare with what is stored")
    choice.add_argument("--store", action="store_true", help=f"write {STORED.name}")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    stored = load().get(version(), {}) if STORED.exists() else {}
    if arguments.check and not stored:
        print(f"bench.hotpath: nothing is stored for Python {version()}: store it with --store")
        return 1 if "CI" in os.environ else 0
    costs = measure()
    print(table(costs, stored))
    if arguments.store:
        store(costs)
    elif arguments.check:
        found = check(costs, stored)
        for name, why in found.items():
            print(f"bench.hotpath: {name}: {why}", file=sys.stderr)
        return 1 if found else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
