"""TCP from a guest, with each tool."""

from tests.compat.network import Network, compared, edge
from tests.e2e.outside import ADDRESS, NO_ROUTE, peer
from tests.e2e.processes import line_of


@compared
def test_connect(network: Network) -> str:
    with network.server(*peer("tcp", "echo", ADDRESS, 5000)):
        return network.outbound(*peer("tcp", "exchange", ADDRESS, 5000, 10))


@compared
def test_refused(network: Network) -> str:
    return network.outbound(*peer("tcp", "hear", ADDRESS, 5000))


@compared
def test_unreachable(network: Network) -> str:
    client = peer("tcp", "hear", NO_ROUTE, 5000)
    assert network.inbound(*client) == "ENETUNREACH"
    return network.outbound(*client)


@compared
def test_dead_host(network: Network) -> str:
    with (
        network.server(*edge("be_dead", ADDRESS, 5001)),
        network.server(*edge("greet_and_close", ADDRESS, 5000)),
    ):
        return network.outbound(*edge("knock", ADDRESS, 5000, 5001))


@compared
def test_half_close_by_client(network: Network) -> str:
    with network.server(*peer("tcp", "answer_late", ADDRESS, 5000)):
        return network.outbound(*peer("tcp", "ask", ADDRESS, 5000))


@compared
def test_half_close_by_server(network: Network) -> str:
    with (
        network.server(*edge("end_first", ADDRESS, 5000)) as server,
        network.client(*edge("end_second", ADDRESS, 5000)) as heard,
    ):
        return f"{heard} {line_of(server)}" if heard == "same" else heard


@compared
def test_reset_by_server(network: Network) -> str:
    with network.server(*peer("tcp", "reset", ADDRESS, 5000)):
        return network.outbound(*peer("tcp", "hear", ADDRESS, 5000))


@compared
def test_reset_by_client(network: Network) -> str:
    with (
        network.server(*edge("answer_and_listen", ADDRESS, 5000)) as server,
        network.client(*edge("abort", ADDRESS, 5000)) as said,
    ):
        assert said == "done"
        return line_of(server)


@compared
def test_end_with_data(network: Network) -> str:
    with network.server(*edge("send_and_close", ADDRESS, 5000)):
        return network.outbound(*edge("read_all", ADDRESS, 5000, 50))


@compared
def test_urgent_data(network: Network) -> str:
    with network.server(*edge("answer_text", ADDRESS, 5000)):
        return network.outbound(*edge("send_urgent", ADDRESS, 5000))


@compared
def test_port_used_again(network: Network) -> str:
    with network.server(*edge("greet_and_close", ADDRESS, 5000)):
        return network.outbound(*edge("use_port_again", ADDRESS, 5000, 6))


@compared
def test_upload(network: Network) -> str:
    with network.server(*edge("take_bulk", ADDRESS, 5000)):
        return network.outbound(*edge("upload", ADDRESS, 5000))


@compared
def test_download(network: Network) -> str:
    with network.server(*edge("give_bulk", ADDRESS, 5000)) as server:
        digest = network.outbound(*edge("download", ADDRESS, 5000))
        return "same" if digest == line_of(server) else "different"
