"""UDP, ICMP and names, with each tool."""

from tests.compat.conftest import FIRST_NAMESERVER, SECOND_NAMESERVER
from tests.compat.network import UDP, Network, compared, edge
from tests.compat.tools import DNS, GATEWAY, GUEST_PORT, HOST_PORT, Forward
from tests.e2e.outside import ADDRESS, NO_ROUTE, OTHER_ADDRESS, peer

ALL = ("0.0.0.0", GUEST_PORT)
PUBLISHED = (ADDRESS, HOST_PORT)


@compared
def test_udp(network: Network) -> str:
    with network.server(*peer("udp", "echo", ADDRESS, 5000)):
        return network.outbound(*peer("udp", "exchange", ADDRESS, 5000, 1, 1000))


@compared
def test_udp_largest(network: Network) -> str:
    with network.server(*peer("udp", "echo", ADDRESS, 5000)):
        return network.outbound(*peer("udp", "exchange", ADDRESS, 5000, 65507))


@compared
def test_udp_refused(network: Network) -> str:
    return network.outbound(*peer("udp", "hear", ADDRESS, 5000))


@compared
def test_udp_unreachable(network: Network) -> str:
    return network.outbound(*peer("udp", "hear", NO_ROUTE, 5000))


@compared
def test_udp_published(network: Network) -> str:
    with network.published(*peer("udp", "echo", *ALL), forwards=UDP):
        return network.inbound(*peer("udp", "exchange", *PUBLISHED, 1, 1000))


@compared
def test_udp_published_from_loopback(network: Network) -> str:
    with network.published(*peer("udp", "echo", *ALL), forwards=UDP):
        return network.inbound(*peer("udp", "exchange", "127.0.0.1", HOST_PORT, 1, 1000))


@compared
def test_udp_published_shows_client(network: Network) -> str:
    server = peer("udp", "tell_address", *ALL)
    with network.published(*server, forwards=[Forward("udp", ADDRESS)]):
        return network.inbound(*edge("hear_datagram_from", *PUBLISHED, OTHER_ADDRESS))


# The first of several that is answered counts.
PING = (
    'ping -n -c 1 -w "${PEER_PATIENCE:-10}" "$0" > /dev/null && echo answered || echo "no progress"'
)


@compared
def test_ping_gateway(network: Network) -> str:
    return network.outbound("sh", "-c", PING, GATEWAY)


@compared
def test_ping_outside(network: Network) -> str:
    return network.outbound("sh", "-c", PING, ADDRESS)


def ask(network: Network, protocol: str) -> str:
    """Whether the built-in nameserver answers."""
    dig = f"dig @{DNS} {protocol} +tries=1 +time=${{PEER_PATIENCE:-10}} +short name.example A"
    said = network.outbound("sh", "-c", f"{dig} || echo no progress")
    return "answered" if said == "192.0.2.77" else "no progress"


@compared
def test_dns_by_udp(network: Network) -> str:
    with network.server(*peer("nameserver", FIRST_NAMESERVER, "answer")):
        return ask(network, "+notcp")


@compared
def test_dns_by_tcp(network: Network) -> str:
    with network.server(*peer("nameserver", FIRST_NAMESERVER, "answer")):
        return ask(network, "+tcp")


@compared
def test_second_nameserver(network: Network) -> str:
    with network.server(*peer("nameserver", SECOND_NAMESERVER, "answer")):
        return ask(network, "+notcp")
