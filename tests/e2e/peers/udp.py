"""Either end of the UDP exchanges that tests make: `udp.py ROLE ADDRESS PORT [NUMBER...]`.

A server says `ready` once it is bound. A client says what came of it
in one line.
"""

import errno
import os
import random
import socket
import sys

PATIENCE = float(os.environ.get("PEER_PATIENCE", "20"))  # seconds
LARGEST = 65507  # bytes: what an IPv4 datagram has room for
IP_MTU, IPV6_MTU = 14, 24  # what the kernel knows of the path to the peer
IP_RECVERR = 11  # every ICMP error becomes an error of the socket, not only the fatal ones
IPV6_RECVERR = 25


def echo(bound: socket.socket) -> None:
    """Send every datagram back."""
    while True:
        data, client = bound.recvfrom(LARGEST)
        bound.sendto(data, client)


def tell_address(bound: socket.socket) -> None:
    """Tell each client its address."""
    while True:
        _, client = bound.recvfrom(LARGEST)
        bound.sendto(client[0].encode(), client)


def show(bound: socket.socket) -> None:
    """Show what comes."""
    while True:
        say(bound.recv(LARGEST).decode())


def exchange(connected: socket.socket, sizes: list[int]) -> str:
    """Have a datagram of each size sent back; say the sizes of those that came back the same."""
    right = []
    for size in sizes:
        data = random.Random(size).randbytes(size)
        connected.send(data)
        if connected.recv(LARGEST) == data:
            right.append(size)
    return " ".join(map(str, right))


def rows(connected: socket.socket, numbers: list[int]) -> str:
    """Have rows of so many datagrams of so many bytes each sent back, the last of a row a byte
    shorter, each row sent at once; say how many rows came back the same, in order.
    """
    count, length, size = numbers
    # A kernel that does not know the gateway's hardware address yet lets some overtake others.
    exchange(connected, [size])
    right = 0
    for row in range(count):
        data = [random.Random(row * length + one).randbytes(size) for one in range(length)]
        data[-1] = data[-1][:-1]
        for one in data:
            connected.send(one)
        right += [connected.recv(LARGEST) for _ in data] == data
    return str(right)


def hear(connected: socket.socket, numbers: list[int]) -> str:
    """Send something, say what comes."""
    connected.send(b"?")
    return connected.recv(LARGEST).decode()


def learn(connected: socket.socket, sizes: list[int]) -> str:
    """Send what is too large for the path until that is known; say the path's MTU."""
    try:
        connected.send(bytes(sizes[0]))
        connected.recv(LARGEST)
    except OSError as error:
        if error.errno != errno.EMSGSIZE:
            raise
    if connected.family == socket.AF_INET:
        mtu = connected.getsockopt(socket.IPPROTO_IP, IP_MTU)
    else:
        mtu = connected.getsockopt(socket.IPPROTO_IPV6, IPV6_MTU)
    return f"{mtu} {exchange(connected, sizes)}"


def crowd(connected: socket.socket, numbers: list[int]) -> str:
    """Several clients at once; say how many had their own datagrams back, each of two."""
    address = connected.getpeername()
    clients = [socket.socket(connected.family, socket.SOCK_DGRAM) for _ in range(numbers[0])]
    for client in clients:
        client.connect(address)
    right = 0
    for turn in range(2):
        for number, client in enumerate(clients):
            client.send(f"{turn} of {number}".encode())
        for number, client in enumerate(clients):
            client.settimeout(PATIENCE)
            right += client.recv(LARGEST) == f"{turn} of {number}".encode()
    for client in clients:
        client.close()
    return str(right)


def main(role: str, host: str, port: str, *numbers: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as opened:
        for behave in (echo, tell_address, show):
            if behave.__name__ == role:
                opened.bind((host, int(port)))
                say("ready")
                behave(opened)
        opened.settimeout(PATIENCE)
        if family == socket.AF_INET:
            opened.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        else:
            opened.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
        for act in (exchange, rows, hear, learn, crowd):
            if act.__name__ == role:
                try:
                    opened.connect((host, int(port)))
                    say(act(opened, [int(number) for number in numbers]))
                except TimeoutError:
                    say("no answer")
                except OSError as error:
                    say(errno.errorcode[error.errno or errno.EIO])


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
