"""Read: RFC 1071 3, whose example stands here."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.utils import checksum as scapy_checksum

from rootlessnet.wire.checksum import checksum, fold, pseudo_header_sum, word_sum
from tests.wire.oracle import patient

EXAMPLE = bytes.fromhex("0001 f203 f4f5 f6f7")


def test_the_example_of_the_rfc() -> None:
    assert word_sum(EXAMPLE) == 0xDDF2
    assert checksum(word_sum(EXAMPLE)) == 0x220D


@pytest.mark.parametrize(
    ("data", "total"),
    [
        (b"", 0),
        (bytes(20), 0),
        (b"\xff\xff", 0xFFFF),
        (b"\xff\xff" * 40, 0xFFFF),  # minus zero stays minus zero
        (b"\xff\xff\x00\x01", 1),
        (b"\x80\x00\x80\x00", 1),  # end-around carry
        (b"\x01", 0x0100),  # padded behind, not in front
        (b"\x00\x01\x02", 0x0201),
        (b"\xff" * 3, 0xFF00),
    ],
)
def test_sums_by_hand(data: bytes, total: int) -> None:
    assert word_sum(data) == total


@given(st.one_of(st.binary(max_size=64), st.binary(max_size=3).map(lambda piece: piece * 9000)))
@patient
def test_scapy_computes_the_same(data: bytes) -> None:
    for buffer in (data, bytearray(data), memoryview(data)):
        assert checksum(word_sum(buffer)) == scapy_checksum(data)


@given(st.lists(st.binary(max_size=40).filter(lambda part: len(part) % 2 == 0), max_size=6))
@patient
def test_parts_may_be_summed_apart(parts: list[bytes]) -> None:
    assert fold(sum(word_sum(part) for part in parts)) == word_sum(b"".join(parts))


def test_a_packet_with_its_checksum_sums_to_minus_zero() -> None:
    whole = EXAMPLE + checksum(word_sum(EXAMPLE)).to_bytes(2, "big")
    assert word_sum(whole) == 0xFFFF


@pytest.mark.parametrize("size", [4, 16])
def test_pseudo_header(size: int) -> None:
    addresses = bytes(range(2 * size))
    pseudo = addresses + (70_000).to_bytes(4, "big") + (17).to_bytes(4, "big")  # RFC 8200 8.1
    assert pseudo_header_sum(addresses, 17, 70_000) == word_sum(pseudo)
