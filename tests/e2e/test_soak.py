"""Connections of all kinds for a while: afterwards the process outside is as it was before.

ROOTLESSNET_SOAK seconds, 300 in a nightly run. Flows that end by their age end sooner here, so that
nobody waits for them; all else is as users have it.

Read: proc(5) for fd and VmRSS.
"""

import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import Program, wait_for
from tests.e2e.guest import Guest
from tests.e2e.outside import ADDRESS, ADDRESS_6, NO_ROUTE, Outside, peer
from tests.e2e.processes import child_of, descriptors, resident

SECONDS = float(os.environ.get("ROOTLESSNET_SOAK", "60"))
# Bytes that the process may have more than after the first round: what malloc keeps of its busiest
# moment is reached after half a minute, and stays.
MOST = 16 << 20
FEW = 200  # objects, and it may have so many more: a round makes twice as many connections
WAIT = ("sh", "-c", "echo ready; exec cat")
ALL = "0.0.0.0"

# An instance whose flows do not grow old, and which reports how many objects of Python's it has.
SHORT_LIVED = """
import gc
import sys

from rootlessnet.app import Instance
from rootlessnet.cli.main import main
from rootlessnet.stack import datagram_flows

def report(self, of_all=Instance.report):
    gc.collect()
    return [f"objects: {len(gc.get_objects())}", *of_all(self)]

Instance.report = report
datagram_flows.ONE_WAY_TIMEOUT = datagram_flows.TWO_WAY_TIMEOUT = 1
datagram_flows._SWEEP = 0.1
sys.exit(main(sys.argv[1:]))
"""
PORTS = ("-p", "8080:5000", "-p", "8081:5001", "-p", "8082:5002/udp")
LEAVE = f"head -c 3000000 < /dev/tcp/{ADDRESS}/5003 | wc -c"  # in the middle
# What clients on either side do, and what they say.
OUTBOUND = (
    (("tcp", "connect_together", ADDRESS, 5000, 50), "50"),
    (("tcp", "connect_often", ADDRESS, 5000, 100), "100"),
    (("tcp", "exchange", ADDRESS, 5001, 500), "500"),
    (("tcp", "hear", ADDRESS, 5004), "ECONNRESET"),
    (("tcp", "hear", ADDRESS, 5999), "ECONNREFUSED"),
    (("tcp", "hear", NO_ROUTE, 5000), "ENETUNREACH"),
    (("udp", "crowd", ADDRESS, 5002, 50), "100"),
    (("udp", "hear", ADDRESS, 5999), "ECONNREFUSED"),
)
INBOUND = (
    *((("tcp", "connect_together", here, 8080, 30), "30") for here in (ADDRESS, "127.0.0.1")),
    *((("tcp", "connect_often", here, 8080, 50), "50") for here in (ADDRESS_6, "::1")),
    *((("tcp", "exchange", here, 8081, 200), "200") for here in (ADDRESS, "127.0.0.1")),
    *((("udp", "crowd", here, 8082, 20), "40") for here in (ADDRESS, "127.0.0.1")),
)


@contextmanager
def serving(server: Program) -> Iterator[None]:
    """While a server runs. It tells of every connection, and would wait for who reads that."""
    with server.serving() as process:
        assert process.stdout is not None
        reading = threading.Thread(target=deque, args=(process.stdout, 0))
        reading.start()
        try:
            yield
        finally:
            process.terminate()
            reading.join()


@pytest.mark.timeout(SECONDS + 100)
def test_it_is_as_it_was(outside: Outside, tmp_path: Path) -> None:
    log = tmp_path / "log"
    words = ("run", "--log-file", str(log), *PORTS, "--", *WAIT)
    with ExitStack() as stack:
        process = stack.enter_context(
            outside.program(sys.executable, "-c", SHORT_LIVED).serving(*words)
        )
        guest = Guest(process.pid, child_of(child_of(process.pid)))
        for kind, role, port in (
            ("tcp", "answer_late", 5000),
            ("tcp", "echo", 5001),
            ("udp", "echo", 5002),
            ("tcp", "flood", 5003),
            ("tcp", "reset", 5004),
        ):
            stack.enter_context(serving(outside.program(*peer(kind, role, ADDRESS, port))))
            if port < 5003:
                stack.enter_context(serving(guest.program(*peer(kind, role, ALL, port))))

        def round_of_all() -> None:
            for program, doings in ((guest.program, OUTBOUND), (outside.program, INBOUND)):
                for arguments, answer in doings:
                    done = program(*peer(*arguments)).run()
                    assert done.stdout.strip() == answer, (arguments, done)
            assert guest.program("bash", "-c", LEAVE).run().stdout == "3000000\n"
            assert guest.program("ping", "-c", "1", ADDRESS).run().returncode == 0

        def reported(what: str) -> str:
            os.kill(guest.network, signal.SIGUSR1)
            reports = [line for line in log.read_text().splitlines() if f" {what}: " in line]
            return reports[-1].partition(f" {what}: ")[2] if reports else ""

        def is_idle() -> bool:
            return reported("flows") == "0 tcp, 0 udp, 0 echo, 0 spliced"

        def objects() -> int:
            return int(reported("objects"))

        round_of_all()
        wait_for(is_idle, "the end of all flows")
        opened, memory = len(descriptors(guest.network)), resident(guest.network)
        made = objects()
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            round_of_all()
        wait_for(is_idle, "the end of all flows")
        wait_for(
            lambda: len(descriptors(guest.network)) <= opened, f"no more than {opened} descriptors"
        )
        wait_for(lambda: objects() < made + FEW, f"few more than {made} objects")
        assert resident(guest.network) < memory + MOST
