"""Packets that no kernel would send: `raw.py PORT ADDRESS...`, as root in a guest.

To each address it sends a TCP SYN, a datagram that holds the address, and a ping, straight to the
gateway in Ethernet frames of its own, as if all addresses were on its network: from the guest's own
address, and from some that are not. Read: packet(7).
"""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

INTERFACE, GATEWAY = "tap0", "10.0.2.2"
PREFIX_6 = "fd72:6c6e:6574::"
SOURCES = ("10.0.2.100", GATEWAY, "10.0.2.255", "127.0.0.1", "192.0.2.77", "0.0.0.0")
SOURCES_6 = (f"{PREFIX_6}100", f"{PREFIX_6}2", "fe80::2", "::1", "2001:db8::77", "::")


def packets(address: str, port: int) -> Iterator[Packet]:
    is_ipv6 = ":" in address
    for source in SOURCES_6 if is_ipv6 else SOURCES:
        header = (IPv6 if is_ipv6 else IP)(src=source, dst=address)
        yield header / TCP(sport=40000, dport=port, seq=1, flags="S")
        yield header / UDP(sport=40000, dport=port) / Raw(address.encode())
        yield header / (ICMPv6EchoRequest(id=7) if is_ipv6 else ICMP(id=7))


def ping_gateway() -> None:
    """Frames are processed in their order: with the answer, all before have been."""
    subprocess.run(["ping", "-c", "1", "-W", "10", GATEWAY], stdout=sys.stderr, check=True)


def main(port: str, *addresses: str) -> None:
    ping_gateway()
    entries = [line.split() for line in Path("/proc/net/arp").read_text().splitlines()]
    gateway = next(entry[3] for entry in entries if entry[0] == GATEWAY)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
        link.bind((INTERFACE, 0))
        ethernet = Ether(src=link.getsockname()[4].hex(":"), dst=gateway)
        for address in addresses:
            for packet in packets(address, int(port)):
                link.send(bytes(ethernet / packet))
    ping_gateway()


if __name__ == "__main__":
    main(*sys.argv[1:])
