"""Clients of a listening unix socket, each of whom asks for one thing and hears one answer.

Everything happens in callbacks of the instance's loop, and none of them waits: a client that is
slow to ask or to read costs a timer and a few kilobytes until its time is up, and nobody else
anything. There may be so many at a time; when more come, the one that has dawdled the longest goes.
Those who wait for the end of the instance do so on purpose: they go last. What is said, in which
form, is the matter of a `Conversation`.

Read: unix(7), accept(2) for its errors.
"""

import asyncio
import socket
from typing import Literal, Protocol

from rootlessnet.control.state import peer_of

_RETRY = 0.1  # seconds to wait when descriptors are used up
_PIECE = 1 << 14

# What a conversation may say in place of an answer.
MORE: Literal["more"] = "more"  # the request has not come to its end
LATER: Literal["later"] = "later"  # the answer is the `farewell`, once the instance ends

Answer = bytes | Literal["more", "later"]


class Conversation(Protocol):
    """How requests and answers look."""

    @property
    def patience(self) -> float:
        """Seconds from a client's connect to its answer's last byte, unless that comes LATER."""

    def is_welcome(self, user: int) -> bool:
        """Whether a process of this user may ask."""

    def answer(self, received: bytes, *, complete: bool) -> Answer:
        """The answer to what was received; empty for none. `complete`: nothing more will come, as
        the client has said all, or its time is up, so MORE is no answer.
        """

    def farewell(self) -> bytes:
        """The answer at the end of the instance."""


class _Client:
    """A client from its connect on. `remains` is what of its answer was not taken yet."""

    def __init__(self, connection: socket.socket, timer: asyncio.TimerHandle) -> None:
        self.connection = connection
        self.timer = timer
        self.received = bytearray()
        self.remains = memoryview(b"")
        self.waits_for_the_end = False


class Clients:
    """Hears and answers on the loop from now on until it is closed."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listening: socket.socket,
        said: Conversation,
        most: int,
    ) -> None:
        """The listening socket stays its owner's, to be closed after this. `most` clients are there
        at a time.
        """
        self._most = most
        self._loop = loop
        self._listening = listening
        self._said = said
        self._clients: dict[int, _Client] = {}  # by descriptor, the longest there first
        self._retry: asyncio.TimerHandle | None = None
        self._open = True
        self._resume()

    def close(self) -> None:
        """Hear nobody new. Idempotent; `leave` follows."""
        if not self._open:
            return
        self._open = False
        if self._retry is not None:
            self._retry.cancel()
        else:
            self._loop.remove_reader(self._listening.fileno())

    def leave(self) -> None:
        """Tell those who wait for the end that it has come, and leave all. Idempotent."""
        for client in list(self._clients.values()):
            if client.waits_for_the_end:
                self._answer(client, self._said.farewell())
        for client in list(self._clients.values()):
            self._drop(client)

    def _resume(self) -> None:
        self._retry = None
        self._loop.add_reader(self._listening.fileno(), self._accept)

    def _accept(self) -> None:
        """Accept one and hear it at once: who comes with its question has gone before the next."""
        try:
            connection, _ = self._listening.accept()
        except BlockingIOError:  # it went away
            return
        except OSError:  # descriptors are used up: the client waits in the kernel's queue
            self._loop.remove_reader(self._listening.fileno())
            self._retry = self._loop.call_later(_RETRY, self._resume)
            return
        if not self._said.is_welcome(peer_of(connection)[1]):
            connection.close()
            return
        connection.setblocking(False)
        if len(self._clients) >= self._most:
            self._drop(min(self._clients.values(), key=lambda one: one.waits_for_the_end))
        timer = self._loop.call_later(self._said.patience, self._too_slow, connection.fileno())
        client = self._clients[connection.fileno()] = _Client(connection, timer)
        self._loop.add_reader(connection.fileno(), self._hear, client)
        self._hear(client)

    def _hear(self, client: _Client) -> None:
        try:
            piece = client.connection.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            self._drop(client)
            return
        if client.waits_for_the_end:  # it went away, or asks for more than one thing
            self._drop(client)
            return
        client.received += piece
        self._consider(client, complete=not piece)

    def _consider(self, client: _Client, *, complete: bool) -> None:
        answer = self._said.answer(bytes(client.received), complete=complete)
        if answer == LATER:
            client.waits_for_the_end = True
            client.timer.cancel()
        elif isinstance(answer, bytes):
            self._answer(client, answer)

    def _answer(self, client: _Client, answer: bytes) -> None:
        self._loop.remove_reader(client.connection.fileno())
        client.remains = memoryview(answer)
        if self._write(client):
            self._loop.add_writer(client.connection.fileno(), self._write, client)

    def _write(self, client: _Client) -> bool:
        """Write what the client takes; whether something is left, else the client is done with."""
        try:
            if client.remains:
                client.remains = client.remains[client.connection.send(client.remains) :]
        except BlockingIOError:
            return True
        except OSError:  # it went away
            client.remains = memoryview(b"")
        if client.remains:
            return True
        self._drop(client)
        return False

    def _too_slow(self, descriptor: int) -> None:
        client = self._clients[descriptor]
        if not client.remains:
            self._consider(client, complete=True)
        if self._clients.get(descriptor) is client:
            self._drop(client)

    def _drop(self, client: _Client) -> None:
        descriptor = client.connection.fileno()
        del self._clients[descriptor]
        client.timer.cancel()
        self._loop.remove_reader(descriptor)
        self._loop.remove_writer(descriptor)
        client.connection.close()
