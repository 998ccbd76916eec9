"""Against scapy in both directions, in both dialects."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, UDP, IPerror, UDPerror
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPerror6,
    IPv6,
)
from scapy.packet import Packet, Raw

from rootlessnet.wire import MalformedError, icmp, icmpv4, icmpv6
from rootlessnet.wire.icmp import Dialect, Reason
from tests.wire.oracle import addresses_of, patient, u16

HEAD_4 = IP(src="192.0.2.1", dst="10.0.2.100")
HEAD_6 = IPv6(src="2001:db8::1", dst="fd00::100")


@dataclass(frozen=True)
class Spoken:
    """A dialect, and scapy's words for it."""

    dialect: Dialect
    head: Packet
    request: Packet
    reply: Packet
    error: type[Packet]  # of a quoted packet
    size: int  # bytes of the largest error, with its network header

    @property
    def addresses(self) -> bytes:
        return addresses_of(self.head)

    def message(self, packet: Packet) -> bytes:
        """With the checksum that scapy gives it."""
        return bytes(type(self.head)(bytes(self.head / packet)).payload)

    def checked(self, message: bytes) -> Packet:
        """The message, once scapy has come to the same checksum."""
        name, where = ("chksum", 1) if self.dialect is icmpv4.DIALECT else ("nh", 58)
        whole = type(self.head)(bytes(self.head / Raw(message)))
        whole.setfieldval("proto" if name == "chksum" else name, where)
        whole = type(self.head)(bytes(whole))
        again = whole.copy()
        again.payload.delfieldval("chksum" if name == "chksum" else "cksum")
        assert bytes(again) == bytes(whole)
        return whole.payload


V4 = Spoken(icmpv4.DIALECT, HEAD_4, ICMP(type=8), ICMP(type=0), IPerror, 576)
V6 = Spoken(icmpv6.DIALECT, HEAD_6, ICMPv6EchoRequest(), ICMPv6EchoReply(), IPerror6, 1280)
both = pytest.mark.parametrize("spoken", [V4, V6], ids=["icmpv4", "icmpv6"])


@both
@given(st.booleans(), u16, u16, st.binary(max_size=65))
@patient
def test_echo(
    spoken: Spoken, is_request: bool, identifier: int, sequence: int, data: bytes
) -> None:
    dialect = spoken.dialect
    kind = dialect.echo_request if is_request else dialect.echo_reply
    ours = dialect.build_echo(kind, identifier, sequence, memoryview(data), spoken.addresses)
    packet = spoken.checked(ours)
    assert (packet.type, packet.code) == (kind, 0)
    assert (packet.id, packet.seq) == (identifier, sequence)

    theirs = (spoken.request if is_request else spoken.reply).copy()
    theirs.id, theirs.seq = identifier, sequence
    assert spoken.message(theirs / Raw(data)) == ours
    found = icmp.parse_echo(memoryview(b"??" + ours + b"??"), 2, 2 + len(ours))
    assert (*found[:3], bytes(found[3])) == (kind, identifier, sequence, data)


def test_an_echo_too_short() -> None:
    with pytest.raises(MalformedError):
        icmp.parse_echo(memoryview(bytes(20)), 6, 13)


@both
@given(u16, u16, u16, st.binary(max_size=65), st.integers(0, 72))
@patient
def test_an_echo_under_another_identifier(
    spoken: Spoken, before: int, after: int, sequence: int, data: bytes, unseen: int
) -> None:
    """Of which only the beginning was seen: in IPv4 the checksum is still that of all of it."""
    known, wanted = (
        spoken.dialect.build_echo(
            spoken.dialect.echo_request, identifier, sequence, data, spoken.addresses
        )
        for identifier in (before, after)
    )
    seen = max(len(known) - unseen, 8) if spoken is V4 else len(known)
    assert spoken.dialect.with_identifier(known[:seen], after, spoken.addresses) == wanted[:seen]


