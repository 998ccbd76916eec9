"""UDP, outbound and through published ports, from empty datagrams to the largest."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.addresses import IPV4, IPV6, Addresses
from tests.e2e.outside import ADDRESS, ADDRESS_6, Outside, peer

GATEWAY = IPV4.gateway
# Around what one packet or two hold at an MTU of 1500, one at 65520, and at all; headers are 28
# bytes of IPv4, 48 of IPv6 and 8 more of a fragment.
SIZES = {
    IPV4: "0 1 1471 1472 1473 2952 2953 9000 32768 65491 65492 65493 65507",
    IPV6: "0 1 1451 1452 1453 2888 2889 9000 32768 65471 65472 65473 65507",
}
LEAST_MTU = {IPV4: "576", IPV6: "1280"}
EACH_MTU = [(ip, mtu) for ip in SIZES for mtu in (LEAST_MTU[ip], "1500", "65520")]


def outbound(outside: Outside, *client: str, mtu: str = "65520") -> str:
    """What a client in a guest says."""
    done = outside.rootlessnet.run("run", "--mtu", mtu, "--", *client)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextmanager
def published(
    outside: Outside,
    ip: Addresses,
    behaviour: str,
    mtu: str = "65520",
    port: str = "8080:5000/udp",
) -> Iterator[None]:
    """While a server in a guest is published."""
    server = peer("udp", behaviour, ip.every, 5000)
    with outside.rootlessnet.serving("run", "--mtu", mtu, "-p", port, "--", *server):
        yield


def inbound(outside: Outside, *client: str) -> str:
    """What a client on the host says."""
    done = outside.program(*client).run()
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(("ip", "mtu"), EACH_MTU, ids=str)
def test_every_size_outbound(outside: Outside, ip: Addresses, mtu: str) -> None:
    with outside.program(*peer("udp", "echo", ip.address, 5000)).serving():
        client = peer("udp", "exchange", ip.address, 5000, *SIZES[ip].split())
        assert outbound(outside, *client, mtu=mtu) == SIZES[ip]


@pytest.mark.parametrize(("ip", "mtu"), EACH_MTU, ids=str)
def test_every_size_inbound(outside: Outside, ip: Addresses, mtu: str) -> None:
    """Also from the loopback, whose clients appear as the gateway, be they of the other family."""
    with published(outside, ip, "echo", mtu):
        for address in (ip.address, IPV4.loopback, IPV6.loopback):
            client = peer("udp", "exchange", address, 8080, *SIZES[ip].split())
            assert inbound(outside, *client) == SIZES[ip]


@pytest.mark.parametrize("options", [(), ("--no-offload",), ("--mtu", "1500")], ids=" ".join)
@pytest.mark.parametrize("size", ["20", "1400"])
def test_datagrams_in_a_row(
    outside: Outside, ip: Addresses, size: str, options: tuple[str, ...]
) -> None:
    """As bursts on their way, they arrive as they were sent: out of the guest, and into it."""
    row = (30, 40, size)
    with outside.program(*peer("udp", "echo", ip.address, 5000)).serving():
        done = outside.rootlessnet.run(
            "run", *options, "--", *peer("udp", "rows", ip.address, 5000, *row)
        )
        assert (done.stdout.strip(), done.stderr) == ("30", "")
    server = peer("udp", "echo", ip.every, 5000)
    with outside.rootlessnet.serving("run", *options, "-p", "8080:5000/udp", "--", *server):
        assert inbound(outside, *peer("udp", "rows", ip.address, 8080, *row)) == "30"


@pytest.mark.parametrize(
    ("address", "seen"),
    [(ADDRESS, ADDRESS), ("127.0.0.1", GATEWAY), ("::1", GATEWAY), (ADDRESS_6, GATEWAY)],
)
def test_guest_sees_the_client(outside: Outside, address: str, seen: str) -> None:
    with published(outside, IPV4, "tell_address"):
        assert inbound(outside, *peer("udp", "hear", address, 8080)) == seen


def test_published_on_one_address_only(outside: Outside, ip: Addresses) -> None:
    with published(outside, ip, "tell_address", port=f"{ip.at(8080)}:5000/udp"):
        assert inbound(outside, *peer("udp", "hear", ip.address, 8080)) == ip.address
        assert inbound(outside, *peer("udp", "hear", ip.other_address, 8080)) == "ECONNREFUSED"


def test_host_port_that_is_closed(outside: Outside, ip: Addresses) -> None:
    """The host's port unreachable message arrives in the guest, at the socket that it is about."""
    assert outbound(outside, *peer("udp", "hear", ip.address, 5000)) == "ECONNREFUSED"


def test_no_route(outside: Outside, ip: Addresses) -> None:
    """The same error as on the host, from an ICMP message instead of the routing table."""
    client = peer("udp", "hear", ip.no_route, 5000)
    assert inbound(outside, *client) == "ENETUNREACH"
    assert outbound(outside, *client) == "ENETUNREACH"


def test_several_clients_outbound(outside: Outside, ip: Addresses) -> None:
    with outside.program(*peer("udp", "echo", ip.address, 5000)).serving():
        assert outbound(outside, *peer("udp", "crowd", ip.address, 5000, 50)) == "100"


@pytest.mark.parametrize("local", [False, True])
def test_several_clients_inbound(outside: Outside, ip: Addresses, local: bool) -> None:
    address = ip.loopback if local else ip.address
    with published(outside, ip, "echo"):
        assert inbound(outside, *peer("udp", "crowd", address, 8080, 50)) == "100"


def test_both_protocols_on_one_port(outside: Outside, ip: Addresses) -> None:
    options = ("-p", "8080:5000/tcp", "-p", "8080:5000/udp")
    servers = f"""
        {" ".join(peer("tcp", "tell_address", ip.every, 5000))} | grep --line-buffered ready
    """
    both = f"{' '.join(peer('udp', 'echo', ip.every, 5000))} > /dev/null & {servers}"
    with outside.rootlessnet.serving("run", *options, "--", "sh", "-c", both):
        assert inbound(outside, *peer("tcp", "hear", ip.address, 8080)) == ip.address
        assert inbound(outside, *peer("udp", "exchange", ip.address, 8080, 5)) == "5"
