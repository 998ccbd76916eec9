"""Against scapy in both directions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, UDP, IPerror, UDPerror
from scapy.packet import Packet, Raw

from rootlessnet.wire import MalformedError, icmp
from tests.wire.oracle import patient, u16


def checked(message: bytes) -> Packet:
    """The message, once scapy has come to the same checksum."""
    packet = ICMP(message)
    again = ICMP(message)
    del again.chksum
    assert bytes(again) == message
    return packet


@given(st.sampled_from([icmp.ECHO_REQUEST, icmp.ECHO_REPLY]), u16, u16, st.binary(max_size=65))
@patient
def test_echo(kind: int, identifier: int, sequence: int, data: bytes) -> None:
    ours = icmp.build_echo(kind, identifier, sequence, memoryview(data))
    packet = checked(ours)
    assert (packet.type, packet.code) == (kind, 0)
    assert (packet.id, packet.seq, bytes(packet.payload)) == (identifier, sequence, data)

    theirs = bytes(ICMP(type=kind, id=identifier, seq=sequence) / Raw(data))
    assert theirs == ours
    found = icmp.parse_echo(memoryview(b"??" + theirs + b"??"), 2, 2 + len(theirs))
    assert (*found[:3], bytes(found[3])) == (kind, identifier, sequence, data)


def test_an_echo_too_short() -> None:
    with pytest.raises(MalformedError):
        icmp.parse_echo(memoryview(bytes(20)), 6, 13)


@given(u16, u16, u16, st.binary(max_size=65), st.integers(8, 80))
@patient
def test_an_echo_under_another_identifier(
    before: int, after: int, sequence: int, data: bytes, seen: int
) -> None:
    """Of which only the beginning was seen: the checksum is still that of all of it."""
    known, wanted = (
        bytes(ICMP(type=8, id=identifier, seq=sequence) / Raw(data))
        for identifier in (before, after)
    )
    assert icmp.with_identifier(known[:seen], after) == wanted[:seen]


@pytest.mark.parametrize("kind", range(20))
def test_what_is_an_error(kind: int) -> None:
    frame = memoryview(b"??" + bytes([kind]) + bytes(7) + b"\3")
    assert icmp.is_error(frame, 2, 10) == (kind in (3, 4, 5, 11, 12))
    assert not icmp.is_error(frame, 10, 10)


def test_an_error_points_at_an_octet() -> None:
    packet = checked(icmp.build_error(icmp.PARAMETER_PROBLEM, 0, bytes(IP() / UDP()), 20))
    assert (packet.type, packet.ptr) == (12, 20)


def test_an_error_quotes_the_packet() -> None:
    quote = bytes(
        IP(src="10.0.2.100", dst="192.0.2.1") / UDP(sport=4, dport=5) / Raw(b"what I said")
    )
    packet = checked(icmp.build_error(icmp.DESTINATION_UNREACHABLE, icmp.PORT_UNREACHABLE, quote))
    assert (packet.type, packet.code) == (3, 3)
    assert packet[IPerror].dst == "192.0.2.1"
    assert packet[UDPerror].dport == 5
    assert bytes(packet.payload) == quote


def test_an_error_tells_the_mtu() -> None:
    quote = bytes(IP() / UDP())
    code = icmp.FRAGMENTATION_NEEDED
    packet = checked(icmp.build_error(icmp.DESTINATION_UNREACHABLE, code, quote, 1400))
    assert (packet.code, packet.nexthopmtu) == (4, 1400)


def test_an_error_fits_the_smallest_mtu() -> None:
    quote = bytes(IP() / UDP() / Raw(bytes(range(256)) * 8))
    message = icmp.build_error(icmp.TIME_EXCEEDED, 0, memoryview(quote))
    assert len(message) + 20 == 576
    assert message[8:] == quote[: 576 - 28]
