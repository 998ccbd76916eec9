"""A guest without manners at a steady rate: `attack.py FLOOD INTERFACE RATE`, as root in a guest.

It says `ready` and sends RATE frames a second of one of tests/e2e/peers/hostile.py's floods by the
INTERFACE until its input ends. `sink` is a TAP of its own, which nobody reads: what that takes of
other programs is what the attacker itself costs, on a machine with few processors.

Read: packet(7), Documentation/networking/tuntap.rst.
"""

import fcntl
import os
import select
import socket
import struct
import sys
import time
from contextlib import suppress
from itertools import islice
from pathlib import Path

from scapy.layers.l2 import ARP

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for a start as a file

from tests.e2e.peers import hostile

SINK = "sink"
INTERVAL = 0.005  # seconds between bursts
# Seconds after `ready`: a guest that lies about its own hardware address opens no connection.
DELAY = 0.5
PORT = 9
_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_REQUEST = struct.Struct("16sH22x")  # struct ifreq, with flags


def make_sink() -> int:
    """The descriptor of a TAP that is up."""
    device = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(device, _TUNSETIFF, _REQUEST.pack(SINK.encode(), _IFF_TAP | _IFF_NO_PI))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, _REQUEST.pack(SINK.encode(), 0))
        _, flags = _REQUEST.unpack(answer)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, _REQUEST.pack(SINK.encode(), flags | _IFF_UP))
    return device


def meet_gateway() -> None:
    """Have the kernel know its hardware address, which the frames need."""
    with suppress(ConnectionRefusedError):  # which only it can tell
        socket.create_connection((hostile.GATEWAY, PORT), 5).close()


def main(name: str, interface: str, rate: str) -> None:
    hostile.PREFIX_6 = "fd00::"
    flood = next(one for one, _ in hostile.FLOODS if one.__name__ == name)
    meet_gateway()
    device = make_sink() if interface == SINK else None
    link = hostile.open_link(flood, hostile.GATEWAY, PORT, interface)
    frames, burst = flood(link), int(float(rate) * INTERVAL)
    print("ready", flush=True)
    time.sleep(DELAY)
    due = time.monotonic()
    while True:
        for frame in islice(frames, burst):
            link.send(frame)
        due = max(due + INTERVAL, time.monotonic() - INTERVAL)  # what was missed is not made up
        if select.select([sys.stdin], [], [], max(due - time.monotonic(), 0))[0]:
            break
    truth = ARP(psrc=hostile.GUEST, pdst=hostile.GATEWAY, hwsrc=link.ethernet.src)
    link.send(bytes(link.ethernet / truth))  # it may have lied about its own address
    if device is not None:
        os.close(device)


if __name__ == "__main__":
    main(*sys.argv[1:])
