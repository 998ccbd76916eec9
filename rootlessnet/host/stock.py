"""A stock of sockets that were made in the guest's network namespace.

A socket belongs for ever to the namespace that it was made in: one that the guest's init makes and
hands over connects within the guest, whoever calls connect(2). They are asked for by the dozen and
before the last is used, so that a connection seldom waits for a process to answer; and not before
the first is wanted, so that nobody pays who wants none. Read: network_namespaces(7), unix(7),
socket(7) for SO_LINGER.
"""

import socket
from collections import deque
from collections.abc import Callable, Sequence

from rootlessnet.host.reactor import Reactor
from rootlessnet.host.tcp import RESET_ON_CLOSE

_MOST = 32  # sockets in the stock
_RETRY = 0.1  # seconds to wait when there was none to be had

Use = Callable[[socket.socket | None], None]


def prepare(one: socket.socket) -> None:
    """Set what both ends of a spliced connection have. What a listener accepts inherits it."""
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    # Until the other end has said its last word, an end is a reset, even when we are killed: who
    # is on this one must not take what it has for all.
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)


class Stock:
    """TCP sockets of the guest's namespace, ready to connect, which do not block."""

    def __init__(
        self,
        reactor: Reactor,
        family: socket.AddressFamily,
        ask: Callable[[int, int], bool],
        capacity: int,
    ) -> None:
        """`ask` for this family and so many, which come by `arrived`; it is False once nobody can
        make them. `capacity` is how many descriptors this process may have.
        """
        self._reactor = reactor
        self._family = family
        self._ask = ask
        self._most = max(1, min(_MOST, capacity // 32))
        self._sockets: list[socket.socket] = []
        self._waiting: deque[Use] = deque()
        self._is_asked = self._is_closed = False

    def take(self, use: Use) -> None:
        """Call `use` with a socket, now or once there is one; with None when there will be none."""
        if self._sockets:
            use(self._sockets.pop())
        else:
            self._waiting.append(use)
        self._fill()

    def arrived(self, descriptors: Sequence[int]) -> None:
        """Here is what was asked for; or none, when descriptors are used up."""
        self._is_asked = False
        made = [
            socket.socket(self._family, socket.SOCK_STREAM, 0, descriptor)
            for descriptor in descriptors
        ]
        for one in made:
            prepare(one)
        self._sockets += made
        while self._waiting and self._sockets:
            self._waiting.popleft()(self._sockets.pop())
        if made:
            self._fill()
        elif self._waiting:
            self._is_asked = True
            self._reactor.after(_RETRY, self._ask_again)

    def end(self) -> None:
        """Nobody makes any more. Idempotent."""
        self._is_closed = True
        while self._sockets:
            self._sockets.pop().close()
        while self._waiting:
            self._waiting.popleft()(None)

    def _ask_again(self) -> None:
        self._is_asked = False
        self._fill()

    def _fill(self) -> None:
        if self._is_closed:
            self.end()
        elif not self._is_asked and len(self._sockets) * 2 < self._most:
            self._is_asked = self._ask(self._family, self._most)
            if not self._is_asked:
                self.end()
