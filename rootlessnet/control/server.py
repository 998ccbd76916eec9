"""An instance's own end of its control socket.

Everything happens in callbacks of the instance's loop, and none of them waits: a client that is
slow to ask or to read costs a timer and a few kilobytes until its time is up, and nobody else
anything. There may be so many at a time; when more come, the one that has dawdled the longest goes.
Those who wait for the end of the instance do so on purpose: they go last.

Read: `rootlessnet.control` for what is said, accept(2) for its errors.
"""

import asyncio
import os
import socket
from typing import TYPE_CHECKING

from rootlessnet.control.state import Claim, peer_of
from rootlessnet.errors import RootlessnetError

if TYPE_CHECKING:
    from rootlessnet.control.requests import Controlled

PATIENCE = 5.0  # seconds from a client's connect to the last byte of its answer
CLIENTS = 64  # at a time
REQUEST_SIZE = 1 << 16  # bytes: two thousand ports and more

_RETRY = 0.1  # seconds to wait when descriptors are used up
_PIECE = 1 << 14


def is_allowed(user: int) -> bool:
    """Whether a process of this user may talk to us. The folder keeps others out; this does so
    where its modes do not count: root's processes, and a descriptor that was passed on.
    """
    return user == os.geteuid()


class _Client:
    """A client from its connect on. `remains` is what of its answer was not taken yet."""

    def __init__(self, connection: socket.socket, timer: asyncio.TimerHandle) -> None:
        self.connection = connection
        self.timer = timer
        self.received = bytearray()
        self.remains = memoryview(b"")
        self.waits_for_the_end = False


class Server:
    """Answers on the loop from now on until it is closed."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, claim: Claim, instance: "Controlled"
    ) -> None:
        """The claim is the server's from now on."""
        self._loop = loop
        self._claim = claim
        self._listening = claim.listening
        self._instance = instance
        self._clients: dict[int, _Client] = {}  # by descriptor, the longest there first
        self._retry: asyncio.TimerHandle | None = None
        self._open = True
        self._resume()

    def close(self) -> None:
        """Give up the name, tell those who wait for the end that it has come, and leave all.
        Idempotent.
        """
        if not self._open:
            return
        self._open = False
        if self._retry is not None:
            self._retry.cancel()
        else:
            self._loop.remove_reader(self._listening.fileno())
        self._claim.release()
        for client in list(self._clients.values()):
            if client.waits_for_the_end:
                self._end(client)
        for client in list(self._clients.values()):
            self._drop(client)

    def _resume(self) -> None:
        self._retry = None
        self._loop.add_reader(self._listening.fileno(), self._accept)

    def _accept(self) -> None:
        """Accept one and hear it at once: who comes with its question has gone before the next."""
        try:
            connection, _ = self._listening.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:  # descriptors are used up: the client waits in the kernel's queue
            self._loop.remove_reader(self._listening.fileno())
            self._retry = self._loop.call_later(_RETRY, self._resume)
            return
        if not is_allowed(peer_of(connection)[1]):
            connection.close()
            return
        connection.setblocking(False)
        if len(self._clients) >= CLIENTS:
            self._drop(min(self._clients.values(), key=lambda one: one.waits_for_the_end))
        timer = self._loop.call_later(PATIENCE, self._too_slow, connection.fileno())
        client = self._clients[connection.fileno()] = _Client(connection, timer)
        self._loop.add_reader(connection.fileno(), self._hear, client)
        self._hear(client)

    def _hear(self, client: _Client) -> None:
        try:
            piece = client.connection.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece or client.waits_for_the_end:  # it went away, or asks for more than one thing
            self._drop(client)
            return
        client.received += piece
        line, newline, _ = client.received.partition(b"\n")
        if newline or len(line) > REQUEST_SIZE:
            self._obey(client, bytes(line))

    def _obey(self, client: _Client, line: bytes) -> None:
        from rootlessnet.control import protocol, requests  # json, which few instances ever need

        try:
            if len(line) > REQUEST_SIZE:
                raise RootlessnetError("the request is too long: ask for less at a time")
            request = protocol.decode_request(line)
            if isinstance(request, protocol.Stop):
                client.waits_for_the_end = True
                client.timer.cancel()
                self._instance.terminate(request.seconds)
                return
            answer = protocol.encode_result(requests.perform(request, self._instance))
        except RootlessnetError as error:
            answer = protocol.encode_error(str(error))
        self._answer(client, answer)

    def _end(self, client: _Client) -> None:
        from rootlessnet.control import protocol

        self._answer(client, protocol.encode_result(None))

    def _answer(self, client: _Client, line: bytes) -> None:
        self._loop.remove_reader(client.connection.fileno())
        client.remains = memoryview(line)
        if self._write(client):
            self._loop.add_writer(client.connection.fileno(), self._write, client)

    def _write(self, client: _Client) -> bool:
        """Write what the client takes; whether something is left, else the client is done with."""
        try:
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
        self._drop(self._clients[descriptor])

    def _drop(self, client: _Client) -> None:
        descriptor = client.connection.fileno()
        del self._clients[descriptor]
        client.timer.cancel()
        self._loop.remove_reader(descriptor)
        self._loop.remove_writer(descriptor)
        client.connection.close()
