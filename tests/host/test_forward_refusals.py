"""Ports that cannot be published: what is in the way, and the remedy; nothing stays half done."""

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from rootlessnet.errors import RootlessnetError
from rootlessnet.forward import Forward, Protocol, parse_forwards
from rootlessnet.host import port_holder
from rootlessnet.host.forwards import Forwards
from tests.conftest import first_of_free_ports
from tests.host.world import (
    LOOPBACK,
    LOOPBACK_6,
    FarEnd,
    HostWorld,
    descriptors,
    is_taken,
    no_descriptor_left,
)

GUEST_PORT = 5000
PROTOCOLS: tuple[Protocol, ...] = ("tcp", "udp")
OURSELVES = f"{Path('/proc/self/comm').read_text().strip()!r} (process {os.getpid()})"
ELSEWHERE = "203.0.113.77"  # RFC 5737: no host has it


def refusal(forwards: Forwards, text: str) -> str:
    """What is said of a port that cannot be had. Nothing is left open."""
    before = descriptors()
    (forward,) = parse_forwards(text)
    with pytest.raises(RootlessnetError) as refused:
        forwards.open(forward)
    assert descriptors() == before
    said = str(refused.value)
    assert said.startswith(f"cannot publish {forward}: ")
    return said.removeprefix(f"cannot publish {forward}: ")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("address", ["", "127.0.0.1:"])
def test_a_port_in_use(
    forwards: Forwards, far_end: FarEnd, free_port: int, protocol: str, address: str
) -> None:
    if protocol == "tcp":
        far_end.listen(port=free_port)
    else:
        far_end.udp(port=free_port)
    assert refusal(forwards, f"{address}{free_port}:80/{protocol}") == (
        f"port {free_port} is in use on {address.removesuffix(':') or '0.0.0.0'} (EADDRINUSE) "
        f"by {OURSELVES}: stop it, or take another port"
    )


