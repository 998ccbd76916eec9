"""`rootlessnet stop`: the end of a running instance."""

import argparse

from rootlessnet.cli.parser import Parser
from rootlessnet.control import client
from rootlessnet.control.protocol import STOP_SECONDS_MOST
from rootlessnet.errors import UsageError
from rootlessnet.words import quoted

_DESCRIPTION = """\
End a running instance: its command gets SIGTERM and, when it still runs some
seconds later, SIGKILL. Without a command, as with `rootlessnet attach`, the
network ends at once. ID is the instance's name, the beginning of its name, or
its process id: `rootlessnet ps` shows them."""

_EPILOG = """\
examples:
  rootlessnet stop --time 30 web

exit status:
  0 once it has ended, 2 for a usage error, 1 for any other failure."""

_SECONDS = 10.0


class _Arguments(argparse.Namespace):
    id: str
    time: float


def stop(words: list[str]) -> int:
    """End the instance that `words` name; returns 0."""
    parser = Parser("stop", "[options] ID", _DESCRIPTION, _EPILOG)
    parser.add_argument(
        "--time",
        default=_SECONDS,
        type=_seconds,
        metavar="SECONDS",
        help="how long the command may take to end by itself, or 0 to kill it at once "
        f"(default: {_SECONDS:g})",
    )
    parser.add_argument("id", metavar="ID", help=argparse.SUPPRESS)
    arguments = parser.parse(words, _Arguments())
    client.stop(arguments.id, arguments.time)
    return 0


def _seconds(text: str) -> float:
    whole, _, part = text.partition(".")
    plain = text.isascii() and whole.isdigit() and (not part or part.isdigit()) and len(text) < 20
    if not plain or float(text) > STOP_SECONDS_MOST:
        raise UsageError(
            f"time {quoted(text)} is not a number of seconds from 0 to {STOP_SECONDS_MOST:g}"
        )
    return float(text)
