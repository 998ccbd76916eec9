"""Packets that no kernel would send: `raw.py PORT ADDRESS...`, as root in a guest.

To each address it sends a TCP SYN, and a datagram that holds the address, straight to the gateway
in Ethernet frames of its own, as if all addresses were on its network. Read: packet(7).
"""

import socket
import struct
import subprocess
import sys
from pathlib import Path

INTERFACE, GATEWAY, GUEST = "tap0", "10.0.2.2", "10.0.2.100"
IPV4 = 0x0800
SYN = 0x02


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packet(source: str, destination: str, protocol: int, payload: bytes) -> bytes:
    addresses = socket.inet_aton(source) + socket.inet_aton(destination)
    start = struct.pack("!BBHHHBB", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol)
    total = checksum(start + bytes(2) + addresses)
    return start + total.to_bytes(2, "big") + addresses + payload


def syn(source: str, destination: str, port: int) -> bytes:
    words = (40000, port, 1, 0, 5 << 4, SYN, 65535, 0, 0)
    header = struct.pack("!HHIIBBHHH", *words)
    addresses = socket.inet_aton(source) + socket.inet_aton(destination)
    pseudo = addresses + struct.pack("!HH", socket.IPPROTO_TCP, len(header))
    total = checksum(pseudo + header)
    return packet(
        source, destination, socket.IPPROTO_TCP, header[:16] + total.to_bytes(2, "big") + bytes(2)
    )


def datagram(source: str, destination: str, port: int) -> bytes:
    payload = destination.encode()
    header = struct.pack("!HHHH", 40000, port, 8 + len(payload), 0)
    return packet(source, destination, socket.IPPROTO_UDP, header + payload)


def ping_gateway() -> None:
    """Frames are processed in their order: with the answer, all before have been."""
    subprocess.run(["ping", "-c", "1", "-W", "10", GATEWAY], stdout=sys.stderr, check=True)


def main(port: str, *addresses: str) -> None:
    ping_gateway()
    entries = [line.split() for line in Path("/proc/net/arp").read_text().splitlines()]
    gateway = bytes.fromhex(next(e[3] for e in entries if e[0] == GATEWAY).replace(":", ""))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
        link.bind((INTERFACE, IPV4))
        header = gateway + link.getsockname()[4] + IPV4.to_bytes(2, "big")
        for address in addresses:
            for source in (GUEST, GATEWAY, "127.0.0.1"):
                link.send(header + syn(source, address, int(port)))
                link.send(header + datagram(source, address, int(port)))
    ping_gateway()


if __name__ == "__main__":
    main(*sys.argv[1:])
