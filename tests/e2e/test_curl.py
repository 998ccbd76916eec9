"""What curl says of hosts that do not answer as they should: in a guest the same as outside.

Each case asks curl twice, natively and in a guest, for its exit code and for the errno that its
connection met. One difference is in the nature of a router: no ICMP message of IPv4 makes a kernel
say EACCES, so what is prohibited here is unreachable there.

Read: curl(1) EXIT CODES, ip-route(8) for unreachable and prohibit, `icmp_err_convert` in Linux.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from errno import EACCES, ECONNREFUSED, ECONNRESET, EHOSTUNREACH, ENETUNREACH

import pytest

from tests.e2e.conftest import needs
from tests.e2e.outside import ADDRESS, NO_ROUTE, Outside, make_outside, peer

UNREACHABLE, PROHIBITED, SILENT, ABSENT = (f"203.0.113.{number}" for number in range(11, 15))
PREPARE = f"""
ip route add unreachable {UNREACHABLE}
ip route add prohibit {PROHIBITED}
ip link add silent0 type veth peer name silent1 # nobody is behind it, nor asks who is
ip link set silent0 arp off up
ip link set silent1 arp off up
ip route add {SILENT} dev silent0
ip link add absent0 type veth peer name absent1 # nobody is behind it when ARP asks
ip link set absent0 up
ip link set absent1 up
ip route add {ABSENT} dev absent0
"""
CURL = ("curl", "--verbose", "--silent", "--noproxy", "*", "--output", "/dev/null")
CANNOT_CONNECT, TIMED_OUT, RECEIVE_FAILED = 7, 28, 56
_ERROR = re.compile(r"(?:failed|connect fail for [0-9.]+|Recv failure): (.+)")

Outcome = tuple[int, str | None]


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    with make_outside(PREPARE) as host:
        yield host


def ask(outside: Outside, address: str, timeout: str) -> tuple[Outcome, Outcome]:
    """How curl ends, and what error it tells of: outside, and in a guest."""
    curl = (*CURL, "--connect-timeout", timeout, f"http://{address}:5000/")
    with (
        outside.program(*curl).started() as native,
        outside.rootlessnet.started("run", "--", *curl) as guest,
    ):
        return outcome(native), outcome(guest)


def outcome(curl: subprocess.Popen[str]) -> Outcome:
    _, said = curl.communicate()
    errors = _ERROR.findall(said)
    return curl.returncode, errors[0] if errors else None


@needs("curl")
@pytest.mark.parametrize(
    ("address", "exit_code", "error"),
    [
        (ADDRESS, CANNOT_CONNECT, ECONNREFUSED),
        (NO_ROUTE, CANNOT_CONNECT, ENETUNREACH),
        (UNREACHABLE, CANNOT_CONNECT, EHOSTUNREACH),
        (ABSENT, CANNOT_CONNECT, EHOSTUNREACH),
    ],
)
def test_connections_that_fail(outside: Outside, address: str, exit_code: int, error: int) -> None:
    wanted = (exit_code, os.strerror(error))
    assert ask(outside, address, "20") == (wanted, wanted)


@needs("curl")
def test_connections_that_are_prohibited(outside: Outside) -> None:
    assert ask(outside, PROHIBITED, "20") == (
        (CANNOT_CONNECT, os.strerror(EACCES)),
        (CANNOT_CONNECT, os.strerror(EHOSTUNREACH)),
    )


@needs("curl")
def test_connections_that_are_reset(outside: Outside) -> None:
    wanted = (RECEIVE_FAILED, os.strerror(ECONNRESET))
    with outside.program(*peer("tcp", "reset", ADDRESS, 5000)).serving():
        assert ask(outside, ADDRESS, "20") == (wanted, wanted)


@needs("curl")
def test_hosts_that_are_silent(outside: Outside) -> None:
    """No error comes in the time that curl grants, which is all of it: it ends it itself."""
    assert ask(outside, SILENT, "1.5") == ((TIMED_OUT, None), (TIMED_OUT, None))


@needs("curl")
def test_servers_that_do_not_accept(outside: Outside) -> None:
    """The host's kernel ignores the SYNs for a full queue."""
    with outside.program(*peer("tcp", "never_accept", ADDRESS, 5000)).serving():
        assert ask(outside, ADDRESS, "1.5") == ((TIMED_OUT, None), (TIMED_OUT, None))
