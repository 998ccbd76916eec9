"""A nameserver over UDP and TCP on port 53: `nameserver.py ADDRESS BEHAVIOUR`.

BEHAVIOUR is `answer` (every name has the address 192.0.2.77, and a text of 3,000 bytes, which over
UDP is truncated), `forge` (the same, behind what a forger might send over UDP), `refuse` or
`silent` (as a machine that is down: not even a TCP connection comes about). It says `ready`, and
then each question, with its protocol.

Read: RFC 1035 4.1, RFC 7766.
"""

import signal
import socket
import socketserver
import sys
import threading
from struct import pack, unpack

PORT = 53
ADDRESS = bytes((192, 0, 2, 77))
TEXT = b"a long text " * 250
A, TXT = 1, 16
RESPONSE, TRUNCATED, REFUSED = 0x8180, 0x0200, 5


def name_and_kind(question: bytes) -> tuple[str, int]:
    labels = []
    rest = question
    while size := rest[0]:
        labels.append(rest[1 : 1 + size].decode())
        rest = rest[1 + size :]
    return ".".join(labels), unpack("!H", rest[1:3])[0]


def answer(query: bytes, protocol: str, behaviour: str) -> bytes:
    question = query[12 : query.index(b"\0", 12) + 5]
    name, kind = name_and_kind(question)
    print(protocol, name, flush=True)
    flags = RESPONSE
    records: list[bytes] = []
    if behaviour == "refuse":
        flags |= REFUSED
    elif kind == A:
        records = [ADDRESS]
    elif kind == TXT and protocol == "udp":
        flags |= TRUNCATED
    elif kind == TXT:
        pieces = [TEXT[start : start + 250] for start in range(0, len(TEXT), 250)]
        records = [b"".join(bytes((len(piece),)) + piece for piece in pieces)]
    header = query[:2] + pack("!5H", flags, 1, len(records), 0, 0)
    # Each record names the question by a pointer to it, and lives for a minute.
    body = b"".join(pack("!HHHIH", 0xC00C, kind, 1, 60, len(data)) + data for data in records)
    return header + question + body


def forgeries(true: bytes) -> list[bytes]:
    """Answers with the address 203.0.113.66: another identifier, another name, another type."""
    wrong = true.replace(ADDRESS, bytes((203, 0, 113, 66)))
    at = wrong.index(b"\0", 12)
    return [
        bytes((wrong[0] ^ 1,)) + wrong[1:],
        wrong[:13] + bytes((wrong[13] ^ 1,)) + wrong[14:],
        wrong[: at + 2] + bytes((28,)) + wrong[at + 3 :],
        wrong[:2] + bytes((wrong[2] & 0x7F,)) + wrong[3:],
        b"",
        bytes(3),
    ]


class UdpHandler(socketserver.BaseRequestHandler):
    behaviour = ""

    def handle(self) -> None:
        query, bound = self.request
        if self.behaviour == "forge":
            for forged in forgeries(answer(query, "udp", "answer")):
                bound.sendto(forged, self.client_address)
        bound.sendto(answer(query, "udp", self.behaviour), self.client_address)


class TcpHandler(socketserver.StreamRequestHandler):
    behaviour = ""

    def handle(self) -> None:
        while length := self.rfile.read(2):
            query = self.rfile.read(int.from_bytes(length, "big"))
            message = answer(query, "tcp", self.behaviour)
            self.wfile.write(len(message).to_bytes(2, "big") + message)


class TcpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def be_silent(address: str) -> None:
    """Take datagrams and connections into queues that nobody looks at, the latter's being full."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket() as tcp,
        socket.socket() as queued,
    ):
        udp.bind((address, PORT))
        tcp.bind((address, PORT))
        tcp.listen(0)
        queued.connect((address, PORT))
        print("ready", flush=True)
        signal.pause()


def main(address: str, behaviour: str) -> None:
    if behaviour == "silent":
        be_silent(address)
    UdpHandler.behaviour = TcpHandler.behaviour = behaviour
    with (
        socketserver.ThreadingUDPServer((address, PORT), UdpHandler) as udp,
        TcpServer((address, PORT), TcpHandler) as tcp,
    ):
        threading.Thread(target=tcp.serve_forever, daemon=True).start()
        print("ready", flush=True)
        udp.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
