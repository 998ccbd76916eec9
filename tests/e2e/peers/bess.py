"""A guest on a SOCK_SEQPACKET socket, as a virtual machine is: `bess.py PATH`.

Its network namespace has a TAP, whose frames it passes on, one for each message, and takes from
there. It says `ready` once the socket has taken it, and ends when the socket does, or its standard
input.
"""

import os
import select
import socket
import subprocess
import sys

import pytun

LARGEST = 1 << 16


def main() -> None:
    tap = pytun.TunTapDevice("tap0", pytun.IFF_TAP | pytun.IFF_NO_PI)
    for words in (
        "link set lo up",
        "link set tap0 up",
        "address add 10.0.2.100/24 dev tap0",
        "route add default via 10.0.2.2",
    ):
        subprocess.run(["ip", *words.split()], check=True)
    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link.connect(sys.argv[1])
    print("ready", flush=True)
    while True:
        readable, _, _ = select.select([tap, link, sys.stdin], [], [])
        if tap in readable:
            link.send(os.read(tap.fileno(), LARGEST))
        if link in readable:
            frame = link.recv(LARGEST)
            if not frame:
                return
            os.write(tap.fileno(), frame)
        if sys.stdin in readable:
            return


if __name__ == "__main__":
    main()
