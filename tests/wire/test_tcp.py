"""Against scapy. TCP headers are built in the stack, see tests/stack."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import TCP
from scapy.packet import Raw

from rootlessnet.wire import MalformedError, tcp
from rootlessnet.wire.tcp import ACK, DEFAULT_MSS, FIN, SYN, Segment
from tests.wire.oracle import patient, u8, u16, u32


def parsed(data: bytes) -> Segment:
    segment = Segment()
    tcp.parse(memoryview(data), 0, len(data), segment)
    return segment


@given(u16, u16, u32, u32, u8, u16, st.binary(max_size=40))
@patient
def test_we_read_what_scapy_builds(
    source: int, port: int, seq: int, ack: int, flags: int, window: int, payload: bytes
) -> None:
    header = TCP(sport=source, dport=port, seq=seq, ack=ack, flags=flags, window=window)
    segment = parsed(bytes(header / Raw(payload)))
    assert segment.ports == source.to_bytes(2, "big") + port.to_bytes(2, "big")
    assert (segment.seq, segment.ack, segment.flags, segment.window) == (seq, ack, flags, window)
    assert (segment.payload, segment.options) == (payload, b"")


@pytest.mark.parametrize(
    ("flags", "payload", "length"),
    [(ACK, b"", 0), (ACK, b"abc", 3), (SYN, b"", 1), (FIN | ACK, b"", 1), (SYN | FIN, b"abc", 5)],
)
def test_syn_and_fin_have_a_length(flags: int, payload: bytes, length: int) -> None:
    assert Segment(flags=flags, payload=payload).length == length


@pytest.mark.parametrize(
    "data",
    [bytes(TCP())[:19], bytes(TCP(dataofs=4)), bytes(TCP(dataofs=6)), bytes(TCP(dataofs=15))],
)
def test_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        parsed(data)


def test_the_header_ends_where_the_packet_ends() -> None:
    with pytest.raises(MalformedError):
        tcp.parse(memoryview(bytes(TCP()) + b"the next one"), 0, 19, Segment())


@given(st.integers(1, 0xFFFF), st.none() | st.integers(0, 255))
@patient
def test_options_that_scapy_builds(mss: int, scale: int | None) -> None:
    options: list[tuple[str, object]] = [("SAckOK", b""), ("MSS", mss), ("Timestamp", (1, 0))]
    if scale is not None:
        options += [("NOP", None), ("WScale", scale)]
    segment = parsed(bytes(TCP(flags="S", options=options) / Raw(b"data")))
    expected = None if scale is None else min(scale, tcp.MAX_WINDOW_SCALE)
    assert tcp.parse_options(segment.options) == (mss, expected)
    assert segment.payload == b"data"


@given(u16, st.none() | st.integers(0, 14))
@patient
def test_scapy_reads_the_options_we_build(mss: int, scale: int | None) -> None:
    options = tcp.build_options(mss, scale)
    header = bytes(TCP(dataofs=5 + len(options) // 4)) + options
    expected: list[tuple[str, int | None]] = [("MSS", mss)]
    if scale is not None:
        expected += [("NOP", None), ("WScale", scale)]
    assert TCP(header).options == expected


@pytest.mark.parametrize(
    ("options", "meaning"),
    [
        ("", (DEFAULT_MSS, None)),
        ("00 0204 05b4", (DEFAULT_MSS, None)),  # behind the end of the list
        ("0204 0000", (DEFAULT_MSS, None)),  # no MSS at all
        ("0203 05", (DEFAULT_MSS, None)),  # an MSS of one byte
        ("0304 0700", (DEFAULT_MSS, None)),
        ("0204 05", (DEFAULT_MSS, None)),  # cut short
        ("02", (DEFAULT_MSS, None)),
        ("fd00 0204 05b4", (DEFAULT_MSS, None)),  # of length 0: no way on
        ("fd01 0204 05b4", (DEFAULT_MSS, None)),
        ("0204 05b4 0303", (1460, None)),  # what came before counts
        ("0204 05b4 0204 0200", (512, None)),  # the last counts
        ("fd04 abcd 0303 07", (DEFAULT_MSS, 7)),
        ("01 0204 05b4 fd05 abcdef 0303 07", (1460, 7)),  # at odd places
    ],
)
def test_odd_options(options: str, meaning: tuple[int, int | None]) -> None:
    assert tcp.parse_options(bytes.fromhex(options)) == meaning
