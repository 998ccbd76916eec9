"""Either end of very many connections at a time, in one thread: `crowd.py ROLE ADDRESS PORT COUNT`.

The server echoes whatever comes on any of them.

The client opens COUNT connections and says a word of its own on each; those that are answered stand
until a line comes from outside. From then on it closes each that has its answer, until none is
left, and says how many had it. `queue_up` opens one after the other, `take_turns` all at once.
"""

import selectors
import socket
import sys

PIECE = 1 << 12  # bytes read at once
PATIENCE = 20.0  # seconds without progress
BACKLOG = 1 << 14  # the kernel cuts it to net.core.somaxconn


def family_of(address: tuple[str, int]) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


def serve(address: tuple[str, int]) -> None:
    ready = selectors.EpollSelector()
    with socket.create_server(address, family=family_of(address), backlog=BACKLOG) as listening:
        ready.register(listening, selectors.EVENT_READ)
        say("ready")
        while True:
            for key, _ in ready.select():
                one = key.fileobj
                assert isinstance(one, socket.socket)
                if one is listening:
                    ready.register(listening.accept()[0], selectors.EVENT_READ)
                elif not echo(one):
                    ready.unregister(one)
                    one.close()


def echo(one: socket.socket) -> bool:
    """Whether there may be more; not after a reset, as of a connect that was given up."""
    try:
        data = one.recv(PIECE)
        one.sendall(data)
    except ConnectionError:
        return False
    return bool(data)


def queue_up(address: tuple[str, int], count: int) -> None:
    waiting = selectors.EpollSelector()
    waiting.register(sys.stdin, selectors.EVENT_READ)
    for number in range(count):
        one = socket.create_connection(address, PATIENCE)
        one.sendall(word(number))
        waiting.register(one, selectors.EVENT_READ, number)
    have_answered(waiting, count)


def take_turns(address: tuple[str, int], count: int) -> None:
    connecting = selectors.EpollSelector()
    for number in range(count):
        one = socket.socket(family_of(address))
        one.setblocking(False)
        one.connect_ex(address)
        connecting.register(one, selectors.EVENT_WRITE, number)
    connecting.register(sys.stdin, selectors.EVENT_READ)
    have_answered(connecting, count)


def have_answered(waiting: selectors.EpollSelector, count: int) -> None:
    standing: list[socket.socket] = []
    answered = 0
    is_told = False
    while answered < count or not is_told:
        events = waiting.select(PATIENCE)
        assert events, f"no progress: {answered} were answered"
        for key, kind in events:
            waiting.unregister(key.fileobj)
            if kind & selectors.EVENT_WRITE:
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.sendall(word(key.data))
                waiting.register(key.fileobj, selectors.EVENT_READ, key.data)
            elif isinstance(key.fileobj, socket.socket):
                assert key.fileobj.recv(PIECE) == word(key.data)
                answered += 1
                standing.append(key.fileobj)
            else:
                is_told = True
        while is_told and standing:
            standing.pop().close()
    say(str(answered))


def word(number: int) -> bytes:
    return number.to_bytes(4, "big")


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    role, host, port, *count = sys.argv[1:]
    if role == "serve":
        serve((host, int(port)))
    elif role == "take_turns":
        take_turns((host, int(port)), int(count[0]))
    else:
        queue_up((host, int(port)), int(count[0]))
