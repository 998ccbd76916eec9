"""The host's half of a connection that stands: data, back-pressure, half-closing, resets."""

import random
import socket
from typing import NamedTuple

import pytest

from rootlessnet.bounds import DEFAULTS
from rootlessnet.host import tcp as tcp_module
from tests.host.guest import GuestTcp
from tests.host.world import PATIENCE, FarEnd, HostWorld, descriptors, port_of, reset

DATA = random.Random(1).randbytes(3_000_000)
# More than a host socket and the stack hold; the kernel's part of it grows with the segment size.
TOO_MUCH = random.Random(2).randbytes(12_000_000)


class Pair(NamedTuple):
    guest: GuestTcp
    far: socket.socket


@pytest.fixture
def pair(world: HostWorld, far_end: FarEnd) -> Pair:
    """Both ends of a connection; the far end does not block."""
    listening = far_end.listen()
    # Small buffers, inherited by what is accepted, so that little is enough to fill them.
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        listening.setsockopt(socket.SOL_SOCKET, option, 1 << 16)
    guest = GuestTcp.connected(world, port_of(listening))
    far = far_end.accept(listening)
    far.setblocking(False)
    listening.close()
    return Pair(guest, far)


def read(far: socket.socket) -> bytes:
    """What is there, which may be nothing."""
    data = bytearray()
    try:
        while piece := far.recv(1 << 20):
            data += piece
    except BlockingIOError:
        pass
    return bytes(data)


def fill(far: socket.socket, data: bytes) -> int:
    """Send as much as the socket takes; how many bytes that were."""
    sent = 0
    try:
        while sent < len(data):
            sent += far.send(data[sent : sent + (1 << 16)])
    except BlockingIOError:
        pass
    return sent


def pour_until_it_is_full(pair: Pair) -> int:
    """Send what fits into the host socket and behind it; how many bytes that were."""
    sent = 0
    while poured := pair.guest.pour(TOO_MUCH[sent:]):
        sent += poured
        pair.guest.pause()
    assert pair.guest.room() == 0
    assert sent < len(TOO_MUCH)
    return sent


# ── data ─────────────────────────────────────────────────────────────────────────────────────────


def test_much_to_the_far_end(pair: Pair) -> None:
    guest, far = pair
    sent, received = 0, bytearray()

    def transfer() -> bool:
        nonlocal sent
        sent += guest.pour(DATA[sent : sent + 500_000])
        received.extend(read(far))
        return len(received) == len(DATA)

    guest.until(transfer, "all data")
    assert received == DATA


@pytest.mark.parametrize("window", [1 << 14, 1 << 16, 1 << 20])
def test_much_to_the_guest(pair: Pair, window: int) -> None:
    guest, far = pair
    guest.open_window(window)
    sent = 0

    def transfer() -> bool:
        nonlocal sent
        sent += fill(far, DATA[sent : sent + 500_000])
        return len(guest.text) == len(DATA)

    guest.until(transfer, "all data")
    assert guest.text == DATA


@pytest.mark.parametrize("resets", [False, True])
def test_others_get_their_turn(pair: Pair, monkeypatch: pytest.MonkeyPatch, resets: bool) -> None:
    """What is left after some reads waits for the next round, in which the guest may reset."""
    monkeypatch.setattr(tcp_module, "_READS", 1)
    guest, far = pair
    turns: list[int] = []

    def take_turn() -> None:
        turns.append(len(guest.world.link.written))
        if turns[-1] == 1 and resets:
            guest.reset()
        elif turns[-1] < 2:
            guest.world.reactor.defer(take_turn)

    far.sendall(b"data")
    far.shutdown(socket.SHUT_WR)
    take_turn()
    guest.world.reactor.wait(lambda: turns[-1] == 2 - resets, "data, and the end unless reset")
    assert 1 in turns
    guest.pause()
    assert guest.text == b"data"
    assert guest.finished is not resets


