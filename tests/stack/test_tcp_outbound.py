"""TCP that the guest opens: it is told what became of the host's connect, as if it were its own."""

import errno

import pytest
from scapy.layers.inet import TCP, TCPerror

from rootlessnet.tcp.interface import TOMBSTONE
from rootlessnet.wire.icmp import Reason
from tests.stack.side import Side
from tests.stack.tcp_guest import ISN, established, opening, said
from tests.stack.world import World, assert_unreachable

# ── opening ──────────────────────────────────────────────────────────────────────────────────────


def test_a_syn_is_answered_when_the_host_has_connected(side: Side) -> None:
    world = World()
    host = opening(world, side.tcp("S"))
    world.pass_time(60)  # connecting takes its time
    world.send(side.tcp("S"))
    world.send(side.tcp("S"))
    assert world.heard() == []
    assert world.host.tcp == [host]
    assert host.targets == ((side.remote, 80),)

    host.connection.accept(world.now)
    answer = world.heard_one()
    assert (answer[side.ip].src, answer[TCP].sport) == (side.remote, 80)
    assert (answer[side.ip].dst, answer[TCP].dport) == (side.guest, 40000)
    assert (answer[TCP].flags, answer[TCP].ack) == ("SA", ISN + 1)
    assert host.calls == []
    world.send(side.tcp("A", seq=ISN + 1, ack=answer[TCP].seq + 1))
    assert host.calls == ["established"]


@pytest.mark.parametrize("mtu", [576, 1500, 65520])
def test_the_segments_we_take_fit_the_mtu(side: Side, mtu: int) -> None:
    world = World(mtu=mtu)
    opening(world, side.tcp("S")).connection.accept(world.now)
    assert dict(world.heard_one()[TCP].options)["MSS"] == mtu - side.header_size - 20


def test_an_answer_that_was_lost_is_repeated(side: Side) -> None:
    world = World()
    opening(world, side.tcp("S")).connection.accept(world.now)
    first = world.heard_one()
    world.pass_time(1.1)
    assert said(world.heard_one()) == said(first)


@pytest.mark.parametrize("what", ["sport", "dport", "dst", "src"])
def test_addresses_and_ports_tell_connections_apart(side: Side, what: str) -> None:
    world = World()
    other = {
        "sport": side.tcp("S", sport=40001),
        "dport": side.tcp("S", dport=81),
        "dst": side.tcp("S", dst=side.other),
        "src": side.tcp("S", src=side.other_guest),
    }[what]
    first, second = opening(world, side.tcp("S")), opening(world, other)
    second.connection.accept(world.now)
    answer = world.heard_one()
    assert (answer[side.ip].src, answer[TCP].sport) == (other[side.ip].dst, other[TCP].dport)
    assert (answer[side.ip].dst, answer[TCP].dport) == (other[side.ip].src, other[TCP].sport)
    first.flow.connect_failed(errno.ECONNREFUSED)
    assert (world.heard_one()[TCP].flags, len(world.gateway.tcp)) == ("RA", 1)


def test_the_guest_loses_patience(side: Side) -> None:
    world = World()
    host = opening(world, side.tcp("S"))
    world.send(side.tcp("R", seq=ISN + 1))
    assert host.calls == ["abort"]
    host.flow.connect_failed(errno.EHOSTUNREACH)  # news that nobody waits for
    assert (world.heard(), len(world.gateway.tcp)) == ([], 0)


# ── the host's connect fails ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("error", [errno.ECONNREFUSED, errno.ECONNRESET])
def test_refused(side: Side, error: int) -> None:
    """With ACK, or the guest would not heed it (RFC 9293 3.10.7.3)."""
    world = World()
    opening(world, side.tcp("S")).flow.connect_failed(error)
    assert said(world.heard_one()) == ("RA", 0, ISN + 1, b"")
    assert len(world.gateway.tcp) == 0


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errno.ENETUNREACH, Reason.NO_ROUTE),
        (errno.EHOSTUNREACH, Reason.HOST_UNREACHABLE),
        (errno.EACCES, Reason.PROHIBITED),
        (errno.EPERM, Reason.PROHIBITED),
        (errno.EAFNOSUPPORT, Reason.NO_ROUTE),
        (errno.EADDRNOTAVAIL, Reason.HOST_UNREACHABLE),  # whatever else a connect may end with
    ],
)
def test_unreachable(side: Side, error: int, reason: Reason) -> None:
    world, syn = World(), side.tcp("S", seq=0xFFFFFFF0)
    opening(world, syn).flow.connect_failed(error)
    answer = world.heard_one()
    assert_unreachable(answer, syn, side.errors[reason][1])
    # By this number the guest's kernel knows that nobody forged the error.
    assert answer[TCPerror].seq == 0xFFFFFFF0
    assert len(world.gateway.tcp) == 0


