"""What curl says of hosts that do not answer as they should: in a guest the same as outside.

Each case asks curl twice, natively and in a guest, for its exit code and for the errno that its
connection met. One difference is in the nature of a router: no ICMP message of IPv4 makes a kernel
say EACCES, so what is prohibited here is unreachable there. One of IPv6 does.

Read: curl(1) EXIT CODES, ip-route(8) for unreachable and prohibit, `icmp_err_convert` and
`icmpv6_err_convert` in Linux.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from errno import EACCES, ECONNREFUSED, ECONNRESET, EHOSTUNREACH, ENETUNREACH

import pytest

from tests.e2e.addresses import FAMILIES, IPV4, IPV6, Addresses, bracketed
from tests.e2e.conftest import needs
from tests.e2e.outside import Outside, make_outside, peer

UNREACHABLE = {IPV4: "203.0.113.11", IPV6: "2001:db8:2::11"}
PROHIBITED = {IPV4: "203.0.113.12", IPV6: "2001:db8:2::12"}
SILENT = {IPV4: "203.0.113.13", IPV6: "2001:db8:2::13"}
ABSENT = {IPV4: "203.0.113.14", IPV6: "2001:db8:2::14"}
ROUTES = "".join(
    f"""
ip route add unreachable {UNREACHABLE[ip]}
ip route add prohibit {PROHIBITED[ip]}
ip route add {SILENT[ip]} dev silent0
ip route add {ABSENT[ip]} dev absent0
"""
    for ip in FAMILIES
)
PREPARE = f"""
ip link add silent0 type veth peer name silent1 # nobody is behind it, nor asks who is
ip link set silent0 arp off up
ip link set silent1 arp off up
ip link add absent0 type veth peer name absent1 # nobody is behind it when ARP asks
ip link set absent0 up
ip link set absent1 up
{ROUTES}
"""
CURL = ("curl", "--verbose", "--silent", "--noproxy", "*", "--output", "/dev/null")
CANNOT_CONNECT, TIMED_OUT, RECEIVE_FAILED = 7, 28, 56
_ERROR = re.compile(r"(?:failed|connect fail for [0-9a-f.:]+|Recv failure): (.+)")

Outcome = tuple[int, str | None]


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    with make_outside(PREPARE) as host:
        yield host


def ask(outside: Outside, address: str, timeout: str) -> tuple[Outcome, Outcome]:
    """How curl ends, and what error it tells of: outside, and in a guest."""
    curl = (*CURL, "--connect-timeout", timeout, f"http://{bracketed(address)}:5000/")
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
    ("address", "error"),
    [
        case
        for ip in FAMILIES
        for case in (
            (ip.address, ECONNREFUSED),
            (ip.no_route, ENETUNREACH),
            (UNREACHABLE[ip], EHOSTUNREACH),
            (ABSENT[ip], EHOSTUNREACH),
        )
    ],
)
def test_connections_that_fail(outside: Outside, address: str, error: int) -> None:
    wanted = (CANNOT_CONNECT, os.strerror(error))
    assert ask(outside, address, "20") == (wanted, wanted)


@needs("curl")
def test_connections_that_are_prohibited(outside: Outside, ip: Addresses) -> None:
    told = {IPV4: EHOSTUNREACH, IPV6: EACCES}
    assert ask(outside, PROHIBITED[ip], "20") == (
        (CANNOT_CONNECT, os.strerror(EACCES)),
        (CANNOT_CONNECT, os.strerror(told[ip])),
    )


@needs("curl")
def test_connections_that_are_reset(outside: Outside, ip: Addresses) -> None:
    wanted = (RECEIVE_FAILED, os.strerror(ECONNRESET))
    with outside.program(*peer("tcp", "reset", ip.address, 5000)).serving():
        assert ask(outside, ip.address, "20") == (wanted, wanted)


@needs("curl")
def test_hosts_that_are_silent(outside: Outside, ip: Addresses) -> None:
    """No error comes in the time that curl grants, which is all of it: it ends it itself."""
    assert ask(outside, SILENT[ip], "1.5") == ((TIMED_OUT, None), (TIMED_OUT, None))


@needs("curl")
def test_servers_that_do_not_accept(outside: Outside, ip: Addresses) -> None:
    """The host's kernel ignores the SYNs for a full queue."""
    with outside.program(*peer("tcp", "never_accept", ip.address, 5000)).serving():
        assert ask(outside, ip.address, "1.5") == ((TIMED_OUT, None), (TIMED_OUT, None))