def test_a_far_end_that_does_not_read(pair: Pair) -> None:
    """The window closes, what was taken waits, and a read opens it again."""
    guest, far = pair
    sent = pour_until_it_is_full(pair)
    assert sent >= DEFAULTS.tcp_connection_bytes
    received = bytearray()

    def transfer() -> bool:
        nonlocal sent
        received.extend(read(far))
        sent += guest.pour(TOO_MUCH[sent:])
        return len(received) == len(TOO_MUCH)

    guest.until(transfer, "the rest")
    assert received == TOO_MUCH


def test_what_the_far_end_has_read_is_progress(world: HostWorld, pair: Pair) -> None:
    """Long before the kernel tells of room: a far end may be slow."""
    guest, far = pair
    pour_until_it_is_full(pair)
    before = world.host.unfinished()

    def read_a_little() -> bool:
        far.recv(1000)  # the loop does not run, so nothing comes from the guest either
        return world.host.unfinished() != before

    assert any(read_a_little() for _ in range(1000))
    guest.reset()


def test_a_guest_that_does_not_read(pair: Pair) -> None:
    """The host socket is not read, so the far end has to wait."""
    guest, far = pair
    guest.open_window(0)
    guest.pause()
    sent = 0
    while filled := fill(far, TOO_MUCH[sent:]):
        sent += filled
        guest.pause()
    assert guest.text == b""
    assert sent < len(TOO_MUCH)
    guest.open_window()
    guest.until(lambda: len(guest.text) == sent, "what was sent")
    assert guest.text == TOO_MUCH[:sent]


def orphan(pair: Pair) -> int:
    """The guest ends in order while the far end does not read; how many bytes it has sent."""
    guest, far = pair
    sent = pour_until_it_is_full(pair)
    far.shutdown(socket.SHUT_WR)
    guest.until(lambda: guest.finished, "the far end's FIN")
    guest.finish()
    guest.until(lambda: not len(guest.world.gateway.tcp), "the end of the guest's half")
    assert guest.world.host.tcp_sockets() == 1
    return sent


def test_an_orphan_whose_far_end_takes_nothing_is_reset(pair: Pair) -> None:
    before = descriptors()
    sent = orphan(pair)
    assert pair.guest.world.reactor.time_is_up() == 1
    pair.guest.until(lambda: not pair.guest.world.host.tcp_sockets(), "its end")
    pair.far.settimeout(PATIENCE)
    assert len(descriptors()) == len(before) - 1
    assert pair.guest.world.gateway._engine.spare == DEFAULTS.tcp_bytes
    received = bytearray()
    with pytest.raises(ConnectionResetError):
        received.extend(pair.far.makefile("rb").read())
    assert len(received) < sent


def test_an_orphan_whose_far_end_is_slow_gets_its_time(pair: Pair) -> None:
    guest, far = pair
    sent, received = orphan(pair), bytearray()
    for _ in range(3):
        before = guest.world.host.unfinished()
        while guest.world.host.unfinished() == before:
            received += far.recv(1000)
        assert guest.world.reactor.time_is_up() == 1
        guest.pause()
        assert guest.world.host.tcp_sockets() == 1

    def read_on() -> bool:
        received.extend(read(far))
        return not guest.world.host.tcp_sockets()

    guest.until(read_on, "the rest")
    received += read(far)
    assert received == TOO_MUCH[:sent]
    assert guest.world.reactor.time_is_up() == 0


def test_urgent_data_stays_in_its_place(pair: Pair) -> None:
    guest, far = pair
    far.send(b"be")
    far.send(b"!", socket.MSG_OOB)
    far.send(b"hind")
    guest.until(lambda: len(guest.text) == 7, "all of it")
    assert guest.text == b"be!hind"


# ── closing ──────────────────────────────────────────────────────────────────────────────────────


