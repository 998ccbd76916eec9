"""UDP, outbound and through published ports, from empty datagrams to the largest."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.outside import ADDRESS, ADDRESS_6, NO_ROUTE, OTHER_ADDRESS, Outside, peer

GATEWAY = "10.0.2.2"
# Around what one packet holds at an MTU of 1500, of 65520, and at all; 28 bytes are headers.
SIZES = "0 1 1471 1472 1473 2952 2953 9000 32768 65491 65492 65493 65507"


def outbound(outside: Outside, *client: str, mtu: str = "65520") -> str:
    """What a client in a guest says."""
    done = outside.rootlessnet.run("run", "--mtu", mtu, "--", *client)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextmanager
def published(
    outside: Outside, behaviour: str, mtu: str = "65520", port: str = "8080:5000/udp"
) -> Iterator[None]:
    """While a server in a guest is published."""
    server = peer("udp", behaviour, "0.0.0.0", 5000)
    with outside.rootlessnet.serving("run", "--mtu", mtu, "-p", port, "--", *server):
        yield


def inbound(outside: Outside, *client: str) -> str:
    """What a client on the host says."""
    done = outside.program(*client).run()
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("mtu", ["576", "1500", "65520"])
def test_every_size_outbound(outside: Outside, mtu: str) -> None:
    with outside.program(*peer("udp", "echo", ADDRESS, 5000)).serving():
        client = peer("udp", "exchange", ADDRESS, 5000, *SIZES.split())
        assert outbound(outside, *client, mtu=mtu) == SIZES


@pytest.mark.parametrize("mtu", ["576", "1500", "65520"])
@pytest.mark.parametrize("address", [ADDRESS, "127.0.0.1", "::1"])
def test_every_size_inbound(outside: Outside, mtu: str, address: str) -> None:
    with published(outside, "echo", mtu):
        client = peer("udp", "exchange", address, 8080, *SIZES.split())
        assert inbound(outside, *client) == SIZES


@pytest.mark.parametrize(
    ("address", "seen"),
    [(ADDRESS, ADDRESS), ("127.0.0.1", GATEWAY), ("::1", GATEWAY), (ADDRESS_6, GATEWAY)],
)
def test_guest_sees_the_client(outside: Outside, address: str, seen: str) -> None:
    with published(outside, "tell_address"):
        assert inbound(outside, *peer("udp", "hear", address, 8080)) == seen


def test_published_on_one_address_only(outside: Outside) -> None:
    with published(outside, "tell_address", port=f"{ADDRESS}:8080:5000/udp"):
        assert inbound(outside, *peer("udp", "hear", ADDRESS, 8080)) == ADDRESS
        assert inbound(outside, *peer("udp", "hear", OTHER_ADDRESS, 8080)) == "ECONNREFUSED"


def test_host_port_that_is_closed(outside: Outside) -> None:
    """The host's port unreachable message arrives in the guest, at the socket that it is about."""
    assert outbound(outside, *peer("udp", "hear", ADDRESS, 5000)) == "ECONNREFUSED"


def test_no_route(outside: Outside) -> None:
    """The same error as on the host, from an ICMP message instead of the routing table."""
    client = peer("udp", "hear", NO_ROUTE, 5000)
    assert inbound(outside, *client) == "ENETUNREACH"
    assert outbound(outside, *client) == "ENETUNREACH"


def test_several_clients_outbound(outside: Outside) -> None:
    with outside.program(*peer("udp", "echo", ADDRESS, 5000)).serving():
        assert outbound(outside, *peer("udp", "crowd", ADDRESS, 5000, 50)) == "100"


@pytest.mark.parametrize("address", [ADDRESS, "127.0.0.1"])
def test_several_clients_inbound(outside: Outside, address: str) -> None:
    with published(outside, "echo"):
        assert inbound(outside, *peer("udp", "crowd", address, 8080, 50)) == "100"


def test_both_protocols_on_one_port(outside: Outside) -> None:
    options = ("-p", "8080:5000/tcp", "-p", "8080:5000/udp")
    servers = f"""
        {" ".join(peer("tcp", "tell_address", "0.0.0.0", 5000))} | grep --line-buffered ready
    """
    both = f"{' '.join(peer('udp', 'echo', '0.0.0.0', 5000))} > /dev/null & {servers}"
    with outside.rootlessnet.serving("run", *options, "--", "sh", "-c", both):
        assert inbound(outside, *peer("tcp", "hear", ADDRESS, 8080)) == ADDRESS
        assert inbound(outside, *peer("udp", "exchange", ADDRESS, 8080, 5)) == "5"
