"""Either end of the TCP connections that tests make: `tcp.py ROLE ADDRESS PORT [COUNT]`.

A server says `ready` once it listens, and then where each connection arrived. A client says what
came of it in one line. Data is random, but the same in every process, so that both ends know it.
"""

import errno
import hashlib
import os
import random
import socket
import socketserver
import sys
import threading
from collections.abc import Callable
from struct import pack

SIZE = 3_000_000  # bytes, more than all buffers on the way hold in some directions
PATIENCE = float(os.environ.get("PEER_PATIENCE", "20"))  # seconds without progress
DATA = random.Random(1).randbytes(SIZE)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def read_to_end(connection: socket.socket) -> bytes:
    pieces = []
    while piece := connection.recv(1 << 18):
        pieces.append(piece)
    return b"".join(pieces)


# ── servers ──────────────────────────────────────────────────────────────────────────────────────


def echo(connection: socket.socket) -> None:
    """Answer each piece at once."""
    while piece := connection.recv(1 << 18):
        connection.sendall(piece)


def answer_late(connection: socket.socket) -> None:
    """Answer with all that came, once its end has."""
    connection.sendall(read_to_end(connection))


def speak_first(connection: socket.socket) -> None:
    """Send the data and its end, then listen to the client and say if it was the same data."""
    connection.sendall(DATA)
    connection.shutdown(socket.SHUT_WR)
    say("same" if read_to_end(connection) == DATA else "different")


def tell_address(connection: socket.socket) -> None:
    """Tell the client its address, once it has asked."""
    connection.recv(1 << 16)  # all of it: what is not read makes the close a reset
    connection.sendall(connection.getpeername()[0].encode())


def reset(connection: socket.socket) -> None:
    """Reset the connection when a request has come."""
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))


def flood(connection: socket.socket) -> None:
    """Send until the client goes away."""
    try:
        while True:
            connection.sendall(DATA)
    except ConnectionError:
        say("client gone")


def read_when_told(connection: socket.socket) -> None:
    """Read nothing before a line comes, then say how it went."""
    say(read_later(connection))


def send_and_die(connection: socket.socket) -> None:
    """The whole program ends, with the data on its way."""
    connection.sendall(DATA)
    connection.close()
    say("sent")
    os._exit(0)


def read_later(connection: socket.socket) -> str:
    sys.stdin.readline()
    try:
        heard = read_to_end(connection)
    except OSError as error:
        return errno.errorcode[error.errno or errno.EIO]
    return "same" if heard == DATA else f"{len(heard)} bytes"


def serve(address: str, port: int, behave: Callable[[socket.socket], None]) -> None:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            assert isinstance(self.request, socket.socket)
            say(f"connection to {self.request.getsockname()[0]}")
            behave(self.request)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        request_queue_size = 128

        def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
            assert isinstance(request, socket.socket)
            request.close()  # no shutdown before: it would spoil a reset

    with Server((address, port), Handler) as server:
        say("ready")
        server.serve_forever()


# ── clients ──────────────────────────────────────────────────────────────────────────────────────


def ask(address: tuple[str, int], count: int) -> str:
    """Send the data and its end, then listen."""
    with socket.create_connection(address, PATIENCE) as connection:
        connection.sendall(DATA)
        connection.shutdown(socket.SHUT_WR)
        return "same" if read_to_end(connection) == DATA else "different"


def listen_first(address: tuple[str, int], count: int) -> str:
    """Listen until the end, then send the data."""
    with socket.create_connection(address, PATIENCE) as connection:
        heard = read_to_end(connection)
        connection.sendall(DATA)
        return "same" if heard == DATA else "different"


def exchange(address: tuple[str, int], count: int) -> str:
    """Ping-pong with single bytes on one connection."""
    right = 0
    with socket.create_connection(address, PATIENCE) as connection:
        for number in range(count):
            byte = bytes((number % 256,))
            connection.sendall(byte)
            right += connection.recv(1) == byte
    return str(right)


def connect_often(address: tuple[str, int], count: int) -> str:
    """One short connection after the other."""
    right = 0
    for number in range(count):
        with socket.create_connection(address, PATIENCE) as connection:
            text = f"number {number}".encode()
            connection.sendall(text)
            connection.shutdown(socket.SHUT_WR)
            right += read_to_end(connection) == text
    return str(right)


def connect_together(address: tuple[str, int], count: int) -> str:
    """Many connections at the same time."""
    results: list[bool] = []
    barrier = threading.Barrier(count)

    def work(number: int) -> None:
        text = DATA[number : number + 10_000]
        with socket.create_connection(address, PATIENCE) as connection:
            barrier.wait(PATIENCE)
            connection.sendall(text)
            connection.shutdown(socket.SHUT_WR)
            results.append(read_to_end(connection) == text)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return str(sum(results))


def hear(address: tuple[str, int], count: int) -> str:
    """Send a byte, say what comes."""
    with socket.create_connection(address, PATIENCE) as connection:
        connection.sendall(b"?")
        return read_to_end(connection).decode()


def send_and_leave(address: tuple[str, int], count: int) -> str:
    """Send the data and end, without waiting for anything."""
    with socket.create_connection(address, PATIENCE) as connection:
        connection.sendall(DATA)
    return "sent"


def listen_when_told(address: tuple[str, int], count: int) -> str:
    """Read nothing before a line comes."""
    with socket.create_connection(address, PATIENCE) as connection:
        say("connected")
        return read_later(connection)


def drain(address: tuple[str, int], count: int) -> str:
    """Say `flowing` after `count` bytes, then how it ended."""
    with socket.create_connection(address, PATIENCE) as connection:
        while count > 0:
            count -= len(connection.recv(1 << 18))
        say("flowing")
        while connection.recv(1 << 18):
            pass
        return "end of file"


def main(role: str, host: str, port: str, count: str = "1") -> None:
    servers = (
        echo,
        answer_late,
        speak_first,
        tell_address,
        reset,
        flood,
        read_when_told,
        send_and_die,
    )
    clients = (
        ask,
        listen_first,
        exchange,
        connect_often,
        connect_together,
        hear,
        drain,
        send_and_leave,
        listen_when_told,
    )
    for behave in servers:
        if behave.__name__ == role:
            serve(host, int(port), behave)
    for act in clients:
        if act.__name__ == role:
            try:
                say(act((host, int(port)), int(count)))
            except TimeoutError:
                say("no progress")
            except OSError as error:
                say(errno.errorcode[error.errno or errno.EIO])


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
