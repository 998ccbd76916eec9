"""A reader that stalls for half a minute: the sender stops, others go on, and no byte is lost.

The sender says every 0.2 seconds how far it has come while it makes no progress, so its reports
are the clock: nothing here sleeps.

Read: RFC 9293 3.8.6.1 (zero windows).
"""

import subprocess
from contextlib import ExitStack

import pytest

from tests.e2e.addresses import Addresses
from tests.e2e.conftest import Program
from tests.e2e.guest import make_guest
from tests.e2e.outside import Outside, peer
from tests.e2e.processes import line_of, resident, tell

COUNT = 64_000_000  # bytes, several times what all buffers on the way hold
REPORTS = 150  # of a sender that does not come on, one each 0.2 seconds
MOST = 32 << 20  # bytes that stalled connections may add to the network's process


def stopped_at(sender: subprocess.Popen[str]) -> str:
    """Where a sender has come to rest: it says the same place twice."""
    last, line = "", line_of(sender)
    while line != last:
        assert line, "the sender ended"
        last, line = line, line_of(sender)
    return line


def end_of(sender: subprocess.Popen[str]) -> str:
    """What a sender says after its last stop."""
    while (line := line_of(sender)).startswith("stopped"):
        pass
    return line


@pytest.mark.timeout(150)
def test_readers_that_stall(outside: Outside, ip: Addresses) -> None:
    """In all four directions at the same time: either side, of connections either way."""
    published = ("-p", "8000:8000", "-p", "8001:8001", "-p", "8002:8002")
    with ExitStack() as stack:
        guest = stack.enter_context(make_guest(outside, *published))

        def serve(where: Program) -> subprocess.Popen[str]:
            return stack.enter_context(where.serving())

        def start(where: Program) -> subprocess.Popen[str]:
            return stack.enter_context(where.started())

        serve(outside.program(*peer("tcp", "echo", ip.address, 5000)))
        serve(guest.program(*peer("tcp", "echo", ip.every, 8000)))
        others = (
            guest.program(*peer("tcp", "exchange", ip.address, 5000, 1000)),
            outside.program(*peer("tcp", "exchange", ip.address, 8000, 1000)),
        )
        assert [other.run().stdout for other in others] == ["1000\n", "1000\n"]
        before = resident(guest.network)

        serving = (
            serve(outside.program(*peer("tcp", "stall", ip.address, 5001))),
            serve(outside.program(*peer("tcp", "pour", ip.address, 5002))),
            serve(guest.program(*peer("tcp", "stall", ip.every, 8001))),
            serve(guest.program(*peer("tcp", "pour", ip.every, 8002))),
        )
        calling = (
            start(guest.program(*peer("tcp", "pour_out", ip.address, 5001, COUNT))),
            start(guest.program(*peer("tcp", "stall_on", ip.address, 5002))),
            start(outside.program(*peer("tcp", "pour_out", ip.address, 8001, COUNT))),
            start(outside.program(*peer("tcp", "stall_on", ip.address, 8002))),
        )
        for server in serving:
            assert line_of(server).startswith("connection to")
        readers = (serving[0], calling[1], serving[2], calling[3])
        senders = (calling[0], serving[1], calling[2], serving[3])
        assert [line_of(reader) for reader in readers] == ["stalling"] * 4

        places = [stopped_at(sender) for sender in senders]
        for _ in range(REPORTS):
            assert [line_of(sender) for sender in senders] == places
        assert resident(guest.network) < before + MOST
        assert [other.run().stdout for other in others] == ["1000\n", "1000\n"]

        for reader in readers:
            tell(reader)
        assert [line_of(reader) for reader in readers] == [f"read {COUNT}"] * 4
        assert [end_of(sender) for sender in senders] == [f"sent {COUNT}"] * 4
        assert resident(guest.network) < before + MOST
