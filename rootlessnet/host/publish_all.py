"""Every port that the guest listens on, published on the same number for as long as it does.

The guest is looked at four times a second, which costs some microseconds as long as nothing has
changed. What `-p` publishes of it already is left alone. A port that cannot be had is told of once;
it is tried again each second, and published when it has become free.

Ports on which only the guest's loopback listens are for those who ask for them. Clients of the
host's loopback alone can reach such a one, past the TAP (see `splice`), so that is where it is
published. Over UDP nobody could.
"""

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from ipaddress import IPv4Address
from typing import Protocol

from rootlessnet.errors import RootlessnetError
from rootlessnet.forward import Forward
from rootlessnet.host.binding import is_free
from rootlessnet.host.forwards import Forwards
from rootlessnet.host.reactor import Reactor
from rootlessnet.host.sock_diag import Port
from rootlessnet.publishing import PublishAll
from rootlessnet.words import HostAddress

LOOK = 0.25  # seconds between two looks
_RETRY = 4  # looks between two tries of the ports that could not be had
_MOST = 1024  # ports, of two sockets each
_LOOPBACK = IPv4Address("127.0.0.1")


class Listening(Protocol):
    """Who knows the ports that the guest listens on: a `ListeningPorts`."""

    def read(self) -> frozenset[Port] | None:
        """All of them; None when they are what they were. Raises RootlessnetError, OSError."""


class PublishedAll:
    """What is published because the guest listens. `close` ends the looking, not the ports."""

    def __init__(
        self,
        reactor: Reactor,
        forwards: Forwards,
        listening: Listening,
        wanted: PublishAll,
        capacity: int,
        tell: Callable[[str], None],
        own: Collection[HostAddress],
    ) -> None:
        """Look for the first time. `capacity` is how many descriptors this process may have; `tell`
        is given a line for the user; `own` are the addresses that the guest is given.

        Raises RootlessnetError where the kernel does not tell which ports there are.
        """
        self._reactor = reactor
        self._forwards = forwards
        self._listening = listening
        self._address = wanted.address
        self._loopback = wanted.loopback
        self._most = max(1, min(_MOST, capacity // 8))
        self._tell = tell
        self._own = own
        self._published: dict[Port, Forward] = {}
        self._waiting: set[Port] = set()
        self._refused: set[Port] = set()  # ever: each is told of once
        self._told_it_is_full = False  # and that as well
        self._looks = 0
        self._timer: asyncio.TimerHandle | None = None
        self._look()
        self._timer = reactor.after(LOOK, self._look_again)

    def close(self) -> None:
        """Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_again(self) -> None:
        self._timer = self._reactor.after(LOOK, self._look_again)
        try:
            self._look()
        except RootlessnetError as error:
            self.close()
            self._tell(str(error))

    def _look(self) -> None:
        self._looks += 1
        with suppress(OSError):  # the kernel is short of memory: look again later
            found = self._listening.read()
            if found is not None:
                self._follow({port for port in found if self._can_be_reached(port)})
        if self._waiting and self._looks % _RETRY == 0:
            self._try(self._waiting)

    def _follow(self, wanted: set[Port]) -> None:
        """Withdraw what is no more, and publish what is new."""
        self._waiting &= wanted
        for port in self._published.keys() - wanted:
            with suppress(RootlessnetError):  # somebody has withdrawn it already
                self._forwards.close(self._published.pop(port))
        self._try(wanted - self._published.keys() - self._waiting)

    def _can_be_reached(self, port: Port) -> bool:
        return not port.is_loopback or (self._loopback and port.protocol == "tcp")

    def _try(self, ports: set[Port]) -> None:
        """Publish these; who cannot be now waits."""
        published = {
            (one.protocol, one.guest_port)
            for one in self._forwards.published
            if one.guest_address is None or one.guest_address in self._own
        }
        wanted = {port for port in ports if (port.protocol, port.number) not in published}
        self._waiting |= ports
        if wanted and self._is_full():  # to sort thousands for nothing takes its time
            return
        for port in sorted(wanted):
            if self._publish(port):
                self._waiting.discard(port)

    def _publish(self, port: Port) -> bool:
        if self._is_full():
            return False
        wanted = Forward(port.number, port.number, port.protocol, self._address_of(port))
        if port in self._refused and not is_free(self._forwards.placed(wanted)):
            return False
        try:
            (self._published[port],) = self._forwards.open(wanted)
        except RootlessnetError as error:
            if port not in self._refused:
                self._refused.add(port)
                self._tell(str(error))
            return False
        return True

    def _address_of(self, port: Port) -> HostAddress | None:
        if not port.is_loopback:
            return self._address
        place = self._forwards.address if self._address is None else self._address
        return place if place is not None and place.is_loopback else _LOOPBACK

    def _is_full(self) -> bool:
        """Whether there is no room for another port, which is told."""
        if len(self._published) < self._most:
            return False
        if not self._told_it_is_full:
            self._told_it_is_full = True
            self._tell(
                f"the guest listens on more than {self._most} ports: the others are not published, "
                "raise the limit (ulimit -n) or name those that matter with -p"
            )
        return True
