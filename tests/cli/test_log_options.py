"""The options of the log, its lines, and files that do not take them."""

import errno
import json
import os
import re
import select
import stat
import sys
from pathlib import Path

import pytest

from rootlessnet.cli.log_options import LogArguments, add_log_options, log_of_environment
from rootlessnet.cli.parser import Parser
from rootlessnet.errors import RootlessnetError, UsageError
from rootlessnet.log import Log

HOSTILE = "a\nb\x1b[31m\x7f\u202e\udc80"
HARMLESS = r"a\nb\x1b[31m\x7f\u202e\udc80"
DATE = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def open_log(*words: str) -> Log:
    parser = Parser("run", "", "", "")
    add_log_options(parser)
    return parser.parse(list(words), LogArguments()).open_log()


def test_without_options_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    log = open_log()
    log.debug("nobody asked")
    log.info(HOSTILE)
    assert capsys.readouterr().err == f"rootlessnet: {HARMLESS}\n"


def test_a_file_is_appended_to_and_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "log"
    open_log("--log-file", str(path)).warning("first")
    open_log("--log-file", str(path)).info(HOSTILE)
    first, second = path.read_text().splitlines()
    assert re.fullmatch(f"{DATE} warning first", first)
    assert re.fullmatch(f"{DATE} info {re.escape(HARMLESS)}", second)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_json(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = open_log("--log-format=json", "--log-file", str(path), "--log-level", "warning")
    log.info("left out")
    log.warning(HOSTILE + '"}')
    (line,) = path.read_text().splitlines()
    event = json.loads(line)
    assert re.fullmatch(DATE, event.pop("time"))
    assert event == {"level": "warning", "message": HARMLESS + '"}'}


def test_json_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    open_log("--log-format=json").info("news")
    assert json.loads(capsys.readouterr().err)["message"] == "news"


@pytest.mark.parametrize("words", [("--log-format", "xml"), ("--log-level", "loud")])
def test_unknown_words(words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        open_log(*words)


@pytest.mark.parametrize("name", ["missing/log", ".", "a\0b", "fifo"])
def test_a_file_that_cannot_be(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "fifo")  # nobody reads it
    with pytest.raises(RootlessnetError, match=r"cannot write the log to .*: name a file"):
        open_log("--log-file", f"{tmp_path}/{name}")


class Disk:
    """Takes so many bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room = room
        self.written = b""
        monkeypatch.setattr(os, "write", self.write)

    def write(self, _descriptor: int, data: bytes) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "full")
        taken = data[: self.room]
        self.room -= len(taken)
        self.written += taken
        return len(taken)


def test_a_full_disk_costs_lines_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log("--log-file", str(tmp_path / "log"))
    disk = Disk(monkeypatch, 40)
    for text in ("first", "is torn", "is lost"):
        log.info(text)
    disk.room = 1000
    log.info("after")
    log.info("later")
    first, torn, after, later = disk.written.decode().splitlines()
    assert first.endswith("info first")
    assert "torn" not in torn
    assert after.endswith("info after (2 lines before this one could not be written)")
    assert later.endswith("info later")


def test_standard_error_that_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe that is full holds up nobody."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with os.fdopen(reading, "rb") as read, os.fdopen(writing, "w") as write:
        monkeypatch.setattr(sys, "stderr", write)
        log = open_log()
        count = 0
        while select.select([], [writing], [], 0)[1]:
            log.info("x" * 1000)
            count += 1
        log.info("lost")
        log.info("lost")
        assert read.read().count(b"\n") == count
        log.info("after")
        expected = b"rootlessnet: after (2 lines before this one could not be written)\n"
        assert read.read() == expected


def test_standard_error_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    open_log().warning("nobody wants to know")


def test_the_environment_says_it_too(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = log_of_environment(
        {
            "ROOTLESSNET_LOG_FILE": str(path),
            "ROOTLESSNET_LOG_FORMAT": "json",
            "ROOTLESSNET_LOG_LEVEL": "warning",
        }
    )
    log.info("left out")
    log.warning("told")
    (line,) = path.read_text().splitlines()
    assert json.loads(line)["message"] == "told"


@pytest.mark.parametrize("name", ["ROOTLESSNET_LOG_FILE", "ROOTLESSNET_LOG_LEVEL"])
def test_an_empty_variable_is_none(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    log_of_environment({name: ""}).info("news")
    assert capsys.readouterr().err == "rootlessnet: news\n"


@pytest.mark.parametrize("name", ["ROOTLESSNET_LOG_FORMAT", "ROOTLESSNET_LOG_LEVEL"])
def test_variables_that_mean_nothing(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} is 'loud': set it to one of "):
        log_of_environment({name: "loud"})
