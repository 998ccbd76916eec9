"""The log: what is told and when, at times that the test makes."""

import ast
from pathlib import Path

import pytest

from rootlessnet.log import INTERVAL, Level, Log

PACKAGE = Path(__file__).parents[1] / "rootlessnet"


class Told:
    """A log, its clock and what it has told."""

    def __init__(self, level: Level = Level.INFO) -> None:
        self.now = 1000.0
        self.lines: list[tuple[Level, str]] = []
        self.log = Log(lambda *line: self.lines.append(line), level, lambda: self.now)

    def texts(self) -> list[str]:
        texts = [text for _, text in self.lines]
        self.lines.clear()
        return texts


def test_each_event_has_its_level() -> None:
    told = Told(Level.DEBUG)
    told.log.debug("a")
    told.log.info("b")
    told.log.warning("c")
    told.log.fault("kind", "d", Level.ERROR)
    assert told.lines == [
        (Level.DEBUG, "a"),
        (Level.INFO, "b"),
        (Level.WARNING, "c"),
        (Level.ERROR, "d"),
    ]


@pytest.mark.parametrize(
    ("level", "told_texts"),
    [
        (Level.DEBUG, ["a", "b", "c"]),
        (Level.INFO, ["b", "c"]),
        (Level.WARNING, ["c"]),
        (Level.ERROR, []),
    ],
)
def test_what_is_less_grave_is_left_out(level: Level, told_texts: list[str]) -> None:
    told = Told(level)
    told.log.debug("a")
    told.log.info("b")
    told.log.fault("kind", "c")
    assert told.texts() == told_texts
    told.log.answer("as asked")
    assert told.texts() == ["as asked"]


def test_a_fault_is_told_once_a_minute_with_the_number_of_the_others() -> None:
    told = Told()
    for _ in range(1000):
        told.log.fault("full", "it is full")
    assert told.texts() == ["it is full"]
    told.now += INTERVAL
    told.log.fault("full", "it is full")
    told.log.fault("full", "it is full")
    assert told.texts() == ["it is full (and 999 times since this was last said)"]
    told.now += 10 * INTERVAL
    told.log.fault("full", "it is full")
    told.now += INTERVAL
    told.log.fault("full", "it is full")
    assert told.texts() == ["it is full (and 1 times since this was last said)", "it is full"]
    assert told.log.faults == {"full": 1004}


def test_kinds_of_fault_do_not_silence_one_another() -> None:
    told = Told()
    for kind in ("full", "empty", "full"):
        told.log.fault(kind, kind)
    assert told.texts() == ["full", "empty"]
    assert told.log.faults == {"full": 2, "empty": 1}


def test_a_log_without_a_sink_takes_everything() -> None:
    log = Log()
    log.warning("nobody hears this")
    log.answer("nor this")


def test_only_dates_are_read_from_the_clock_on_the_wall() -> None:
    """It jumps: nothing may wait by it. Deadlines are of the monotonic clock."""
    readers = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if reads_wall_clock(path.read_text(encoding="utf-8"))
    }
    assert readers == {
        "app.py",  # since when an instance runs
        "cli/log_options.py",  # the date of a line
        "cli/ps.py",  # the age of an instance
        "host/dns/watch.py",  # whether a file was written to just now: after a jump it is read anew
    }


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import time\ntime.time()", True),
        ("import time\nx = time.time_ns", True),
        ("from time import time", True),
        ("from time import monotonic, sleep\nimport time\ntime.monotonic()", False),
        ("from datetime import datetime", True),
        ("import time\ntime.clock_gettime(0)", True),
    ],
)
def test_who_reads_it_is_found(source: str, found: bool) -> None:
    assert reads_wall_clock(source) is found


def reads_wall_clock(source: str) -> bool:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(ast.Name("time"), "time" | "time_ns" | "clock_gettime"):
                return True
            case ast.ImportFrom("time", names):
                if any(one.name in ("time", "time_ns", "clock_gettime") for one in names):
                    return True
            case ast.ImportFrom("datetime") | ast.Import([ast.alias("datetime"), *_]):
                return True
    return False
