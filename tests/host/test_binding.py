"""Host ports that the user left open, and what a bound socket is like."""

import errno
import os
import socket
from ipaddress import ip_address
from pathlib import Path

import pytest

from rootlessnet.forward import FREE, Forward, Protocol, parse_forwards
from rootlessnet.host import binding
from rootlessnet.host.binding import Binding, bind_all
from rootlessnet.host.forwards import Forwards
from tests.conftest import first_of_free_ports
from tests.host.world import LOOPBACK, LOOPBACK_6, FarEnd, is_taken

PROTOCOLS: tuple[Protocol, ...] = ("tcp", "udp")
MAX_ACK_BACKLOG = 28  # offset of tcpi_sacked, which a listening socket has for it: linux/tcp.h


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("80", [LOOPBACK, LOOPBACK_6]),
        ("127.0.0.1::80", [LOOPBACK]),
        ("[::1]::80", [LOOPBACK_6]),
        ("0.0.0.0::80", [LOOPBACK]),
    ],
)
def test_a_free_port(forwards: Forwards, protocol: Protocol, text: str, taken: list[str]) -> None:
    (found,) = forwards.open(*parse_forwards(f"{text}/{protocol}"))
    assert found.is_settled
    addresses = [LOOPBACK, LOOPBACK_6]
    assert [one for one in addresses if is_taken(protocol, one, found.host_port)] == taken
    assert forwards.published == (found,)
    forwards.close(found)
    assert not any(is_taken(protocol, one, found.host_port) for one in addresses)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_port_that_is_free_on_one_family_only_is_not_taken(
    far_end: FarEnd, protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel gives one that somebody has on ::1; then another."""
    first = first_of_free_ports(2)
    far_end.listen(LOOPBACK_6, first) if protocol == "tcp" else far_end.udp(LOOPBACK_6, first)
    given = iter((first, first + 1))

    class Kernel(socket.socket):
        def bind(self, name: tuple[str, int]) -> None:  # type: ignore[override]  # narrower
            address, port = name[:2]
            super().bind((address, next(given) if port == FREE else port))

    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", Kernel)
        (found,) = bind_all([Forward(FREE, 80, protocol)])
    found.close()
    assert found.forward == Forward(first + 1, 80, protocol)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_first_free_port_of_a_range(
    forwards: Forwards, far_end: FarEnd, protocol: Protocol
) -> None:
    first = first_of_free_ports(4)
    far_end.listen(port=first) if protocol == "tcp" else far_end.udp(port=first)
    text = f"{first}-{first + 3}:80/{protocol}"
    found = [forwards.open(*parse_forwards(text)) for _ in range(2)]
    assert found == [(Forward(first + offset, 80, protocol),) for offset in (1, 2)]


def test_what_leaves_no_choice_comes_first(forwards: Forwards) -> None:
    """And is told in the order of the words."""
    first = first_of_free_ports(2)
    wanted = [f"{first}-{first + 1}:80", f"{first}:81"]
    found = forwards.open(*(one for text in wanted for one in parse_forwards(text)))
    assert found == (Forward(first + 1, 80), Forward(first, 81))
    assert forwards.published == found


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_backlog_is_the_limit_of_the_system(address: str) -> None:
    limit = int(Path("/proc/sys/net/core/somaxconn").read_text())
    (bound,) = bind_all([Forward(FREE, 80, host_address=ip_address(address))])
    (listening,) = bound.sockets
    info = listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
    bound.close()
    assert int.from_bytes(info[MAX_ACK_BACKLOG:32], "little") == min(limit, 65535)


def test_a_refusal_in_the_midst_of_a_range_is_not_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only a port in use has another one tried."""
    asked: list[int] = []

    def refuse(_protocol: Protocol, _address: str, port: int) -> socket.socket:
        asked.append(port)
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(binding, "_bind_one", refuse)
    with pytest.raises(Exception, match="port 80 is privileged") as refused:
        bind_all([Forward(80, 80, host_port_end=90)])
    assert "80-90:80/tcp" in str(refused.value)
    assert asked == [80]


def test_closing_is_idempotent(free_port: int) -> None:
    one = socket.create_server((LOOPBACK, free_port))
    bound = Binding(Forward(free_port, 80), (one,))
    bound.close()
    bound.close()
    assert not is_taken("tcp", LOOPBACK, free_port)
