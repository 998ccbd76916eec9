"""The options of the log, and where its lines go: to standard error, or to a file.

A network never waits for who reads its log: what a full disk, a full pipe or a stopped terminal
does not take is lost, which the next line that gets through says. A file is only ever appended to,
and opened before anything else is, so that a hardened process has it. A line is one line, whatever
a guest has brought into it.

Read: open(2) for O_APPEND and O_NONBLOCK, write(2) on short writes, poll(2), RFC 3339.
"""

import argparse
import os
import select
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from rootlessnet.cli import output
from rootlessnet.cli.parser import Parser
from rootlessnet.errors import RootlessnetError, UsageError
from rootlessnet.log import Level, Log
from rootlessnet.words import quoted

_OPENING = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
FORMATS = ("text", "json")
LEVELS = tuple(level.name.lower() for level in Level)


class LogArguments(argparse.Namespace):
    """The parsed options."""

    log_file: str | None
    log_format: str
    log_level: str

    def open_log(self) -> Log:
        """The log that they describe. Raises RootlessnetError."""
        write = _to_standard_error if self.log_file is None else _File(self.log_file).write
        if self.log_format == "json":
            form = _json()
        else:
            form = _text if self.log_file is None else _dated_text
        lost = 0

        def sink(level: Level, text: str) -> None:
            nonlocal lost
            if lost:
                text = f"{text} ({lost} lines before this one could not be written)"
            lost = 0 if write(form(level, output.one_line(text)) + "\n") else lost + 1

        return Log(sink, Level[self.log_level.upper()])


ENVIRONMENT = {
    "ROOTLESSNET_LOG_FILE": "log_file",
    "ROOTLESSNET_LOG_FORMAT": "log_format",
    "ROOTLESSNET_LOG_LEVEL": "log_level",
}  # the options, for command lines that are not ours to extend


def log_of_environment(environment: Mapping[str, str]) -> Log:
    """The log that the variables describe, each as the option of its name; an empty one is as if
    not set. Raises RootlessnetError.
    """
    given = {field: environment.get(name) for name, field in ENVIRONMENT.items()}
    arguments = LogArguments()
    arguments.log_file = given["log_file"] or None
    arguments.log_format = given["log_format"] or "text"
    arguments.log_level = given["log_level"] or "info"
    _require("ROOTLESSNET_LOG_FORMAT", arguments.log_format, FORMATS)
    _require("ROOTLESSNET_LOG_LEVEL", arguments.log_level, LEVELS)
    return arguments.open_log()


def _require(name: str, word: str, possible: Sequence[str]) -> None:
    if word not in possible:
        raise UsageError(f"{name} is {quoted(word)}: set it to one of {', '.join(possible)}")


def add_log_options(parser: Parser) -> None:
    """Add the options of `LogArguments` to `parser`."""
    group = parser.add_argument_group("log")
    group.add_argument(
        "--log-file",
        metavar="PATH",
        help="append what happens to this file (default: standard error); what keeps the program "
        "from its work is on standard error in any case",
    )
    group.add_argument(
        "--log-format",
        choices=FORMATS,
        default="text",
        help="one line, or one JSON object with time, level and message, an event (default: text)",
    )
    group.add_argument(
        "--log-level",
        choices=LEVELS,
        default="info",
        help="leave out what is less grave: debug, info, warning or error (default: info)",
    )


def _text(_level: Level, text: str) -> str:
    return f"rootlessnet: {text}"


def _dated_text(level: Level, text: str) -> str:
    return f"{_date()} {level.name.lower()} {text}"


def _json() -> Callable[[Level, str], str]:
    import json  # before the process is hardened, and only for who wants it

    def form(level: Level, text: str) -> str:
        return json.dumps({"time": _date(), "level": level.name.lower(), "message": text})

    return form


def _date() -> str:
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    day_and_time = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{day_and_time}.{nanoseconds // 1_000_000:03}Z"


def _to_standard_error(line: str) -> bool:
    """Whether it was written."""
    if sys.stderr is None:
        return True  # the caller closed it: nobody wants to know
    try:
        waiting = select.poll()
        waiting.register(sys.stderr.fileno(), select.POLLOUT)
        if not waiting.poll(0):
            return False
    except (OSError, ValueError):  # no descriptor of the kernel's: it does not make us wait
        pass
    output.write_error(line)
    return True


class _File:
    """A file that is appended to."""

    def __init__(self, path: str) -> None:
        """Raises RootlessnetError."""
        try:
            self._descriptor = os.open(path, _OPENING, 0o600)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise RootlessnetError(
                f"cannot write the log to {quoted(path)} ({reason}): name a file that you may write"
            ) from None
        self._is_torn = False  # the last line lacks its end

    def write(self, line: str) -> bool:
        """Whether it was written whole."""
        data = (b"\n" if self._is_torn else b"") + line.encode("ascii", "backslashreplace")
        try:
            count = os.write(self._descriptor, data)
        except OSError:
            return False
        self._is_torn = count < len(data)
        return not self._is_torn
