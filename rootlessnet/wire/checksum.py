"""The Internet checksum: the ones' complement of the ones' complement sum of 16-bit words.

A big integer modulo 0xFFFF *is* the ones' complement sum of its 16-bit digits, because 0x10000 ≡ 1:
one division in C instead of a loop in Python (130 µs for 64 KB). Read: RFC 1071, RFC 768.
"""

Buffer = bytes | bytearray | memoryview


def fold(total: int) -> int:
    """Fold a sum of 16-bit words of any size into 16 bits; 0 only for a sum of zeros."""
    return (total - 1) % 0xFFFF + 1 if total else 0


def word_sum(data: Buffer) -> int:
    """The folded sum of the 16-bit big-endian words of `data`, an odd one padded with zero."""
    total = int.from_bytes(data, "big")
    return fold(total << 8 if len(data) & 1 else total)


def checksum(total: int) -> int:
    """The checksum field for a sum of words."""
    return fold(total) ^ 0xFFFF


def pseudo_header_sum(addresses: bytes, protocol: int, length: int) -> int:
    """The folded sum of the pseudo-header (RFC 9293 3.1, RFC 8200 8.1), of either family."""
    return fold(word_sum(addresses) + protocol + length)
