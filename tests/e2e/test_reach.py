"""What of the host a guest reaches: not its loopback, unless --host-loopback opens it."""

import pytest

from tests.e2e.conftest import needs
from tests.e2e.outside import ADDRESS, Outside, peer

GATEWAY, DNS = "10.0.2.2", "10.0.2.3"
ALL = "0.0.0.0"
UNREACHED = ("ENETUNREACH", "EHOSTUNREACH", "ECONNREFUSED")


def hear(outside: Outside, protocol: str, address: str, *options: str) -> str:
    """What a client in a guest says that asks port 5000 of an address."""
    done = outside.rootlessnet.run("run", *options, "--", *peer(protocol, "hear", address, 5000))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("bound", ["127.0.0.1", ALL])
@pytest.mark.parametrize("address", [GATEWAY, DNS, "127.0.0.1"])
def test_loopback_is_out_of_reach(
    outside: Outside, protocol: str, bound: str, address: str
) -> None:
    with outside.program(*peer(protocol, "tell_address", bound, 5000)).serving():
        assert hear(outside, protocol, address) in UNREACHED


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_loopback_is_opened(outside: Outside, protocol: str) -> None:
    """At the gateway's address; 127.0.0.1 remains the guest's own."""
    with outside.program(*peer(protocol, "tell_address", "127.0.0.1", 5000)).serving():
        assert hear(outside, protocol, GATEWAY, "--host-loopback") == "127.0.0.1"
        assert hear(outside, protocol, "127.0.0.1", "--host-loopback") == "ECONNREFUSED"
        assert hear(outside, protocol, DNS, "--host-loopback") in UNREACHED


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_loopback_that_is_opened_where_nobody_listens(outside: Outside, protocol: str) -> None:
    assert hear(outside, protocol, GATEWAY, "--host-loopback") == "ECONNREFUSED"


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_other_addresses_of_the_host_are_in_reach(outside: Outside, protocol: str) -> None:
    with outside.program(*peer(protocol, "tell_address", ADDRESS, 5000)).serving():
        assert hear(outside, protocol, ADDRESS) == ADDRESS


# Ways to spell the host's loopback that a guest's own kernel would keep to itself.
LOOPBACKS = ("127.0.0.1", "127.0.0.53", "127.255.255.254", "0.0.0.0", "0.0.0.1", GATEWAY, DNS)
NO_HOSTS = ("224.0.0.1", "255.255.255.255", "10.0.2.255", "10.0.2.0")


@needs("ping")
def test_frames_of_a_hostile_guest(outside: Outside) -> None:
    """The one address that is in reach comes last: by then the others have been refused."""
    guest = peer("raw", 5000, *LOOPBACKS, *NO_HOSTS, ADDRESS)
    with (
        outside.program(*peer("tcp", "echo", ALL, 5000)).serving() as tcp,
        outside.program(*peer("udp", "show", ALL, 5000)).serving() as udp,
    ):
        done = outside.rootlessnet.run("run", "--", *guest)
        assert done.returncode == 0, done.stderr
        assert tcp.stdout is not None
        assert udp.stdout is not None
        assert tcp.stdout.readline() == f"connection to {ADDRESS}\n"
        assert udp.stdout.readline() == f"{ADDRESS}\n"