def test_a_port_in_use_that_nobody_tells_of(
    forwards: Forwards, far_end: FarEnd, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(port_holder, "_PROC", "/nowhere")
    far_end.listen(port=free_port)
    assert refusal(forwards, f"{free_port}:80") == (
        f"port {free_port} is in use on 0.0.0.0 (EADDRINUSE): "
        "stop the program that holds it, or take another port"
    )


def test_a_range_that_is_in_use(forwards: Forwards, far_end: FarEnd) -> None:
    first = first_of_free_ports(2)
    for port in (first, first + 1):
        far_end.listen(port=port)
    assert refusal(forwards, f"127.0.0.1:{first}-{first + 1}:80") == (
        f"none of {first}-{first + 1} is free: port {first + 1} is in use on 127.0.0.1 "
        f"(EADDRINUSE) by {OURSELVES}: stop it, or take another port"
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_port_is_free(
    forwards: Forwards, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    """As when all that the kernel gives away are taken."""

    class FullKernel(socket.socket):
        def bind(self, _name: object) -> None:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))

    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", FullKernel)
        assert refusal(forwards, f"80/{protocol}") == (
            "no port is free on 0.0.0.0 (EADDRINUSE): name one, beyond net.ipv4.ip_local_port_range"
        )


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("words", [("{}:80", "{}:81"), ("{}:80", "82", "{}:81")])
def test_several_are_published_all_or_none(
    forwards: Forwards, far_end: FarEnd, protocol: str, words: tuple[str, ...]
) -> None:
    first = first_of_free_ports(2)
    if protocol == "tcp":
        far_end.listen(port=first + 1)
    else:
        far_end.udp(port=first + 1)
    ports = iter((first, first + 1))
    several = [
        one
        for word in words
        for one in parse_forwards(f"{word.format(next(ports)) if '{' in word else word}/{protocol}")
    ]
    before = descriptors()
    with pytest.raises(RootlessnetError, match=f"^cannot publish {first + 1}:81/{protocol}: "):
        forwards.open(*several)
    assert descriptors() == before
    assert forwards.published == ()
    assert not is_taken(protocol, LOOPBACK, first)


def test_a_port_in_use_on_one_address_of_all(
    forwards: Forwards, far_end: FarEnd, free_port: int
) -> None:
    """All of them, or none."""
    far_end.listen(LOOPBACK_6, free_port)
    assert f"port {free_port} is in use" in refusal(forwards, f"{free_port}:80")
    assert not is_taken("tcp", LOOPBACK, free_port)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may have every port")
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_privileged_port(forwards: Forwards, protocol: str) -> None:
    start = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if start < 2:
        pytest.skip("no port is privileged here")
    said = refusal(forwards, f"{start - 1}:80/{protocol}")
    assert said.startswith(f"port {start - 1} is privileged on 0.0.0.0 (EACCES): take one from ")
    assert said.endswith(f"sysctl net.ipv4.ip_unprivileged_port_start={start - 1}")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_address_of_another_host(forwards: Forwards, free_port: int, protocol: str) -> None:
    assert refusal(forwards, f"{ELSEWHERE}:{free_port}:80/{protocol}") == (
        f"{ELSEWHERE} is not an address of this host (EADDRNOTAVAIL): take one of its own, "
        "or leave it out for all"
    )


def test_an_interface_that_is_not_there(forwards: Forwards, free_port: int) -> None:
    assert refusal(forwards, f"[fe80::1%none]:{free_port}:80") == (
        "fe80::1%none is not an address of this host (EAI_NONAME): "
        "take one of its own, or leave it out for all"
    )


def test_any_other_failure(forwards: Forwards, free_port: int) -> None:
    forward = Forward(free_port, 80)
    with no_descriptor_left(), pytest.raises(RootlessnetError) as refused:
        forwards.open(forward)
    assert str(refused.value) == (
        f"cannot publish {forward}: Too many open files: "
        "raise the limit (ulimit -n), or publish fewer ports"
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_port_that_cannot_be_watched(
    forwards: Forwards,
    world: HostWorld,
    free_port: int,
    monkeypatch: pytest.MonkeyPatch,
    protocol: Protocol,
) -> None:
    """The second of its sockets, as when the user's epoll registrations are used up."""
    add, calls = world.reactor.add, []

    def add_one(descriptor: int, events: int, callback: Callable[[int], None]) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        add(descriptor, events, callback)

    monkeypatch.setattr(world.reactor, "add", add_one)
    assert "No space left on device" in refusal(forwards, f"{free_port}:80/{protocol}")
    assert not is_taken(protocol, LOOPBACK, free_port)
    forwards.open(Forward(free_port, 80, protocol))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_publishing_when_all_has_ended(
    forwards: Forwards, world: HostWorld, free_port: int, protocol: Protocol
) -> None:
    world.reactor.close()
    assert "has ended" in refusal(forwards, f"{free_port}:80/{protocol}")
    assert not is_taken(protocol, LOOPBACK, free_port)


@pytest.mark.parametrize("error", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
def test_a_host_without_ipv6(
    forwards: Forwards, free_port: int, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    class OtherKernel(socket.socket):
        def __init__(self, family: int, kind: int) -> None:
            if family == socket.AF_INET6:
                raise OSError(error, "no IPv6")
            super().__init__(family, kind)

    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", OtherKernel)
        forwards.open(Forward(free_port, 80))
    assert is_taken("tcp", LOOPBACK, free_port)
    assert not is_taken("tcp", LOOPBACK_6, free_port)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_published_twice(forwards: Forwards, free_port: int, protocol: Protocol) -> None:
    forward = Forward(free_port, GUEST_PORT, protocol)
    forwards.open(forward)
    assert refusal(forwards, str(forward)) == "it is published already"
    forwards.close(forward)
    forwards.open(forward)


def test_withdrawing_what_is_not_published(forwards: Forwards, free_port: int) -> None:
    forward = Forward(free_port, GUEST_PORT)
    with pytest.raises(RootlessnetError, match="it is not published"):
        forwards.close(forward)
