"""The guest's TCP connections to its DNS address, from its segments to the nameservers."""

import socket

import pytest
from scapy.layers.inet import TCP

from rootlessnet.bounds import Bounds
from rootlessnet.host.dns.resolver import HELPLESS
from tests.host.asking import EXPECTED, QUERY, REFUSED, answer_to, failure_of, question
from tests.host.conftest import MakeWorld
from tests.host.guest import GuestTcp
from tests.host.world import FarEnd, HostWorld, address_of, closed_port, descriptors, is_readable
from tests.stack import world as stack_world
from tests.stack.world import DNS, tcp

PORT = 53
OWN, SERVFAIL = question("own"), 2


def framed(*messages: bytes) -> bytes:
    return b"".join(len(one).to_bytes(2, "big") + one for one in messages)


def accept(world: HostWorld, far_end: FarEnd, listening: socket.socket) -> socket.socket:
    """The connection of one query, which has arrived."""
    world.reactor.wait(lambda: is_readable(listening), "a connection to the nameserver")
    connected = far_end.accept(listening)
    world.reactor.wait(lambda: is_readable(connected), "a query")
    return connected


def messages(guest: GuestTcp) -> list[bytes]:
    """Those that the guest has received whole."""
    found, text = [], bytes(guest.text)
    while len(text) >= 2 and len(text) >= (end := 2 + int.from_bytes(text[:2], "big")):
        found.append(text[2:end])
        text = text[end:]
    return found


def wait_for_messages(guest: GuestTcp, count: int) -> None:
    guest.until(lambda: len(messages(guest)) == count, f"{count} messages")


def test_a_query_and_its_answer(make_world: MakeWorld, far_end: FarEnd) -> None:
    """The connection stays for the next one, and ends when the guest ends it."""
    listening = far_end.listen()
    world = make_world([address_of(listening)])
    before = descriptors()
    guest = GuestTcp.connected(world, PORT, DNS)
    assert descriptors() == before, "a connection without a query costs the host a descriptor"
    for count in (1, 2):
        guest.send(framed(QUERY))
        with accept(world, far_end, listening) as connected:
            query = connected.recv(1000)[2:]
            connected.sendall(framed(answer_to(query)))
            wait_for_messages(guest, count)
    assert messages(guest) == [EXPECTED] * 2
    guest.finish()
    guest.until(lambda: guest.finished, "the end")
    world.reactor.let_run()
    assert descriptors() == before


def test_own_names_and_errors_without_a_nameserver(world: HostWorld) -> None:
    guest = GuestTcp.connected(world, PORT, DNS)
    guest.send(framed(OWN, QUERY, QUERY[:12]))
    guest.until(lambda: len(messages(guest)) == 3, "all answers")
    own, failed, malformed = messages(guest)
    assert own.endswith(bytes((10, 0, 2, 2)))
    assert failed == failure_of(QUERY, SERVFAIL)
    assert malformed == QUERY[:2] + b"\x81\x81" + bytes(8)


def test_pipelined_queries_are_answered_in_any_order(
    make_world: MakeWorld, far_end: FarEnd
) -> None:
    listening = far_end.listen()
    world = make_world([address_of(listening)])
    guest = GuestTcp.connected(world, PORT, DNS)
    guest.send(framed(QUERY, OWN))
    guest.until(lambda: messages(guest), "the second's answer")
    connected = accept(world, far_end, listening)
    connected.sendall(framed(answer_to(connected.recv(1000)[2:])))
    guest.until(lambda: len(messages(guest)) == 2, "both answers")
    assert messages(guest)[1] == EXPECTED


def test_a_query_in_pieces(world: HostWorld) -> None:
    guest = GuestTcp.connected(world, PORT, DNS)
    text = framed(OWN)
    for start in range(0, len(text), 7):
        assert messages(guest) == []
        guest.send(text[start : start + 7])
        guest.pause()
    guest.until(lambda: messages(guest), "the answer")


def test_a_guest_that_ends_first_has_all_answers(make_world: MakeWorld, far_end: FarEnd) -> None:
    listening = far_end.listen()
    world = make_world([address_of(listening)])
    guest = GuestTcp.connected(world, PORT, DNS)
    guest.send(framed(QUERY, OWN))
    guest.finish()
    connected = accept(world, far_end, listening)
    guest.pause()
    assert not guest.finished
    connected.sendall(framed(answer_to(connected.recv(1000)[2:])))
    guest.until(lambda: guest.finished, "the end")
    assert len(messages(guest)) == 2


def test_more_queries_than_may_be_in_flight(world: HostWorld) -> None:
    """And more than are held: the window closes and opens again."""
    guest = GuestTcp.connected(world, PORT, DNS)
    for _ in range(20):
        guest.send(framed(*[QUERY] * 100))
    guest.until(lambda: len(messages(guest)) == 2000, "all answers")
    assert set(messages(guest)) == {failure_of(QUERY, SERVFAIL)}


