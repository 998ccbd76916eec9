"""Against scapy. UDP headers are built in the stack, see tests/stack."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import UDP
from scapy.packet import Raw

from rootlessnet.wire import MalformedError, udp
from tests.wire.oracle import patient, u16


@given(u16, u16, st.binary(max_size=50), st.binary(max_size=8))
@patient
def test_we_read_what_scapy_builds(source: int, port: int, payload: bytes, padding: bytes) -> None:
    lead = b"something before"
    datagram = bytes(UDP(sport=source, dport=port) / Raw(payload))
    frame = memoryview(lead + datagram + padding)
    found = udp.parse(frame, len(lead), len(frame))
    assert (*found[:2], bytes(found[2])) == (source, port, payload)


@pytest.mark.parametrize(
    "datagram", [bytes(UDP())[:7], bytes(UDP(len=7)), bytes(UDP(len=0)), bytes(UDP(len=9))]
)
def test_malformed(datagram: bytes) -> None:
    with pytest.raises(MalformedError):
        udp.parse(memoryview(datagram), 0, len(datagram))


def test_the_header_ends_where_the_packet_ends() -> None:
    with pytest.raises(MalformedError):
        udp.parse(memoryview(bytes(UDP()) + b"the next one"), 0, 7)
