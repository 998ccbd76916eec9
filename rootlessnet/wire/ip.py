"""What the rooms above need to know of a network packet, the same for both families.

`Packet` is filled again for every frame, so the hot path makes no object for the network layer. The
addresses of a packet stay together as they lie in the header, source first, 8 or 32 bytes: joined
with the ports they are the key of a flow.
"""

ICMP = 1
TCP = 6
UDP = 17
ICMPV6 = 58

DEFAULT_HOP_LIMIT = 64  # RFC 1700


class Packet:
    """A parsed network header, with its options or extension headers. `start` and `end` bound the
    payload within the frame; `protocol_at` is where the header has its type, from `header_start`
    on. `dont_fragment` and `identification` are those of IPv4: a router fragments no IPv6 packet.

    A fragment has the offset of its payload (bytes), and `datagram`, which all those of one packet
    have in common.
    """

    __slots__ = (
        "addresses",
        "datagram",
        "dont_fragment",
        "end",
        "fragment_offset",
        "header_start",
        "hop_limit",
        "identification",
        "is_fragment",
        "more_fragments",
        "protocol",
        "protocol_at",
        "start",
    )

    def __init__(self) -> None:
        self.addresses = b""
        self.protocol = 0
        self.protocol_at = 0
        self.hop_limit = 0
        self.header_start = 0
        self.start = 0
        self.end = 0
        self.identification = 0
        self.dont_fragment = False
        self.is_fragment = False
        self.fragment_offset = 0
        self.more_fragments = False
        self.datagram = b""

    @property
    def source(self) -> bytes:
        return self.addresses[: len(self.addresses) // 2]

    @property
    def destination(self) -> bytes:
        return destination(self.addresses)


def destination(addresses: bytes) -> bytes:
    """The second of two addresses."""
    return addresses[len(addresses) // 2 :]


def swapped(addresses: bytes) -> bytes:
    """The addresses of the opposite direction."""
    half = len(addresses) // 2
    return addresses[half:] + addresses[:half]
