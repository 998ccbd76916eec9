"""What a check sees of a tool's network, and whether that is what the table says.

A check is a function that returns what it saw, in a word or a line; `compared` makes a test of it,
which every tool takes. The test fails when the tool does anything but what tests/compat/table.py
says, be that better or worse.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from tests.compat.table import TABLE, TESTED_VERSIONS, Row
from tests.compat.tools import Forward, Guest, Inexpressible, Tool, installed_version
from tests.e2e.conftest import PATIENCE, ROOT
from tests.e2e.outside import Outside
from tests.e2e.processes import line_of

INEXPRESSIBLE = "cannot be expressed"
SILENCE = "no "  # progress, answer
TCP = (Forward("tcp"),)
UDP = (Forward("udp"),)


class Network:
    """A tool, and the host that it runs on."""

    def __init__(self, tool: Tool, outside: Outside) -> None:
        self.tool = tool
        self.outside = outside

    @contextmanager
    def client(self, *words: str, shut_loopback: bool = False) -> Iterator[str]:
        """The line that a client in a guest says; the guest stays until the end of the block, so
        that what is still on its way arrives.
        """
        stay = ("sh", "-c", '"$@"; read -r end', "sh", *words)
        with self.tool.started(self.outside, Guest(stay, shut_loopback=shut_loopback)) as process:
            assert process.stdout is not None
            line = process.stdout.readline()  # that it says nothing right is an empty one
            if not line:
                process.kill()
                pytest.fail(f"the client said nothing: {process.communicate(timeout=PATIENCE)[1]}")
            yield line.strip()

    def outbound(self, *words: str, shut_loopback: bool = False) -> str:
        """The line that a client in a guest says."""
        with self.client(*words, shut_loopback=shut_loopback) as said:
            return said

    @contextmanager
    def published(
        self, *server: str, forwards: Sequence[Forward] = TCP
    ) -> Iterator["subprocess.Popen[str]"]:
        """While a server in a guest is published, once it has said that it is ready."""
        with self.tool.started(self.outside, Guest(server, forwards)) as process:
            assert line_of(process) == "ready"
            yield process

    def inbound(self, *client: str) -> str:
        """What a client on the host says."""
        done = self.outside.program(*client).run()
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    @contextmanager
    def server(self, *words: str) -> Iterator["subprocess.Popen[str]"]:
        """While a server on the host runs."""
        with self.outside.program(*words).serving() as process:
            yield process


def compared(check: Callable[[Network], str]) -> Callable[[Network, pytest.MonkeyPatch], None]:
    """A test that expects of `check` what the table says of the tool."""
    row = next(rows[check.__name__] for rows in TABLE.values() if check.__name__ in rows)

    def test(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
        expected = expectations(row, network.tool)
        if any(SILENCE in answer for answer in expected):  # do not wait long for what does not come
            monkeypatch.setenv("PEER_PATIENCE", "1")
        try:
            seen = check(network)
        except Inexpressible:
            seen = INEXPRESSIBLE
        assert seen in expected, difference(network.tool, expected, seen)

    # Not functools.wraps: pytest would take the check's parameters for the test's.
    test.__name__, test.__doc__ = check.__name__, check.__doc__
    return test


def expectations(row: Row, tool: Tool) -> tuple[str, ...]:
    """What may be seen with a tool, by the table."""
    if tool.name in row.inexpressible:
        return (INEXPRESSIBLE,)
    if (short := row.short.get(tool.name)) is None:
        return (row.right,)
    return (short.seen, row.right) if short.sometimes else (short.seen,)


def difference(tool: Tool, expected: tuple[str, ...], seen: str) -> str:
    """For the reader of a failure, who may have another version than the table is about."""
    tested, installed = TESTED_VERSIONS.get(tool.name, ""), installed_version(tool)
    version = f" {tested}, and {installed or 'none'} is installed" if tested != installed else ""
    answers = " or ".join(map(repr, expected))
    return f"{seen!r} was seen; tests/compat/table.py expects {answers} of {tool.name}{version}"


def edge(role: str, *arguments: object) -> tuple[str, ...]:
    """The command line of one of the roles of peers/edges.py."""
    program = ROOT / "tests" / "compat" / "peers" / "edges.py"
    return (sys.executable, str(program), role, *map(str, arguments))
