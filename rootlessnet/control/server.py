"""An instance's own end of its control socket.

Read: `rootlessnet.control` for what is said, `rootlessnet.control.clients` for how.
"""

import asyncio
import os
from typing import TYPE_CHECKING

from rootlessnet.bounds import DEFAULTS
from rootlessnet.control.clients import LATER, MORE, Answer, Clients
from rootlessnet.control.state import Claim
from rootlessnet.errors import RootlessnetError
from rootlessnet.log import Log
from rootlessnet.words import quoted

if TYPE_CHECKING:
    from rootlessnet.control.requests import Controlled

PATIENCE = 5.0  # seconds from a client's connect to the last byte of its answer
LOOK = 30.0  # seconds between two looks for the socket's file
REQUEST_SIZE = 1 << 16  # bytes: two thousand ports and more


def is_allowed(user: int) -> bool:
    """Whether a process of this user may talk to us. The folder keeps others out; this does so
    where its modes do not count: root's processes, and a descriptor that was passed on.
    """
    return user == os.geteuid()


class Server:
    """Answers on the loop from now on until it is closed."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        claim: Claim,
        instance: "Controlled",
        most: int = DEFAULTS.control_clients,
        log: Log | None = None,
    ) -> None:
        """The claim is the server's from now on; `most` is that of `Clients`."""
        self._claim = claim
        self._loop = loop
        self._log = log or Log()
        self._look = loop.call_later(LOOK, self._look_for_socket)
        self._clients = Clients(loop, claim.listening, Lines(loop, instance), most)

    def close(self) -> None:
        """Give up the name, tell those who wait for the end that it has come, and leave all.
        Idempotent.
        """
        self._look.cancel()
        self._clients.close()
        self._claim.release()
        self._clients.leave()

    def _look_for_socket(self) -> None:
        """Nobody comes to a socket that was removed, and it is not made anew: the name may be
        another's by now.
        """
        if self._claim.is_reachable():
            self._look = self._loop.call_later(LOOK, self._look_for_socket)
        else:
            self._log.fault(
                "control socket removed",
                f"the control socket of {quoted(self._claim.name)} was removed: ps, port and stop "
                "do not find this instance any more; end it by a signal",
            )


class Lines:
    """The conversation: lines of JSON, as `rootlessnet.control.protocol` has them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, instance: "Controlled") -> None:
        self._loop = loop
        self._instance = instance

    @property
    def patience(self) -> float:
        return PATIENCE

    def is_welcome(self, user: int) -> bool:
        return is_allowed(user)

    def answer(self, received: bytes, *, complete: bool) -> Answer:
        line, newline, _ = received.partition(b"\n")
        if newline or len(line) > REQUEST_SIZE:
            return self._obey(line)
        return b"" if complete else MORE

    def farewell(self) -> bytes:
        from rootlessnet.control import protocol

        return protocol.encode_result(None)

    def _obey(self, line: bytes) -> Answer:
        from rootlessnet.control import protocol, requests  # json, which few instances ever need

        try:
            if len(line) > REQUEST_SIZE:
                raise RootlessnetError("the request is too long: ask for less at a time")
            request = protocol.decode_request(line)
            if isinstance(request, protocol.Stop):
                # Soon, for it may be the end, and the client does not wait for that yet.
                self._loop.call_soon(self._instance.terminate, request.seconds)
                return LATER
            return protocol.encode_result(requests.perform(request, self._instance))
        except RootlessnetError as error:
            return protocol.encode_error(str(error))