@pytest.mark.parametrize(
    "error",
    [
        errno.ETIMEDOUT,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.EAGAIN,
    ],
    ids=errno.errorcode.get,
)
def test_silence_until_the_guest_asks_again(side: Side, error: int) -> None:
    world = World()
    opening(world, side.tcp("S")).flow.connect_failed(error)
    assert (world.heard(), len(world.gateway.tcp)) == ([], 0)
    opening(world, side.tcp("S")).connection.accept(world.now)
    assert world.heard_one()[TCP].flags == "SA"


def test_a_failure_after_the_answer_is_not_the_connect_s(side: Side) -> None:
    world = World()
    host, _ = established(world, dst=side.remote)
    host.flow.connect_failed(errno.ECONNREFUSED)
    assert (world.heard(), len(world.gateway.tcp)) == ([], 1)


# ── data and the end ─────────────────────────────────────────────────────────────────────────────


def test_data_both_ways(side: Side) -> None:
    world = World()
    host, number = established(world, dst=side.remote)
    world.send(side.tcp("PA", seq=ISN + 1, ack=number, payload=b"request"))
    assert host.delivered == b"request"
    host.connection.send(b"response", world.now)
    assert said(world.heard_one()) == ("PA", number, ISN + 8, b"response")
    world.send(side.tcp("A", seq=ISN + 8, ack=number + 8))
    assert world.heard() == []


def test_much_data_leaves_as_one_frame_for_the_guest_s_kernel_to_cut(side: Side) -> None:
    world = World()
    host, number = established(world, dst=side.remote)
    host.connection.send(bytes(20_000), world.now)
    assert said(world.heard_one()) == ("PA", number, ISN + 1, bytes(20_000))


def test_a_delayed_acknowledgement(side: Side) -> None:
    world = World()
    _, number = established(world, dst=side.remote)
    world.send(side.tcp("PA", seq=ISN + 1, ack=number, payload=b"request"))
    assert world.heard() == []
    world.pass_time(0.01)
    assert said(world.heard_one()) == ("A", number, ISN + 8, b"")


def test_the_guest_closes_first(side: Side) -> None:
    world = World()
    host, number = established(world, dst=side.remote)
    world.send(side.tcp("FPA", seq=ISN + 1, ack=number, payload=b"last"))
    assert (host.delivered, host.calls) == (b"last", ["established", "finish"])
    host.connection.send(b"answer", world.now)  # a half-closed connection
    host.connection.close(world.now)
    answer, fin = world.heard()
    assert said(answer) == ("PA", number, ISN + 6, b"answer")
    assert said(fin) == ("FA", number + 6, ISN + 6, b"")
    world.send(side.tcp("A", seq=ISN + 6, ack=number + 7))
    assert (world.heard(), len(world.gateway.tcp)) == ([], 0)


def test_the_host_closes_first(side: Side) -> None:
    world = World()
    host, number = established(world, dst=side.remote)
    host.connection.close(world.now)
    assert said(world.heard_one()) == ("FA", number, ISN + 1, b"")
    world.send(side.tcp("PA", seq=ISN + 1, ack=number + 1, payload=b"more"))
    world.send(side.tcp("FA", seq=ISN + 5, ack=number + 1))
    assert (host.delivered, host.calls) == (b"more", ["established", "finish"])
    assert said(world.heard()[-1]) == ("A", number + 1, ISN + 6, b"")
    world.pass_time(TOMBSTONE + 0.1)
    assert len(world.gateway.tcp) == 0


def test_the_guest_resets(side: Side) -> None:
    world = World()
    host, _ = established(world, dst=side.remote)
    world.send(side.tcp("R", seq=ISN + 1))
    assert host.calls == ["established", "abort"]
    assert (world.heard(), len(world.gateway.tcp)) == ([], 0)


def test_the_host_resets(side: Side) -> None:
    world = World()
    host, number = established(world, dst=side.remote)
    host.connection.abort()
    assert said(world.heard_one()) == ("RA", number, ISN + 1, b"")
    assert len(world.gateway.tcp) == 0
