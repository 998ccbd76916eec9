"""Either end of connections at their edges: `edges.py ROLE ADDRESS PORT [ARGUMENT]`.

A server says `ready` once it listens. A client says what came of it in one line. How long one waits
without progress is in the environment, for tests that expect none.
"""

import errno
import hashlib
import os
import random
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from struct import pack

PATIENCE = float(os.environ.get("PEER_PATIENCE", "20"))  # seconds
PIECE = random.Random(3).randbytes(1 << 20)
PIECES = 50
BULK = PIECES * (4 + len(PIECE))
DATA = PIECE[:300_000]
TEXT = b"before,!,after"
LINGER_RESET = pack("ii", 1, 0)  # close by a reset

Address = tuple[str, int]


def read_to_end(connection: socket.socket) -> bytes:
    pieces = []
    while piece := connection.recv(1 << 18):
        pieces.append(piece)
    return b"".join(pieces)


def receive_digest(connection: socket.socket, size: int) -> str:
    """Of the next bytes, or of all that come until the end."""
    state = hashlib.sha256()
    while size and (piece := connection.recv(min(size, 1 << 18))):
        state.update(piece)
        size -= len(piece)
    return state.hexdigest()


def send_bulk(connection: socket.socket) -> str:
    """Numbered pieces, all different; their digest."""
    state = hashlib.sha256()
    for number in range(PIECES):
        piece = number.to_bytes(4) + PIECE
        state.update(piece)
        connection.sendall(piece)
    return state.hexdigest()


# ── servers ──────────────────────────────────────────────────────────────────────────────────────


def answer_text(connection: socket.socket) -> None:
    """Answer with what came, once it is complete."""
    text = b""
    while len(text) < len(TEXT) and (piece := connection.recv(100)):
        text += piece
    connection.sendall(text)


def send_and_close(connection: socket.socket) -> None:
    """End with the last byte, without a wait for the client."""
    connection.sendall(DATA)


def greet_and_close(connection: socket.socket) -> None:
    connection.sendall(b"!")


def answer_and_listen(connection: socket.socket) -> None:
    """Say how the client ends, once it has asked."""
    connection.recv(1)
    connection.sendall(b"!")
    try:
        say("end of file" if read_to_end(connection) == b"" else "data")
    except OSError as error:
        say(errno.errorcode[error.errno or errno.EIO])


def take_bulk(connection: socket.socket) -> None:
    """Answer with the digest of what came."""
    connection.sendall(receive_digest(connection, BULK).encode())


def give_bulk(connection: socket.socket) -> None:
    """Send much to a client that asked, and say its digest."""
    connection.recv(1)
    say(send_bulk(connection))


def end_first(connection: socket.socket) -> None:
    """Send data and the end to a client that asked, then say what the client sends after that."""
    connection.recv(1)
    connection.sendall(DATA)
    connection.shutdown(socket.SHUT_WR)
    try:
        say("same" if read_to_end(connection) == DATA else "different")
    except TimeoutError:
        say("no progress")


def tell_address(connection: socket.socket) -> None:
    """Tell the client its address, once it has asked."""
    connection.recv(16)
    connection.sendall(connection.getpeername()[0].removeprefix("::ffff:").encode())


def serve(host: str, port: int, behave: Callable[[socket.socket], None]) -> None:
    """One client after the other; the host `::` stands for both families."""
    family, both = (socket.AF_INET6, True) if ":" in host else (socket.AF_INET, False)
    with socket.create_server((host, port), family=family, dualstack_ipv6=both) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)  # connections inherit it
        say("ready")
        while True:
            connection, _ = listener.accept()
            connection.settimeout(PATIENCE)
            with connection, suppress(ConnectionError, TimeoutError):
                behave(connection)


def be_dead(host: str, port: int) -> None:
    """Answer no SYN: the queue of connections is full, and nobody looks at it."""
    with socket.socket() as listener, socket.socket() as queued:
        listener.bind((host, port))
        listener.listen(0)
        queued.connect((host, port))
        say("ready")
        signal.pause()


# ── clients ──────────────────────────────────────────────────────────────────────────────────────


def send_urgent(address: Address, argument: str) -> str:
    with socket.create_connection(address, PATIENCE) as connection:
        connection.sendall(b"before,")
        connection.send(b"!", socket.MSG_OOB)
        connection.sendall(b",after")
        return connection.recv(100).decode()


