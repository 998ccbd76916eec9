"""What stands behind the colon of `podman run --network=slirp4netns:`."""

import pytest

from tests.containers.engine import Podman
from tests.containers.machine import (
    INTERFACE,
    INTERFACE_ADDRESS,
    INTERFACE_ADDRESS_6,
    OTHER_ADDRESS_6,
)
from tests.containers.programs import NetworkProgram
from tests.containers.servers import LOOPBACK, LOOPBACK_PORT, PORT
from tests.e2e.addresses import bracketed
from tests.e2e.outside import ADDRESS, ADDRESS_6, OTHER_ADDRESS

# Waits for an address by router advertisement, where there is one, and for its default route.
WAIT_FOR_IPV6 = """
for attempt in $(seq 100); do
    ! ip -6 route | grep -q '^default' || break
    sleep 0.05
done
"""


def ask(kind: str, address: str, port: int = PORT) -> str:
    """A command that prints what a server tells a client: its address."""
    return f"echo ? | socat -t 0.5 - {kind}:{bracketed(address)}:{port} && echo\n"


pytestmark = pytest.mark.usefixtures("servers")


def test_cidr_and_mtu(podman: Podman, program: NetworkProgram) -> None:
    script = """
    ip -o -4 address show dev tap0
    ip route
    cat /sys/class/net/tap0/mtu /etc/resolv.conf
    """ + ask("TCP", ADDRESS)
    said = podman.shell(script, "--network=slirp4netns:cidr=10.9.8.0/25,mtu=1400")
    assert any("inet 10.9.8.100/25" in line for line in said)
    assert any(line.startswith("default via 10.9.8.2 dev tap0") for line in said)
    assert {"1400", "nameserver 10.9.8.3", ADDRESS} <= set(said)
    (call,) = program.calls()
    assert {"--cidr=10.9.8.0/25", "--mtu=1400"} <= set(call.arguments)


def test_ipv6(podman: Podman, program: NetworkProgram) -> None:
    script = WAIT_FOR_IPV6 + ask("TCP", ADDRESS_6) + ask("UDP", ADDRESS_6)
    assert podman.shell(script, "--network=slirp4netns:enable_ipv6=true") == [ADDRESS_6, ADDRESS_6]
    (call,) = program.calls()
    assert "--enable-ipv6" in call.arguments


def test_no_ipv6(podman: Podman, program: NetworkProgram) -> None:
    script = "ip -o -6 address show dev tap0 scope global; ip -6 route"
    said = podman.shell(script, "--network=slirp4netns:enable_ipv6=false")
    assert not any("default" in line or "fd00:" in line for line in said)
    (call,) = program.calls()
    assert "--enable-ipv6" not in call.arguments


@pytest.mark.parametrize("allowed", [False, True])
def test_allow_host_loopback(podman: Podman, program: NetworkProgram, allowed: bool) -> None:
    script = f"({ask('TCP', '10.0.2.2', LOOPBACK_PORT)}) || echo out of reach"
    network = f"--network=slirp4netns:allow_host_loopback={str(allowed).lower()}"
    assert podman.shell(script, network) == [LOOPBACK if allowed else "out of reach"]
    (call,) = program.calls()
    assert ("--disable-host-loopback" in call.arguments) != allowed


@pytest.mark.parametrize("wanted", [OTHER_ADDRESS, INTERFACE])
def test_outbound_addr(podman: Podman, program: NetworkProgram, wanted: str) -> None:
    script = ask("TCP", ADDRESS) + ask("UDP", ADDRESS)
    seen = INTERFACE_ADDRESS if wanted == INTERFACE else wanted
    said = podman.shell(script, f"--network=slirp4netns:outbound_addr={wanted}")
    assert said == [seen, seen]
    (call,) = program.calls()
    assert f"--outbound-addr={wanted}" in call.arguments


def test_outbound_addr6(podman: Podman, program: NetworkProgram) -> None:
    script = WAIT_FOR_IPV6 + ask("TCP", ADDRESS_6) + ask("UDP", ADDRESS_6)
    option = f"outbound_addr6={OTHER_ADDRESS_6}"
    said = podman.shell(script, f"--network=slirp4netns:enable_ipv6=true,{option}")
    assert said == [OTHER_ADDRESS_6, OTHER_ADDRESS_6]
    (call,) = program.calls()
    assert f"--outbound-addr6={OTHER_ADDRESS_6}" in call.arguments


def test_outbound_addr6_of_an_interface(podman: Podman, program: NetworkProgram) -> None:
    """slirp4netns wants an IPv4 address for it."""
    network = f"--network=slirp4netns:enable_ipv6=true,outbound_addr6={INTERFACE}"
    if program.name == "slirp4netns":
        said = podman.fails("run", "--rm", network, podman.image, "true")
        assert "outbound-addr has to be valid ipv4 address" in said
    else:
        script = WAIT_FOR_IPV6 + ask("TCP", ADDRESS_6) + ask("UDP", ADDRESS_6)
        assert podman.shell(script, network) == [INTERFACE_ADDRESS_6, INTERFACE_ADDRESS_6]
