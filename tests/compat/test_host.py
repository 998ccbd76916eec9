"""What a guest reaches of the host, and its command's end, with each tool."""

import os
import signal

from tests.compat.network import Network, compared
from tests.compat.tools import GATEWAY, Guest, Inexpressible
from tests.e2e.conftest import PATIENCE
from tests.e2e.outside import peer

SHUT = ("ENETUNREACH", "EHOSTUNREACH", "ECONNREFUSED", "ECONNRESET", "no progress")


def reach(network: Network, *, shut: bool) -> str:
    """Whether the guest reaches a server on the host's loopback."""
    client = ("env", "PEER_PATIENCE=2", *peer("tcp", "hear", GATEWAY, 5000))
    with network.server(*peer("tcp", "tell_address", "127.0.0.1", 5000)):
        said = network.outbound(*client, shut_loopback=shut)
    return "shut" if said in SHUT else "open" if said == "127.0.0.1" else said


@compared
def test_loopback_is_shut(network: Network) -> str:
    return reach(network, shut=False)


@compared
def test_loopback_can_be_shut(network: Network) -> str:
    return reach(network, shut=True)


def status(returncode: int) -> str:
    """As the shell says it."""
    return str(128 - returncode if returncode < 0 else returncode)


@compared
def test_exit_status(network: Network) -> str:
    if network.tool.name == "slirp4netns":
        raise Inexpressible
    with network.tool.started(network.outside, Guest(("sh", "-c", "exit 7"))) as process:
        return status(process.wait(PATIENCE))


@compared
def test_signal(network: Network) -> str:
    if network.tool.name == "slirp4netns":
        raise Inexpressible
    script = 'trap "exit 9" TERM; echo ready; while :; do sleep 0.05; done'
    with network.published("sh", "-c", script, forwards=()) as process:
        os.kill(process.pid, signal.SIGTERM)
        return status(process.wait(PATIENCE))