def test_the_guest_closes_first(pair: Pair) -> None:
    guest, far = pair
    guest.send(b"last words")
    guest.finish()
    far.setblocking(True)
    assert far.makefile("rb").read() == b"last words"
    far.sendall(b"answer")
    guest.until(lambda: guest.text == b"answer", "the answer")
    assert not guest.finished
    before = descriptors()
    far.shutdown(socket.SHUT_WR)
    guest.until(lambda: guest.finished, "the end")
    assert len(descriptors()) == len(before) - 1
    assert len(guest.world.gateway.tcp) == 0


def test_the_far_end_closes_first(pair: Pair) -> None:
    guest, far = pair
    before = descriptors()
    far.sendall(b"last words")
    far.shutdown(socket.SHUT_WR)
    guest.until(lambda: guest.finished, "the end")
    assert guest.text == b"last words"
    guest.send(b"answer")
    guest.finish()
    far.setblocking(True)
    assert far.makefile("rb").read() == b"answer"
    assert len(descriptors()) == len(before) - 1


def test_a_fin_behind_what_the_far_end_has_yet_to_read(pair: Pair) -> None:
    guest, far = pair
    sent = pour_until_it_is_full(pair)
    guest.finish()
    received = bytearray()

    def transfer() -> bool:
        try:
            while piece := far.recv(1 << 20):
                received.extend(piece)
        except BlockingIOError:
            return False
        return True

    guest.until(transfer, "the end")
    assert received == TOO_MUCH[:sent]


# ── resets ───────────────────────────────────────────────────────────────────────────────────────


def test_the_guest_resets(pair: Pair) -> None:
    guest, far = pair
    guest.reset()
    with pytest.raises(ConnectionResetError):
        far.recv(1)
    assert len(guest.world.gateway.tcp) == 0


def test_the_far_end_resets(pair: Pair) -> None:
    guest, far = pair
    before = descriptors()
    far.sendall(b"last words")
    reset(far)
    guest.until(lambda: guest.was_reset, "the reset")
    assert guest.text == b"last words"
    assert len(descriptors()) == len(before) - 2
    assert len(guest.world.gateway.tcp) == 0


def test_the_far_end_resets_while_the_guest_does_not_read(pair: Pair) -> None:
    """What came before the reset is the guest's to read."""
    guest, far = pair
    guest.open_window(0)
    far.sendall(b"last words")
    reset(far)
    guest.pause()
    assert not guest.was_reset
    guest.open_window()
    guest.until(lambda: guest.was_reset, "the reset")
    assert guest.text == b"last words"


@pytest.mark.parametrize("action", ["send", "finish"])
def test_last_words_are_heard_though_the_guest_talks_over_them(pair: Pair, action: str) -> None:
    """A server that answers too early and resets: natively the answer waits in the guest."""
    guest, far = pair
    far.sendall(b"last words")
    reset(far)
    if action == "send":
        guest.send(b"into the void")
    else:
        guest.finish()
    guest.take()
    assert guest.text == b"last words"
    assert guest.was_reset


@pytest.mark.parametrize("action", ["send", "finish"])
def test_the_guest_goes_on_before_the_reset_is_known(pair: Pair, action: str) -> None:
    guest, far = pair
    before = descriptors()
    reset(far)
    if action == "send":
        guest.send(b"into the void")
    else:
        guest.finish()
    guest.take()
    assert guest.was_reset
    assert len(descriptors()) == len(before) - 2


def test_the_far_end_resets_what_it_has_yet_to_read(pair: Pair) -> None:
    guest, far = pair
    pour_until_it_is_full(pair)
    reset(far)
    guest.until(lambda: guest.was_reset, "the reset")
    assert len(guest.world.gateway.tcp) == 0


def test_the_far_end_resets_behind_its_fin(pair: Pair) -> None:
    guest, far = pair
    before = descriptors()
    far.shutdown(socket.SHUT_WR)
    guest.until(lambda: guest.finished, "the end")
    reset(far)
    guest.until(lambda: guest.was_reset, "the reset")
    assert len(descriptors()) == len(before) - 2
