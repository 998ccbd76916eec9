"""The host's half of a connection comes about, or does not: the guest is told which."""

import socket

import pytest

from rootlessnet.stack.network import Network
from tests.host.guest import GuestTcp
from tests.host.world import (
    FarEnd,
    HostWorld,
    closed_port,
    descriptors,
    no_descriptor_left,
    ours,
    port_of,
    reset,
)


def assert_talking(guest: GuestTcp, far: socket.socket) -> None:
    guest.send(b"request")
    assert far.recv(100) == b"request"
    far.sendall(b"response")
    guest.until(lambda: guest.text == b"response", "the response")


def test_connects(world: HostWorld, far_end: FarEnd) -> None:
    listening = far_end.listen()
    guest = GuestTcp.connected(world, port_of(listening))
    assert_talking(guest, far_end.accept(listening))


def test_what_the_host_s_kernel_is_asked_to_do(world: HostWorld, far_end: FarEnd) -> None:
    """The guest's kernel has gathered small writes, the far end is asked whether it lives."""
    listening = far_end.listen()
    GuestTcp.connected(world, port_of(listening))
    far = far_end.accept(listening)
    with ours(far.getpeername()) as host:
        assert host.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert host.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert host.getsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE)


def test_refused(world: HostWorld) -> None:
    before = descriptors()
    _, port = closed_port()
    guest = GuestTcp.connecting(world, port)
    guest.until(lambda: guest.was_reset, "the refusal")
    assert not guest.established
    assert descriptors() == before
    assert len(world.gateway.tcp) == 0


def test_the_host_s_kernel_has_no_way_there(
    world: HostWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so at once, without any event."""
    monkeypatch.setattr(Network, "translate", lambda _self, _destination: "255.255.255.255")
    guest = GuestTcp.connecting(world, 53)
    guest.take()
    assert guest.unreachable == 0


def test_no_descriptor_is_left(world: HostWorld, far_end: FarEnd) -> None:
    """Silence: when the guest asks again there may be one."""
    listening = far_end.listen()
    with no_descriptor_left():
        GuestTcp.connecting(world, port_of(listening))
    assert world.heard() == []
    GuestTcp.connected(world, port_of(listening))


def test_the_guest_gives_up(world: HostWorld, far_end: FarEnd) -> None:
    silent = far_end.silent()
    before = descriptors()
    guest = GuestTcp.connecting(world, port_of(silent))
    assert len(descriptors() - before) == 1
    guest.reset()
    assert world.heard() == []
    assert descriptors() == before
    assert len(world.gateway.tcp) == 0


def test_the_far_end_is_gone_before_the_guest_has_answered(
    world: HostWorld, far_end: FarEnd
) -> None:
    before = descriptors()
    listening = far_end.listen()
    guest = GuestTcp.connecting(world, port_of(listening))
    world.reactor.wait(lambda: world.link.written, "the answer to the SYN")
    reset(far_end.accept(listening))
    world.reactor.wait(lambda: len(world.link.written) == 2, "a reset behind it")
    guest.take()
    assert (guest.established, guest.was_reset) == (True, True)
    listening.close()
    assert descriptors() == before


def test_the_far_end_speaks_before_we_know_that_it_accepts(
    world: HostWorld, far_end: FarEnd
) -> None:
    """Both are told by one event, and there is no other."""
    listening = far_end.listen()
    guest = GuestTcp.connecting(world, port_of(listening))
    with far_end.accept(listening) as far:
        far.sendall(b"greeting")
        guest.until(lambda: guest.text == b"greeting", "the greeting")
        guest.reset()


def test_the_far_end_speaks_and_closes_before_the_guest_has_answered(
    world: HostWorld, far_end: FarEnd
) -> None:
    listening = far_end.listen()
    guest = GuestTcp.connecting(world, port_of(listening))
    world.reactor.wait(lambda: world.link.written, "the answer to the SYN")
    with far_end.accept(listening) as far:
        far.sendall(b"greeting")
    world.reactor.let_run()
    guest.until(lambda: guest.finished, "the end")
    assert guest.text == b"greeting"
