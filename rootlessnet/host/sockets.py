"""The stack's `Host`: opens host sockets on the reactor. Read: socket(7), icmp(7)."""

import socket
from collections.abc import Callable, Iterator, Sequence

from rootlessnet import limits
from rootlessnet.bounds import DEFAULTS
from rootlessnet.host.datagram import DatagramSocket
from rootlessnet.host.dns.resolver import Resolver
from rootlessnet.host.dns.stream import DnsStream
from rootlessnet.host.faults import socket_refused, table_full
from rootlessnet.host.reactor import Reactor
from rootlessnet.host.sources import Sources
from rootlessnet.host.splice import Splices, SpliceTable
from rootlessnet.host.tcp import TcpSocket
from rootlessnet.log import Log
from rootlessnet.stack.host import Receiver
from rootlessnet.wire.families import IPV4, IPV6, Family

_FAMILIES = {IPV4.version: socket.AF_INET, IPV6.version: socket.AF_INET6}


class HostSockets:
    """The host's actions on ordinary sockets."""

    def __init__(
        self,
        reactor: Reactor,
        resolver: Resolver,
        sources: Sources | None = None,
        log: Log | None = None,
    ) -> None:
        self._reactor = reactor
        self._log = log or Log()
        self._sources = sources or Sources()
        self._resolver = resolver
        self._tcp: set[TcpSocket] = set()
        self._datagrams: set[DatagramSocket] = set()
        self.joins_datagrams = False  # that come in a row: where the guest's device cuts them again
        self.search_list: Sequence[str] = ()  # of the host's resolv.conf
        self.splices: Splices | None = None  # where somebody makes sockets in the guest
        self.splices_to_host: SpliceTable | None = None  # where the guest may reach single ports

    def capacity(self) -> int:
        return limits.descriptor_limit()

    def tcp_sockets(self) -> int:
        return len(self._tcp)

    def full(self, bound: str) -> None:
        table_full(self._log, bound)

    def open_tcp(self) -> TcpSocket:
        """A socket that is to connect, or to be that of a client of a published port."""
        return TcpSocket(self._reactor, self._tcp, self._sources, self._log)

    def open_udp(self, receiver: Receiver, family: Family) -> DatagramSocket:
        return self._open(receiver, family, 0)

    def open_echo(self, receiver: Receiver, family: Family) -> DatagramSocket:
        return self._open(receiver, family, family.icmp.protocol)

    def publish_udp(self, bound: socket.socket, receiver: Receiver) -> DatagramSocket:
        """A socket on a published port, which is owned from here on."""
        return self._take(bound, receiver, is_published=True)

    def resolve(self, query: bytes, answer: Callable[[bytes], None]) -> None:
        self._resolver.resolve(query, answer)

    def open_dns(self) -> DnsStream:
        return self._resolver.open_stream()

    def search_domains(self) -> Sequence[str]:
        return self.search_list

    def splice(
        self,
        ask: Callable[[int, int], bool],
        guest_addresses: Sequence[str],
        most: int = DEFAULTS.splices,
    ) -> Splices:
        """From now on clients on the loopback are spliced; the arguments are those of `Splices`."""
        self.splices = Splices(self._reactor, ask, guest_addresses, self.capacity(), most)
        return self.splices

    def spliced(self) -> int:
        """How many connections are spliced, in either direction."""
        return sum(map(len, self._tables))

    def unfinished(self) -> dict[object, tuple[int, int]]:
        """The connections whose far end lacks bytes of the guest, or its FIN, with the progress."""
        unfinished: dict[object, tuple[int, int]] = {}
        for table in self._tables:
            unfinished |= table.unfinished()
        return unfinished | {one: one.progress for one in self._tcp if one.lacks_bytes}

    def close(self) -> None:
        """Close every socket. Who lacks something of the guest's sees a reset."""
        for connection in list(self._tcp):
            connection.close()
        for datagrams in list(self._datagrams):
            datagrams.close()
        for table in self._tables:
            table.close()
        self._resolver.close()

    @property
    def _tables(self) -> Iterator[SpliceTable]:
        return (one for one in (self.splices, self.splices_to_host) if one is not None)

    def _take(
        self, bound: socket.socket, receiver: Receiver, *, is_published: bool
    ) -> DatagramSocket:
        return DatagramSocket(
            self._reactor,
            bound,
            receiver,
            self._datagrams,
            self._log,
            is_published=is_published,
            joins=self.joins_datagrams,
        )

    def _open(self, receiver: Receiver, family: Family, protocol: int) -> DatagramSocket:
        """For datagrams of the guest's. Raises OSError."""
        try:
            bound = socket.socket(_FAMILIES[family.version], socket.SOCK_DGRAM, protocol)
            try:
                if family is IPV6:
                    bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                self._sources.bind(bound)
                return self._take(bound, receiver, is_published=False)
            except OSError:
                bound.close()
                raise
        except OSError as error:
            socket_refused(self._log, error.errno or 0)
            raise