@pytest.mark.parametrize("kind", range(256))
def test_what_is_an_error(kind: int) -> None:
    frame = memoryview(b"??" + bytes([kind]) + bytes(7) + b"\3")
    for spoken, is_error in ((V4, kind in (3, 4, 5, 11, 12)), (V6, kind < 128)):
        assert spoken.dialect.is_error(frame, 2, 10) == is_error
        assert not spoken.dialect.is_error(frame, 10, 10)
        found = spoken.dialect.parse_error(frame, 2, 11)
        assert found == (((kind, 0), frame[10:11]) if is_error else None)
        with pytest.raises(MalformedError):
            spoken.dialect.parse_error(frame, 2, 9)


QUOTE_4 = bytes(IP(src="10.0.2.100", dst="192.0.2.1") / UDP(sport=4, dport=5) / Raw(b"I said"))
QUOTE_6 = bytes(IPv6(src="fd00::100", dst="2001:db8::1") / UDP(sport=4, dport=5) / Raw(b"I said"))


@pytest.mark.parametrize(
    ("reason", "in_4", "in_6"),
    [
        (Reason.NO_ROUTE, (3, 0), (ICMPv6DestUnreach, 0)),
        (Reason.HOST_UNREACHABLE, (3, 1), (ICMPv6DestUnreach, 3)),
        (Reason.PROTOCOL_UNREACHABLE, (3, 2), (ICMPv6ParamProblem, 1)),
        (Reason.PORT_UNREACHABLE, (3, 3), (ICMPv6DestUnreach, 4)),
        (Reason.PROHIBITED, (3, 13), (ICMPv6DestUnreach, 1)),
        (Reason.BEYOND_SCOPE, (3, 13), (ICMPv6DestUnreach, 2)),
        (Reason.TOO_BIG, (3, 4), (ICMPv6PacketTooBig, 0)),
        (Reason.HOP_LIMIT_EXCEEDED, (11, 0), (ICMPv6TimeExceeded, 0)),
    ],
)
def test_every_reason_quotes_the_packet(
    reason: Reason, in_4: tuple[int, int], in_6: tuple[type[Packet], int]
) -> None:
    for spoken, quote in ((V4, QUOTE_4), (V6, QUOTE_6)):
        error = spoken.dialect.numbers[reason]
        packet = spoken.checked(
            spoken.dialect.build_error(error, memoryview(quote), spoken.addresses, 1400)
        )
        if spoken is V4:
            assert (packet.type, packet.code) == in_4
            assert bytes(packet)[4:8] == (b"\0\0\x05\x78" if in_4 == (3, 4) else bytes(4))
        else:
            assert (type(packet), packet.code) == in_6
            has_info = in_6[0] in (ICMPv6PacketTooBig, ICMPv6ParamProblem)
            assert bytes(packet)[4:8] == (b"\0\0\x05\x78" if has_info else bytes(4))
        assert packet[spoken.error].dst == type(spoken.head)(quote).dst
        assert packet[UDPerror].dport == 5
        assert bytes(packet.payload) == quote


def test_an_error_points_at_an_octet() -> None:
    message = V4.dialect.build_error((12, 0), QUOTE_4, V4.addresses, 20)
    assert V4.checked(message).ptr == 20
    message = V6.dialect.build_error((4, 2), QUOTE_6, V6.addresses, 42)
    assert V6.checked(message).ptr == 42


@both
def test_an_error_fits_the_smallest_mtu(spoken: Spoken) -> None:
    quote = bytes(spoken.head / UDP() / Raw(bytes(range(256)) * 8))
    error = spoken.dialect.numbers[Reason.HOP_LIMIT_EXCEEDED]
    message = spoken.dialect.build_error(error, memoryview(quote), spoken.addresses)
    assert len(message) + len(spoken.head) == spoken.size
    assert message[8:] == quote[: spoken.size - len(spoken.head) - 8]
    spoken.checked(message)


def test_which_errors_end_a_connection() -> None:
    """RFC 1122 4.2.3.9 and RFC 1812 5.2.7.1; RFC 4443 has the others of the same meaning."""
    assert V4.dialect.refusals == {(3, code) for code in (2, 3, 9, 10, 13)}
    assert V6.dialect.refusals == {(4, 1), (1, 1), (1, 4), (1, 5), (1, 6)}
