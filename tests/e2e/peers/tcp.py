"""Either end of the TCP connections that tests make: `tcp.py ROLE ADDRESS PORT [COUNT]`.

A server says `ready` once it listens, and then where each connection arrived, for COUNT of them,
all by default: nobody may be reading. A client says what came of it in one line. Data is random,
but the same in every process, so that both ends know it. A stream is that data over and over, for
as many bytes as are wanted.
"""

import errno
import os
import random
import socket
import socketserver
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from itertools import count as count_from
from math import inf
from struct import pack
from time import monotonic

SIZE = 3_000_000  # bytes, more than all buffers on the way hold in some directions
PATIENCE = float(os.environ.get("PEER_PATIENCE", "20"))  # seconds without progress
DATA = random.Random(1).randbytes(SIZE)
# More than a host with small buffers holds, and less than the network itself does: it is sent
# without anybody reading, however little the guest's kernel keeps.
LAST_WORDS = DATA[:900_000]
PIECE = 1 << 18  # bytes read at once
STREAM = DATA + DATA[:PIECE]  # any PIECE of a stream
PAUSE = 0.2  # seconds after which a sender that makes no progress says so
BEFORE_STALL = 1_000_000  # bytes that a reader takes before it stalls
PORTS = range(40000, 40100)  # of a client that uses few
SMALL, ROUNDS = 6, 300  # so much of URGENT holds little data; how often that is said
URGENT: list[tuple[bytes, int]] = [
    (b"before", 0),
    (b"!", socket.MSG_OOB),
    (b"after", 0),
    # What an FTP client says to abort: Telnet's IP, Synch as urgent data, DM (RFC 959 4.1.3).
    (b"\xff\xf4\xff", socket.MSG_OOB),
    (b"\xf2ABOR\r\n", 0),
    (b".", socket.MSG_OOB),
    (DATA, 0),
    (b"?", socket.MSG_OOB),
    (DATA, 0),
    (b"the last byte is urgent too", socket.MSG_OOB),
]


