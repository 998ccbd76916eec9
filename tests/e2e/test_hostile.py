"""A guest that floods with whatever there is: the program goes on, stays small and is not left with
anything.
"""

import re
import subprocess

import pytest

from tests.e2e.conftest import needs, wait_for
from tests.e2e.outside import ADDRESS, Outside, peer
from tests.e2e.peers.hostile import FLOODS
from tests.e2e.processes import most_memory, tell

MEMORY = 128 << 20  # bytes that the program may come to, at most
PINGS = 64  # flows at a time, as the user wants it
TOLD = ("the guest has too many", "the nameservers fail, refuse or stay silent")
FLOODED = 90.0  # seconds for all floods, which take a fraction of it
DRAINED = 60.0  # seconds: a flow of datagrams ends after 30, and is looked for each 5


def sockets(outside: Outside) -> int:
    """How many sockets of that host are open, whoever has them, but for those of pings: a flow that
    was answered stays for two minutes, and there are few.
    """
    text = outside.program("cat", "/proc/net/sockstat").run().stdout
    (used,) = re.findall(r"^sockets: used (\d+)$", text, re.MULTILINE)
    _title, *pings = outside.program("cat", "/proc/net/icmp").run().stdout.splitlines()
    assert len(pings) <= PINGS
    return int(used) - len(pings)


def lines_until(process: subprocess.Popen[str], last: str) -> list[str]:
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or lines[-1] != last:
        line = process.stdout.readline()
        assert line, f"it ended after {lines}"
        lines.append(line.rstrip("\n"))
    return lines


@needs("ping")
@pytest.mark.timeout(FLOODED + DRAINED + 30)
def test_floods(outside: Outside) -> None:
    """A connection with manners has its exchanges during each, or the flood would not end."""
    echo = peer("tcp", "echo", ADDRESS, 5000, 1)
    guest = peer("hostile", ADDRESS, 5000)
    with (
        outside.program(*echo).serving(),
        outside.rootlessnet.serving(
            "run", "--ipv6", "--limit", f"echo-flows={PINGS}", "--", *guest
        ) as program,
    ):
        assert program.stdin is not None
        assert program.stderr is not None
        before = sockets(outside)
        tell(program)
        names = [flood.__name__ for flood, _ in FLOODS]
        assert lines_until(program, "done") == [*names, "done"]
        assert most_memory(program.pid) < MEMORY
        wait_for(lambda: sockets(outside) <= before, "every flow to end", DRAINED)
        program.stdin.close()
        program.stdin = None  # whoever cleans up would flush it
        assert program.wait(FLOODED) == 0
        told = program.stderr.read().splitlines()
        unknown = [line for line in told if not any(known in line for known in TOLD)]
        assert unknown == []
        assert len(told) <= 15  # four bounds and the nameservers, each once a minute
