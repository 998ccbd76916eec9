"""ping(8): the gateway always answers, others through ping sockets of the host.

Needs file capabilities no more than a guest has: as root inside it may open raw sockets, as a
mapped user it needs the guest's own ping sockets.
"""

import pytest

from tests.e2e.addresses import FAMILIES, IPV4, IPV6, Addresses
from tests.e2e.conftest import needs
from tests.e2e.outside import Outside, make_outside

pytestmark = needs("ping")

PROHIBITED = {IPV4: "Packet filtered", IPV6: "Administratively prohibited"}
USERS = [(), ("--map-user",)]


def ping(outside: Outside, *arguments: str, options: tuple[str, ...] = ()) -> tuple[int, str]:
    """The exit status and the output of one ping in a guest."""
    words = ("ping", "-n", "-c", "1", "-W", "10", *arguments)
    done = outside.rootlessnet.run("run", *options, "--", *words)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("options", USERS, ids=["root", "user"])
@pytest.mark.parametrize(
    "address",
    [
        address
        for ip in FAMILIES
        for address in (ip.gateway, ip.dns, ip.address, ip.loopback, ip.guest)
    ],
)
def test_answered(outside: Outside, address: str, options: tuple[str, ...]) -> None:
    status, said = ping(outside, address, options=options)
    assert status == 0, said
    assert f"bytes from {address}: icmp_seq=1" in said


@pytest.mark.parametrize("packet", [28, 1500, 1501, 30000, 65535])
def test_sizes(outside: Outside, ip: Addresses, packet: int) -> None:
    """As fragments where they are larger than the MTU."""
    message = max(packet - ip.header, 8)
    for address in (ip.gateway, ip.address):
        size = ("-s", str(message - 8))
        status, said = ping(outside, *size, address, options=("--mtu", "1500"))
        assert status == 0, said
        assert f"{message} bytes from {address}" in said


@pytest.mark.parametrize("options", USERS, ids=["root", "user"])
def test_several_at_once(outside: Outside, ip: Addresses, options: tuple[str, ...]) -> None:
    words = f"ping -n -c 3 -i 0.2 -W 10 {ip.address}"
    script = f"{words} & {words} & {words}; status=$?; wait; exit $status"
    done = outside.rootlessnet.run("run", *options, "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" 0% packet loss") == 3


def test_no_route(outside: Outside, ip: Addresses) -> None:
    told = {IPV4: "Destination Net Unreachable", IPV6: "Destination unreachable: No route"}
    status, said = ping(outside, ip.no_route)
    assert status == 1
    assert f"From {ip.gateway} icmp_seq=1 {told[ip]}" in said


@pytest.mark.parametrize("options", USERS, ids=["root", "user"])
def test_where_ping_sockets_are_closed(ip: Addresses, options: tuple[str, ...]) -> None:
    """Only the gateway answers; for the others there is an error, not silence."""
    with make_outside(ping_sockets=False) as outside:
        assert ping(outside, ip.gateway, options=options)[0] == 0
        status, said = ping(outside, ip.address, options=options)
        assert status == 1
        assert PROHIBITED[ip] in said