def test_a_guest_that_does_not_read_is_not_read_from(world: HostWorld) -> None:
    guest = GuestTcp.connected(world, PORT, DNS)
    guest.open_window(0)
    sent = asked = 0
    text = framed(*[QUERY] * 500)
    while sent - asked < 4 * len(text):  # the stack's window closes long before
        asked = sent
        for _ in range(20):
            sent += guest.pour(text[sent % len(text) :])
            guest.pause()
        if sent == asked:
            break
    (stream,) = world.host._resolver._streams
    assert len(stream._answers) < 2 * 65536
    assert len(stream._queries) <= 8192
    count = sent // len(framed(QUERY))
    assert count > 1000
    guest.open_window()
    guest.until(lambda: len(messages(guest)) == count, "all answers")


@pytest.mark.parametrize(
    "text",
    [b"\0\0", framed(b"short"), framed(EXPECTED), b"\x20\1"],
    ids=["empty", "short", "answer", "huge"],
)
def test_what_is_no_query_ends_the_connection(world: HostWorld, text: bytes) -> None:
    guest = GuestTcp.connected(world, PORT, DNS)
    guest.send(text)
    guest.until(lambda: guest.was_reset, "the reset")
    assert len(world.gateway.tcp) == 0
    assert world.host._resolver._streams == {}


def test_a_guest_that_resets_while_a_query_is_in_flight(
    make_world: MakeWorld, far_end: FarEnd
) -> None:
    listening = far_end.listen()
    world = make_world([address_of(listening)])
    guest = GuestTcp.connected(world, PORT, DNS)
    guest.send(framed(QUERY))
    connected = accept(world, far_end, listening)
    guest.reset()
    world.heard()
    connected.sendall(framed(answer_to(connected.recv(1000)[2:])))
    world.reactor.let_run()
    assert world.heard() == []
    assert world.host._resolver._streams == {}


def test_at_the_bound_the_longest_silent_gives_way(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack_world, "BOUNDS", Bounds(dns_connections=2))
    world = make_world(())
    opened = []
    for port in (40001, 40002):
        world.send(tcp("S", dst=DNS, dport=PORT, sport=port))
        (answer,) = world.hear()
        assert answer[TCP].flags == "SA"
        opened.append(answer[TCP].seq + 1)
    text = framed(OWN)
    world.send(tcp("PA", 1001, opened[0], text, dst=DNS, dport=PORT, sport=40001))
    world.reactor.let_run()
    world.heard()
    world.send(tcp("S", dst=DNS, dport=PORT, sport=40003))
    heard = {packet[TCP].dport: packet[TCP].flags for packet in world.hear(2)}
    assert heard == {40002: "RA", 40003: "SA"}
    assert len(world.host._resolver._streams) == 2


def test_a_nameserver_that_takes_no_connection(make_world: MakeWorld) -> None:
    world = make_world([closed_port()])
    guest = GuestTcp.connected(world, PORT, DNS)
    guest.send(framed(QUERY))
    guest.until(lambda: messages(guest), "an answer")
    assert messages(guest) == [failure_of(QUERY, SERVFAIL)]


def test_a_nameserver_has_few_connections_at_a_time(
    make_world: MakeWorld, far_end: FarEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack_world, "BOUNDS", Bounds(dns_tcp_queries=2))
    listening = far_end.listen()
    world = make_world([address_of(listening)])
    guest = GuestTcp.connected(world, PORT, DNS)
    guest.send(framed(*[QUERY] * 5))
    connections = [accept(world, far_end, listening) for _ in range(2)]
    for count in range(1, 6):
        guest.pause()
        assert not is_readable(listening)
        with connections.pop(0) as connected:
            connected.sendall(framed(answer_to(connected.recv(1000)[2:])))
            wait_for_messages(guest, count)
        if count < 4:
            connections.append(accept(world, far_end, listening))


def test_nameservers_that_do_not_help_are_told_once(make_world: MakeWorld) -> None:
    """Not for one query, which may be about a name that is broken itself."""
    world = make_world([closed_port()])
    guest = GuestTcp.connected(world, PORT, DNS)
    for count in range(1, HELPLESS + 2):
        guest.send(framed(QUERY))
        wait_for_messages(guest, count)
        assert len(world.lines) == (count >= HELPLESS)
    assert world.lines[0].startswith("the nameservers fail, refuse or stay silent")


def test_an_answer_between_failures(make_world: MakeWorld, far_end: FarEnd) -> None:
    listening = far_end.listen()
    world = make_world([address_of(listening)])
    guest = GuestTcp.connected(world, PORT, DNS)
    codes = [REFUSED] * (HELPLESS - 1) + [0] + [REFUSED] * (HELPLESS - 1)
    for count, code in enumerate(codes, 1):
        guest.send(framed(QUERY))
        for _ in range(2 if code else 1):  # a lone nameserver is asked twice
            with accept(world, far_end, listening) as connected:
                connected.sendall(framed(answer_to(connected.recv(1000)[2:], code)))
        wait_for_messages(guest, count)
    assert world.lines == []