def family_of(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def read_to_end(connection: socket.socket) -> bytes:
    pieces = []
    while piece := connection.recv(PIECE):
        pieces.append(piece)
    return b"".join(pieces)


def send_stream(connection: socket.socket, count: int) -> None:
    while count > 0:
        connection.sendall(DATA[:count])
        count -= SIZE


def read_stream(connection: socket.socket, position: int = 0, stop: float = inf) -> int:
    """Read a stream from `position` on, to its end or some way behind `stop`; where that was, or -1
    when a byte was not the stream's.
    """
    while position < stop and (piece := connection.recv(PIECE)):
        offset = position % SIZE
        if piece != STREAM[offset : offset + len(piece)]:
            return -1
        position += len(piece)
    return position


def interrupt(connection: socket.socket) -> str:
    """Send urgent data among a little other data, again and again, each time once it was echoed:
    nothing that follows, no end of file either, helps a byte on its way.
    """
    right = 0
    for _ in range(ROUNDS):
        for data, flags in URGENT[:SMALL]:
            connection.sendall(data, flags)
        wanted = b"".join(data for data, _ in URGENT[:SMALL])
        answer = b""
        while len(answer) < len(wanted) and (piece := connection.recv(PIECE)):
            answer += piece
        right += answer == wanted
    return "same" if right == ROUNDS else "different"


def send_urgently(connection: socket.socket) -> bytes:
    """Send what is in URGENT, and the end; gives what the other side should read in line."""
    for data, flags in URGENT:
        connection.sendall(data, flags)
    connection.shutdown(socket.SHUT_WR)
    return b"".join(data for data, _ in URGENT)


# ── servers ──────────────────────────────────────────────────────────────────────────────────────


def echo(connection: socket.socket) -> None:
    """Answer each piece at once."""
    while piece := connection.recv(PIECE):
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
    """The whole program ends, with its last words on their way."""
    connection.sendall(LAST_WORDS)
    connection.close()
    say("sent")
    os._exit(0)


def read_later(connection: socket.socket) -> str:
    sys.stdin.readline()
    try:
        heard = read_to_end(connection)
    except OSError as error:
        return errno.errorcode[error.errno or errno.EIO]
    return "same" if heard == LAST_WORDS else f"{len(heard)} bytes"


def mirror(connection: socket.socket) -> None:
    """Answer a stream with one of the same length, after its end; a wrong one with nothing."""
    send_stream(connection, read_stream(connection))


def answer_and_close(connection: socket.socket) -> None:
    """Answer a small request, and be the first to close."""
    connection.sendall(connection.recv(PIECE))


def speak_urgently(connection: socket.socket) -> None:
    """Send urgent data among other data; say if the client has read all of it in line."""
    wanted = send_urgently(connection)
    say("same" if read_to_end(connection) == wanted else "different")


def interrupt_client(connection: socket.socket) -> None:
    say(interrupt(connection))


def pour(connection: socket.socket, count: int = 64_000_000) -> None:
    """Send a stream, and say `stopped at` so many bytes while there is no progress."""
    connection.settimeout(PAUSE)
    sent = 0
    while sent < count:
        try:
            offset = sent % SIZE
            sent += connection.send(STREAM[offset : offset + min(PIECE, count - sent)])
        except TimeoutError:
            say(f"stopped at {sent}")
    connection.shutdown(socket.SHUT_WR)
    say(f"sent {sent}")


def stall(connection: socket.socket) -> None:
    """Read some of a stream, say `stalling`, read the rest once a line comes from outside."""
    position = read_stream(connection, stop=BEFORE_STALL)
    say("stalling")
    sys.stdin.readline()
    say(f"read {read_stream(connection, position)}")


def relay(connection: socket.socket) -> None:
    """Have each piece answered by a server on the client's own host."""
    port = int(sys.argv[4])
    with socket.create_connection((connection.getpeername()[0], port), PATIENCE) as further:
        while piece := connection.recv(PIECE):
            further.sendall(piece)
            connection.sendall(further.recv(PIECE))


def serve(
    address: str, port: int, behave: Callable[[socket.socket], None], told: float = inf
) -> None:
    numbers = count_from(0)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            assert isinstance(self.request, socket.socket)
            if next(numbers) < told:
                say(f"connection to {self.request.getsockname()[0]}")
            behave(self.request)

    class Server(socketserver.ThreadingTCPServer):
        address_family = family_of(address)
        allow_reuse_address = True
        daemon_threads = True
        request_queue_size = 4096  # a client whose SYN finds no room in it waits a second

        def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
            assert isinstance(request, socket.socket)
            request.close()  # no shutdown before: it would spoil a reset

        def handle_error(
            self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
        ) -> None:
            """A reset is no error: of thousands the traces would fill a pipe that nobody reads."""
            if not isinstance(sys.exception(), ConnectionError):
                super().handle_error(request, client_address)

    with Server((address, port), Handler) as server:
        say("ready")
        server.serve_forever()


def never_accept(address: str, port: int) -> None:
    """Listen, with a queue that is full."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket(family_of(address)))
        server.bind((address, port))
        server.listen(0)
        try:
            while True:
                client = stack.enter_context(socket.socket(family_of(address)))
                client.settimeout(PAUSE)
                client.connect((address, port))
        except TimeoutError:
            say("ready")
        sys.stdin.read()


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


def connect_stubbornly(address: tuple[str, int], count: int) -> str:
    """As `connect_often`, and again where one was reset."""
    right, deadline = 0, monotonic() + PATIENCE
    while right < count and monotonic() < deadline:
        with suppress(OSError):
            right += int(connect_often(address, 1))
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


def hold_together(address: tuple[str, int], count: int) -> str:
    """Many connections at the same time, without a thread for each; each byte is echoed."""
    with ExitStack() as stack:
        held = [
            stack.enter_context(socket.create_connection(address, PATIENCE)) for _ in range(count)
        ]
        right = 0
        for _ in range(2):
            for number, connection in enumerate(held):
                connection.sendall(number.to_bytes(4, "big"))
            for number, connection in enumerate(held):
                right += connection.recv(4) == number.to_bytes(4, "big")
        return str(right)


def hear(address: tuple[str, int], count: int) -> str:
    """Send a byte, say what comes."""
    with socket.create_connection(address, PATIENCE) as connection:
        connection.sendall(b"?")
        return read_to_end(connection).decode()


def send_and_leave(address: tuple[str, int], count: int) -> str:
    """Send the last words and end, without waiting for anything."""
    with socket.create_connection(address, PATIENCE) as connection:
        connection.sendall(LAST_WORDS)
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
            count -= len(connection.recv(PIECE))
        say("flowing")
        while connection.recv(PIECE):
            pass
        return "end of file"


def drain_stubbornly(address: tuple[str, int], count: int) -> str:
    """As `drain`, once there is a server."""
    deadline = monotonic() + PATIENCE
    while monotonic() < deadline:
        with suppress(ConnectionResetError), socket.create_connection(address, PATIENCE) as probe:
            probe.recv(1)
            break
    return drain(address, count)


def trade(address: tuple[str, int], count: int) -> str:
    """Send a stream of `count` bytes, then listen to one; how many bytes of it were right."""
    with socket.create_connection(address, PATIENCE) as connection:
        send_stream(connection, count)
        connection.shutdown(socket.SHUT_WR)
        return str(read_stream(connection))


def close_first(address: tuple[str, int], count: int) -> str:
    """Short connections from few ports, whose ends are begun here."""
    return str(sum(reuse_port(address, number, socket.SHUT_WR) for number in range(count)))


def close_second(address: tuple[str, int], count: int) -> str:
    """Short connections from few ports, whose ends are begun there."""
    return str(sum(reuse_port(address, number) for number in range(count)))


def reuse_port(address: tuple[str, int], number: int, shutdown: int | None = None) -> bool:
    with socket.socket(family_of(address[0])) as connection:
        connection.settimeout(PATIENCE)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        connection.bind(("", PORTS[number % len(PORTS)]))
        connection.connect(address)
        text = f"number {number}".encode()
        connection.sendall(text)
        answer = connection.recv(PIECE)
        if shutdown is not None:
            connection.shutdown(shutdown)
        return answer + read_to_end(connection) == text


def ask_urgently(address: tuple[str, int], count: int) -> str:
    """Send urgent data among other data, then listen."""
    with socket.create_connection(address, PATIENCE) as connection:
        wanted = send_urgently(connection)
        return "same" if read_to_end(connection) == wanted else "different"


def interrupt_server(address: tuple[str, int], count: int) -> str:
    with socket.create_connection(address, PATIENCE) as connection:
        return interrupt(connection)


def give_back_at_once(address: tuple[str, int], count: int) -> str:
    with socket.create_connection(address, PATIENCE) as connection:
        echo(connection)
        return "done"


def give_back(address: tuple[str, int], count: int) -> str:
    """Send back all that came, once its end has."""
    with socket.create_connection(address, PATIENCE) as connection:
        answer_late(connection)
        return "done"


def pour_out(address: tuple[str, int], count: int) -> str:
    with socket.create_connection(address) as connection:
        pour(connection, count)
        return "done"


def stall_on(address: tuple[str, int], count: int) -> str:
    with socket.create_connection(address) as connection:
        stall(connection)
        return "done"


def main(role: str, host: str, port: str, count: str | None = None) -> None:
    servers = (
        *(echo, answer_late, speak_first, tell_address, reset, flood),
        *(mirror, answer_and_close, speak_urgently, interrupt_client, pour, stall),
        *(read_when_told, send_and_die, relay),
    )
    clients = (
        *(ask, listen_first, exchange, connect_often, connect_together, hear, drain),
        *(trade, close_first, close_second, pour_out, stall_on),
        *(ask_urgently, give_back, interrupt_server, give_back_at_once),
        *(send_and_leave, listen_when_told, hold_together),
        *(connect_stubbornly, drain_stubbornly),
    )
    if role == "never_accept":
        never_accept(host, int(port))
    for behave in servers:
        if behave.__name__ == role:
            serve(host, int(port), behave, inf if count is None else int(count))
    for act in clients:
        if act.__name__ == role:
            try:
                say(act((host, int(port)), int(count or 1)))
            except TimeoutError:
                say("no progress")
            except OSError as error:
                say(errno.errorcode[error.errno or errno.EIO])


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
