"""Sequence number arithmetic modulo 2**32. Read: RFC 9293 3.4.

Numbers are kept wrapped. `(b - a) & MASK` is how far b lies ahead of a; the hot path writes it in
line.
"""

MASK = 0xFFFFFFFF
HALF = 0x80000000


def distance(a: int, b: int) -> int:
    """How far `b` lies ahead of `a`, negative when it lies behind: -2**31 to 2**31 - 1."""
    return ((b - a + HALF) & MASK) - HALF
