"""The virtio-net header that precedes every frame of a TAP opened with IFF_VNET_HDR.

It lets one frame of up to 64 KB stand for many segments (GSO) and leaves the transport checksum to
whoever needs it: with NEEDS_CSUM the checksum field holds the folded sum of the pseudo-header, not
complemented. Ten bytes, little endian: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset.
Read: virtio 1.2, 5.1.6; linux/virtio_net.h; tun(4).
"""

from struct import Struct

HEADER = Struct("<BBHHHH")
SIZE = HEADER.size  # 10

NEEDS_CSUM = 1

GSO_NONE = 0
GSO_TCPV4 = 1
GSO_TCPV6 = 4
GSO_UDP_L4 = 5
GSO_ECN = 0x80

NO_OFFLOAD = bytes(SIZE)


def udp_segment(frame: memoryview) -> int:
    """The size of each datagram but the last in a UDP super-datagram, 0 when it is a plain one."""
    return frame[4] | frame[5] << 8 if frame[1] & ~GSO_ECN == GSO_UDP_L4 else 0