def read_all(address: Address, count: str) -> str:
    """All data of `count` connections that the server closes right behind it."""
    right = 0
    for _ in range(int(count)):
        with socket.create_connection(address, PATIENCE) as connection:
            right += read_to_end(connection) == DATA
    return str(right)


def abort(address: Address, argument: str) -> str:
    """Reset a connection that both ends know of."""
    with socket.create_connection(address, PATIENCE) as connection:
        connection.sendall(b"?")
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
    return "done"


def use_port_again(address: Address, count: str) -> str:
    """The same four-tuple, at once after each connection, which the server or a reset ended."""
    source = ("", 0)
    right = 0
    for number in range(int(count)):
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            connection.bind(source)
            source = ("", connection.getsockname()[1])
            connection.settimeout(PATIENCE)
            connect_patiently(connection, address)
            greeting = connection.recv(1)
            if number % 2:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
                right += greeting == b"!"
            else:
                right += greeting + read_to_end(connection) == b"!"
    return str(right)


def connect_patiently(connection: socket.socket, address: Address) -> None:
    """As soon as our own kernel has done with the last connection of that four-tuple."""
    deadline = time.monotonic() + PATIENCE
    while (code := connection.connect_ex(address)) == errno.EADDRNOTAVAIL:
        if time.monotonic() > deadline:
            break
        time.sleep(0.001)
    if code:
        raise OSError(code, os.strerror(code))


def hear_from(address: Address, source: str) -> str:
    """What the server tells a client that has a certain address; without one, any."""
    with socket.create_connection(address, PATIENCE, (source, 0) if source else None) as connection:
        connection.sendall(b"?")
        return read_to_end(connection).decode() or "end of file"


def hear_datagram_from(address: Address, source: str) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind((source, 0))
        bound.settimeout(PATIENCE)
        bound.connect(address)
        bound.send(b"?")
        return bound.recv(100).decode()


def end_second(address: Address, argument: str) -> str:
    """Listen until the end, then send the same data."""
    with socket.create_connection(address, PATIENCE) as connection:
        connection.sendall(b"?")
        heard = read_to_end(connection)
        connection.sendall(DATA)
        return "same" if heard == DATA else "different"


def listen(address: Address, argument: str) -> str:
    """What comes without being asked for."""
    with socket.create_connection(address, PATIENCE) as connection:
        return read_to_end(connection).decode() or "end of file"


def upload(address: Address, argument: str) -> str:
    with socket.create_connection(address, PATIENCE) as connection:
        digest = send_bulk(connection)
        return "same" if connection.recv(100).decode() == digest else "different"


def download(address: Address, argument: str) -> str:
    with socket.create_connection(address, PATIENCE) as connection:
        connection.sendall(b"?")
        return receive_digest(connection, BULK)


def knock(live: Address, dead_port: str) -> str:
    """What becomes of a connection to a host that is dead.

    The live one has answered three times since; whoever answered for the dead one would have too.
    """
    with socket.socket() as dead:
        dead.setblocking(False)
        started = dead.connect_ex((live[0], int(dead_port)))
        if started != errno.EINPROGRESS:
            return errno.errorcode[started]
        for _ in range(3):
            with socket.create_connection(live, PATIENCE) as connection:
                read_to_end(connection)
        if not select.select([], [dead], [], 0)[1]:
            return "pending"
        code = dead.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return errno.errorcode[code] if code else "connected"


SERVERS = (
    answer_text,
    send_and_close,
    greet_and_close,
    answer_and_listen,
    take_bulk,
    give_bulk,
    end_first,
    tell_address,
)
CLIENTS = (
    send_urgent,
    read_all,
    abort,
    use_port_again,
    hear_from,
    hear_datagram_from,
    end_second,
    listen,
    upload,
    download,
    knock,
)


def main(role: str, host: str, port: str, argument: str = "") -> None:
    if role == be_dead.__name__:
        be_dead(host, int(port))
    for behave in SERVERS:
        if behave.__name__ == role:
            serve(host, int(port), behave)
    for act in CLIENTS:
        if act.__name__ == role:
            try:
                say(act((host, int(port)), argument))
            except TimeoutError:
                say("no progress")
            except OSError as error:
                say(errno.errorcode[error.errno or errno.EIO])


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
