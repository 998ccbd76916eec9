"""A TCP socket that listens, and what becomes of its clients.

Where there is no room for more connections none is accepted: clients wait in the kernel's queue,
and are served as others end. Read: accept(2), ERRORS; listen(2) on the queue.
"""

import errno
import socket
from collections.abc import Callable

from rootlessnet import limits
from rootlessnet.host.reactor import LEVEL, Reactor
from rootlessnet.stack.host import SocketAddress

_ACCEPTS = 64  # connections accepted at most before others get their turn
_RETRY = 0.1  # seconds to wait when there is no room
_EXHAUSTED = (*limits.DESCRIPTORS_USED_UP, errno.ENOBUFS, errno.ENOMEM)


class Listener:
    """One such socket, from now on until it is closed."""

    def __init__(
        self,
        reactor: Reactor,
        listening: socket.socket,
        join: Callable[[socket.socket, SocketAddress], None],
        is_full: Callable[[], bool],
        no_room: Callable[[], None],
    ) -> None:
        """`join` takes each client, with its address, as long as it is not `is_full`; `no_room` is
        called whenever clients have to wait.
        """
        self._reactor = reactor
        self._socket = listening
        self._join = join
        self._is_full = is_full
        self._no_room = no_room
        self._is_paused = False
        self._burst = 1  # how many to accept at a time: to find that nobody is left costs as well
        self._watch()

    def close(self) -> None:
        self._reactor.remove(self._socket.fileno())
        self._socket.close()

    def accept_all(self) -> None:
        """Take those who wait already, without waiting for the loop to say so."""
        while self._accept(_ACCEPTS):
            pass

    def _watch(self) -> None:
        self._reactor.add(self._socket.fileno(), LEVEL, self._ready)

    def _ready(self, _events: int) -> None:
        self._burst = min(2 * self._burst, _ACCEPTS) if self._accept(self._burst) else 1

    def _accept(self, count: int) -> bool:
        """Accept so many; whether more may wait, and there is room for them."""
        if self._is_full():
            self._pause()
            return False
        for _ in range(count):
            try:
                client, address = self._socket.accept()
            except BlockingIOError:
                return False
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._pause()
                    return False
                continue  # the client went away before it was accepted
            self._join(client, (address[0], address[1]))
            if self._is_full():
                return False  # and maybe nobody waits
        return True

    def _pause(self) -> None:
        self._no_room()
        if not self._is_paused:  # as it may be for `accept_all`
            self._is_paused = True
            self._reactor.remove(self._socket.fileno())
            self._reactor.after(_RETRY, self._resume)

    def _resume(self) -> None:
        if self._socket.fileno() >= 0:
            self._is_paused = False
            self._watch()
