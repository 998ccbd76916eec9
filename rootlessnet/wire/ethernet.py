"""Ethernet II: two hardware addresses and the type of what follows. Read: IEEE 802.3, RFC 894."""

from struct import Struct

from rootlessnet.wire import vnet

HEADER = Struct("!6s6sH")
START = vnet.SIZE  # where the Ethernet header lies in a frame
PAYLOAD = START + HEADER.size  # 24: where the network header lies in a frame

TYPE_IPV4 = 0x0800
TYPE_ARP = 0x0806
TYPE_IPV6 = 0x86DD

BROADCAST = b"\xff" * 6


def gateway_mac(address: bytes) -> bytes:
    """The hardware address of one of the stack's own IPv4 addresses: 52:55 and the address."""
    return b"\x52\x55" + address


def source(frame: memoryview) -> bytes:
    """The hardware address that a frame comes from."""
    return bytes(frame[START + 6 : START + 12])


def multicast_mac(address: bytes) -> bytes:
    """The hardware address of an IPv6 multicast group (RFC 2464 7)."""
    return b"\x33\x33" + address[12:]
