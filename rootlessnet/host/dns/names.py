"""The names that a guest can resolve, as its host has them now.

Those who are asked are the nameservers that the user gave, else those of the host's resolv.conf,
which is followed as it changes. One that names nobody, as while there is no network, leaves those
to be asked who were. Read: resolv.conf(5).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from rootlessnet import resolv_conf
from rootlessnet.bounds import Bounds
from rootlessnet.host.dns.nameservers import Nameservers
from rootlessnet.host.dns.own_names import OwnNames
from rootlessnet.host.dns.resolver import Resolver
from rootlessnet.host.dns.watch import ResolvConfWatch
from rootlessnet.host.reactor import Reactor
from rootlessnet.log import Log
from rootlessnet.resolv_conf import ResolvConf
from rootlessnet.stack.host import SocketAddress
from rootlessnet.words import HostAddress


class HostNames:
    """The resolver, and what it is to ask."""

    def __init__(
        self,
        reactor: Reactor,
        given: Sequence[HostAddress],
        own: Mapping[str, tuple[HostAddress, ...]],
        bounds: Bounds,
        log: Log,
    ) -> None:
        """`given` nameservers go before those of the host; `own` names are answered here."""
        self._given = given
        self._watch = ResolvConfWatch(reactor)
        self._nameservers = Nameservers(_addresses(given or self.conf.nameservers))
        self._changed: Callable[[ResolvConf], None] | None = None
        self.resolver = Resolver(reactor, self._nameservers, OwnNames(own), bounds, log)

    @property
    def conf(self) -> ResolvConf:
        """What the host's resolv.conf says now; empty before it ever said anything."""
        return self._watch.conf

    @property
    def lacks_nameserver(self) -> bool:
        """Whether no name but our own can be resolved, until the host has a nameserver."""
        return not (self._given or self.conf.nameservers)

    def follow(self, changed: Callable[[ResolvConf], None]) -> None:
        """Ask whom resolv.conf names from now on, and call `changed` with what is new in it."""
        self._changed = changed
        self._watch.follow(self._take)

    def close(self) -> None:
        """Follow no longer. Idempotent."""
        self._watch.close()

    def _take(self, conf: ResolvConf) -> None:
        if conf.nameservers and not self._given:
            self._nameservers.replace(_addresses(conf.nameservers))
        if self._changed is not None:
            self._changed(conf)


def _addresses(nameservers: Iterable[HostAddress]) -> list[SocketAddress]:
    """Where they listen."""
    return [(str(address), resolv_conf.PORT) for address in nameservers]
