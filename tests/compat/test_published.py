"""TCP through a published port, with each tool."""

from tests.compat.network import Network, compared, edge
from tests.compat.tools import GUEST_PORT, HOST_PORT, Forward
from tests.e2e.outside import ADDRESS, ADDRESS_6, OTHER_ADDRESS, peer
from tests.e2e.processes import line_of

ALL = ("0.0.0.0", GUEST_PORT)
PUBLISHED = (ADDRESS, HOST_PORT)


@compared
def test_published(network: Network) -> str:
    with network.published(*peer("tcp", "echo", *ALL)):
        return network.inbound(*peer("tcp", "exchange", *PUBLISHED, 10))


@compared
def test_published_from_loopback(network: Network) -> str:
    with network.published(*peer("tcp", "echo", *ALL)):
        return network.inbound(*peer("tcp", "exchange", "127.0.0.1", HOST_PORT, 10))


@compared
def test_published_on_ipv6(network: Network) -> str:
    """Whatever family the tool chooses inside, once the guest's addresses are no more tentative."""
    settle = "while ip -6 address show tentative | grep -q .; do sleep 0.02; done"
    server = ("sh", "-c", f'{settle}; exec "$@"', "sh", *edge("tell_address", "::", GUEST_PORT))
    with network.published(*server, forwards=[Forward("tcp", ADDRESS_6)]):
        said = network.inbound(*edge("hear_from", ADDRESS_6, HOST_PORT))
    return "reached" if said.count(".") == 3 or ":" in said else said


@compared
def test_published_shows_client(network: Network) -> str:
    with network.published(*edge("tell_address", *ALL)):
        return network.inbound(*edge("hear_from", *PUBLISHED, OTHER_ADDRESS))


@compared
def test_published_half_close_by_client(network: Network) -> str:
    with network.published(*peer("tcp", "answer_late", *ALL)):
        return network.inbound(*peer("tcp", "ask", *PUBLISHED))


@compared
def test_published_half_close_by_server(network: Network) -> str:
    with network.published(*edge("end_first", *ALL)) as server:
        heard = network.inbound(*edge("end_second", *PUBLISHED))
        return f"{heard} {line_of(server)}" if heard == "same" else heard


@compared
def test_published_reset_by_server(network: Network) -> str:
    with network.published(*peer("tcp", "reset", *ALL)):
        return network.inbound(*edge("hear_from", *PUBLISHED))


@compared
def test_published_reset_by_client(network: Network) -> str:
    with network.published(*edge("answer_and_listen", *ALL)) as server:
        assert network.inbound(*edge("abort", *PUBLISHED)) == "done"
        return line_of(server)


@compared
def test_published_nobody_listens(network: Network) -> str:
    with network.published("sh", "-c", "echo ready; exec sleep 1000"):
        return network.inbound(*edge("listen", *PUBLISHED))


@compared
def test_published_server_speaks_first(network: Network) -> str:
    with network.published(*edge("greet_and_close", *ALL)):
        return network.inbound(*edge("listen", *PUBLISHED))


@compared
def test_published_download(network: Network) -> str:
    with network.published(*edge("give_bulk", *ALL)) as server:
        digest = network.inbound(*edge("download", *PUBLISHED))
        return "same" if digest == line_of(server) else "different"


@compared
def test_published_upload(network: Network) -> str:
    with network.published(*edge("take_bulk", *ALL)):
        return network.inbound(*edge("upload", *PUBLISHED))
