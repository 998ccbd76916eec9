"""ping(8): the gateway always answers, others through ping sockets of the host.

Needs file capabilities no more than a guest has: as root inside it may open raw sockets, as a
mapped user it needs the guest's own ping sockets.
"""

import pytest

from tests.e2e.conftest import needs
from tests.e2e.outside import ADDRESS, NO_ROUTE, Outside, make_outside

pytestmark = needs("ping")

GATEWAY, DNS = "10.0.2.2", "10.0.2.3"
USERS = [(), ("--map-user",)]


def ping(outside: Outside, *arguments: str, options: tuple[str, ...] = ()) -> tuple[int, str]:
    """The exit status and the output of one ping in a guest."""
    words = ("ping", "-n", "-c", "1", "-W", "10", *arguments)
    done = outside.rootlessnet.run("run", *options, "--", *words)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("options", USERS, ids=["root", "user"])
@pytest.mark.parametrize("address", [GATEWAY, DNS, ADDRESS, "127.0.0.1", "10.0.2.100"])
def test_answered(outside: Outside, address: str, options: tuple[str, ...]) -> None:
    status, said = ping(outside, address, options=options)
    assert status == 0, said
    assert f"bytes from {address}: icmp_seq=1" in said


@pytest.mark.parametrize("size", ["0", "1472", "1473", "30000", "65507"])
@pytest.mark.parametrize("address", [GATEWAY, ADDRESS])
def test_sizes(outside: Outside, address: str, size: str) -> None:
    """As fragments where they are larger than the MTU."""
    status, said = ping(outside, "-s", size, address, options=("--mtu", "1500"))
    assert status == 0, said
    assert f"{int(size) + 8} bytes from {address}" in said


@pytest.mark.parametrize("options", USERS, ids=["root", "user"])
def test_several_at_once(outside: Outside, options: tuple[str, ...]) -> None:
    words = f"ping -n -c 3 -i 0.2 -W 10 {ADDRESS}"
    script = f"{words} & {words} & {words}; status=$?; wait; exit $status"
    done = outside.rootlessnet.run("run", *options, "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" 0% packet loss") == 3


def test_no_route(outside: Outside) -> None:
    status, said = ping(outside, NO_ROUTE)
    assert status == 1
    assert "Unreachable" in said


@pytest.mark.parametrize("options", USERS, ids=["root", "user"])
def test_where_ping_sockets_are_closed(options: tuple[str, ...]) -> None:
    """Only the gateway answers; for the others there is an error, not silence."""
    with make_outside(ping_sockets=False) as outside:
        assert ping(outside, GATEWAY, options=options)[0] == 0
        status, said = ping(outside, ADDRESS, options=options)
        assert status == 1
        assert "filtered" in said
