"""Address resolution over Ethernet for IPv4. Read: RFC 826."""

from struct import Struct
from typing import NamedTuple

from rootlessnet.wire import MalformedError, ethernet, vnet

MESSAGE = Struct("!HHBBH6s4s6s4s")
REQUEST, REPLY = 1, 2
_ETHERNET = 1


class Arp(NamedTuple):
    """One message. Hardware addresses are 6 bytes, protocol addresses 4."""

    operation: int
    sender_mac: bytes
    sender: bytes
    target_mac: bytes
    target: bytes


def parse(frame: memoryview) -> Arp:
    """The message in `frame`, or MalformedError."""
    if len(frame) < ethernet.PAYLOAD + MESSAGE.size:
        raise MalformedError("ARP message is too short")
    hardware, protocol, hardware_size, protocol_size, *message = MESSAGE.unpack_from(
        frame, ethernet.PAYLOAD
    )
    if (hardware, protocol, hardware_size, protocol_size) != (_ETHERNET, ethernet.TYPE_IPV4, 6, 4):
        raise MalformedError("ARP message is not for IPv4 over Ethernet")
    return Arp(*message)


def build(message: Arp) -> bytes:
    """A whole frame from the message's sender to its target."""
    return (
        vnet.NO_OFFLOAD
        + ethernet.HEADER.pack(message.target_mac, message.sender_mac, ethernet.TYPE_ARP)
        + MESSAGE.pack(_ETHERNET, ethernet.TYPE_IPV4, 6, 4, *message)
    )
