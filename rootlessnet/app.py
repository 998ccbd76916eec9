"""The composition root: the only module that knows every room, and puts a running guest together.

`Instance` is a network that runs on an event loop, with the command or the namespace it serves;
`running` starts and ends them.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from rootlessnet import network_plan, resolv_conf
from rootlessnet.config import AttachConfig, NetworkConfig, RunConfig
from rootlessnet.control.server import Server
from rootlessnet.control.state import Claim
from rootlessnet.errors import RootlessnetError
from rootlessnet.exit_status import ExitStatus
from rootlessnet.forward import Forward, parse_forwards
from rootlessnet.host.dns.names import HostNames
from rootlessnet.host.forwards import Forwards
from rootlessnet.host.reactor import Reactor
from rootlessnet.host.sockets import HostSockets
from rootlessnet.host.sources import Sources
from rootlessnet.host.tap import Tap as TapDevice
from rootlessnet.log import Log
from rootlessnet.netns.inside import Inside
from rootlessnet.netns.launch import Guest
from rootlessnet.netns.tap import Link, Tap
from rootlessnet.publishing import AUTO
from rootlessnet.resolv_conf import ResolvConf
from rootlessnet.stack.gateway import Gateway
from rootlessnet.to_host import require_no_clash
from rootlessnet.wire import ethernet
from rootlessnet.words import HostAddress

if TYPE_CHECKING:
    from rootlessnet.control.api import Api
    from rootlessnet.control.description import InstanceDescription
    from rootlessnet.host.frame_link import FrameLink
    from rootlessnet.host.own_addresses import OwnAddresses
    from rootlessnet.host.to_host import WaysToHost
    from rootlessnet.netns.attach import Attachment
    from rootlessnet.netns.given import Given

_SECRET_SIZE = 16
_LINGER = 10.0  # seconds without progress after which what a dead command has sent is given up
_LOOK = 0.01  # seconds between two looks for it
_NO_NAMESERVER = (
    f"no nameserver in {resolv_conf.PATH}, so the guest resolves no names until there is one: "
    "add a line 'nameserver ADDRESS' to it, or give --dns ADDRESS"
)
_GONE = 1.0  # seconds between two looks for a namespace that is kept alive by us alone
_NO_DEVICE = "the guest's interface was removed: the command goes on without a network"
_ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


def _own_addresses(config: NetworkConfig) -> "OwnAddresses | None":
    """The host's, where they are refused. Raises RootlessnetError."""
    if config.host_addresses:
        return None
    from rootlessnet.host.own_addresses import OwnAddresses  # which few ever need

    return OwnAddresses()


class Instance:
    """A running network. Made by `start` or `attach`; `stop` it in the end."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        link: Link,
        config: RunConfig | AttachConfig,
        claimed: Claim | None,
        log: Log,
    ) -> None:
        """Take the `link`, which is given back when this fails, and the name. Raises
        RootlessnetError, OSError.
        """
        self._loop = loop
        self._config = config
        self._log = log
        self._claim = claimed
        self._control: Server | None = None
        self._api: Api | None = None
        self._look: asyncio.TimerHandle | None = None  # whether the namespace is still there
        self._started = time.time()
        self._deadline: asyncio.TimerHandle | None = None
        self._hurried = False
        self._status: asyncio.Future[ExitStatus] = loop.create_future()
        self._served: Guest | Attachment | Given | None = None
        self._ways: WaysToHost | None = None  # for the guest, to single ports of the host
        self._watched = -1  # the descriptor that tells of its end
        wanted = config.network
        try:
            sources = Sources(wanted.outbound_addresses)
            own_addresses = _own_addresses(wanted)
            self._reactor = Reactor(loop)
        except BaseException:
            link.close()
            raise
        self._ending = ExitStack()  # what `stop` closes besides
        self._keeps_namespace = isinstance(link, Tap) and link.keeps_namespace
        self._device: TapDevice | FrameLink
        inside = Inside()
        if isinstance(link, Tap):
            self._device = TapDevice(self._reactor, link.fd, link.vnet, wanted.offload, log)
            mac, has_ipv6, inside = link.mac, link.ipv6, link.inside
        else:
            from rootlessnet.host import frame_link  # which few ever need

            self._device = frame_link.FrameLink(self._reactor, link.fd, log)
            mac = ethernet.BROADCAST  # until the guest says its own
            has_ipv6 = bool(wanted.ipv6)
        self._ending.callback(inside.close)
        if own_addresses is not None:
            self._ending.callback(own_addresses.close)
        if not has_ipv6:
            wanted = replace(wanted, ipv6=False)
            self._config = replace(config, network=wanted)
        self._names = HostNames(self._reactor, wanted.dns, wanted.own_names, wanted.bounds, log)
        self._sockets = HostSockets(self._reactor, self._names.resolver, sources, log)
        self._sockets.joins_datagrams = self._device.cuts_datagrams
        self._sockets.search_list = self._names.conf.search
        self._gateway = gateway = Gateway(
            network_plan.network(wanted, mac, own_addresses or ()),
            self._device,
            self._sockets,
            os.urandom(_SECRET_SIZE),
            network_plan.pools(wanted),
            wanted.bounds,
        )
        self._reactor.drive(gateway)
        self._forwards = Forwards(self._reactor, gateway, self._sockets, log)
        try:
            self._forwards.address = self._host_address()
            self._device.start(gateway.receive)
            if wanted.dns_forwarder:
                self._names.follow(self._host_names_changed)
                if self._names.lacks_nameserver:
                    log.warning(_NO_NAMESERVER)
            self._forwards.open(*wanted.forwards)
            self._use(inside)
        except BaseException:
            self.stop()
            raise

    @property
    def name(self) -> str | None:
        """The name by which `rootlessnet ps`, `port` and `stop` know it; None when there was no
        state folder to be had, so that they do not.
        """
        return None if self._claim is None else self._claim.name

    @property
    def published(self) -> tuple[Forward, ...]:
        """The ports that are published, oldest first, each with its host port as it was found."""
        return self._forwards.published

    @property
    def state_folders(self) -> tuple[str, ...]:
        """The folder of its control socket, if it has one."""
        return () if self._claim is None else (self._claim.folder,)

    @property
    def folders(self) -> tuple[str, ...]:
        """All in which it will remove its own sockets."""
        api = () if self._api is None else (self._api.folder,)
        served = () if self._served is None else self._served.folders
        return (*self.state_folders, *api, *served)

    def publish(self, *forwards: Forward | str) -> tuple[Forward, ...]:
        """Publish ports, all or none: Forwards, or texts like `8080:80`, `80` and `53:53/udp`.

        What was published is returned, in the same order, with the host port that was found where
        none was named. Raises UsageError for a text that makes no sense, RootlessnetError for a
        port that can't be had.
        """
        wanted: list[Forward] = []
        for forward in forwards:
            wanted += parse_forwards(forward) if isinstance(forward, str) else (forward,)
        for one in wanted:
            self._config.network.require_guest(one)
        require_no_clash(self._config.network.to_host, wanted)
        return self._forwards.open(*wanted)

    def withdraw(self, forward: Forward) -> None:
        """Publish a port no more; connections that stand go on. Raises RootlessnetError."""
        self._forwards.close(forward)

    def placed(self, forward: Forward) -> Forward:
        """The forward with the host's address that it has here if it names none itself."""
        return self._forwards.placed(forward)

    async def wait(self) -> ExitStatus:
        """The exit status: 0 to 255 the command's, 128+n after a death by signal n; 0 when the
        namespace or the network ended first, or `stop` was called.

        As on a bare host, what the command sent before its end reaches the far end all the same,
        unless that takes nothing for ten seconds.
        """
        status = await asyncio.shield(self._status)
        if isinstance(self._served, Guest) and not self._hurried:
            await self._linger(self._served)
        return status

    def send_signal(self, number: int, from_terminal: bool = False) -> None:
        """Pass a signal on to the command, unless it had it itself `from_terminal`. One that ends
        programs ends what has no command: an attachment, and the wait for what a command has sent.
        """
        if isinstance(self._served, Guest) and not self._status.done():
            if not from_terminal:
                self._served.send_signal(number)
        elif number in _ENDING:
            self.stop()

    def take_signal(self, number: int, from_terminal: bool) -> None:
        """As `send_signal`, for a signal that came to this process. SIGUSR1 asks for the report; a
        command that would die of it does not get it.
        """
        if number != signal.SIGUSR1:
            self.send_signal(number, from_terminal)
            return
        for line in self.report():
            self._log.answer(line)
        if isinstance(self._served, Guest) and not self._status.done():
            self._served.send_signal(number, if_harmless=True)

    def report(self) -> list[str]:
        """Counters and flows, a line each: some hundred lines at most."""
        from rootlessnet.host.report import lines  # which few ever ask for

        return list(lines(self._gateway, self._device, self._sockets, self._log))

    def terminate(self, seconds: float) -> None:
        """Send SIGTERM, and end what still runs after so many seconds by force."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self._loop.call_later(seconds, self._kill)
        self.send_signal(signal.SIGTERM)

    def describe(self) -> "InstanceDescription":
        """What `rootlessnet.instances` shows of it."""
        from rootlessnet.control.description import describe  # with json, which few ever need

        ports = tuple(str(forward) for forward in self.published)
        address = self._forwards.address
        return describe(self._config, self.name or "", os.getpid(), self._started, ports, address)

    def stop(self) -> None:
        """End the network, the command and everything it has started. Idempotent."""
        self._end(ExitStatus(0))
        self._unwatch()
        if self._served is not None:
            self._served.close()
            self._served = None
        if not self._reactor.closed:
            self._ending.close()
            self._forwards.close_all()
            self._names.close()
            self._sockets.close()
            self._device.close()
            self._reactor.close()
        for timer in (self._deadline, self._look):
            if timer is not None:
                timer.cancel()
        if self._api is not None:
            self._api.close()
        if self._control is not None:  # last: it says that the end has come
            self._control.close()
        elif self._claim is not None:
            self._claim.release()

    def _kill(self) -> None:
        """The command had its time: nor does what it has sent get more."""
        self._hurried = True
        if isinstance(self._served, Guest) and not self._status.done():
            self._served.send_signal(signal.SIGKILL)
        else:
            self.stop()

    def serve(self, guest: Guest) -> None:
        """Start the guest's command, and end with it. Raises CommandError, RootlessnetError."""
        self._served = guest
        self._host_names_changed(self._names.conf)  # it was read earlier there
        self._device.vanished = lambda: self._log.fault("guest's interface gone", _NO_DEVICE)
        guest.start_command()
        network = self._config.network
        if network.splice:
            addresses = [str(one) for one in network.guests]
            splices = self._sockets.splice(guest.make_sockets, addresses, network.bounds.splices)
            guest.sockets_made = splices.arrived
        self._watch(guest.fileno(), guest.poll)
        self._listen()

    def follow(self, attachment: "Attachment | Given") -> None:
        """End with the namespace, or with its process if it was named by one, or when the exit
        descriptor is hung up. Raises RootlessnetError.
        """
        self._served = attachment
        self._device.vanished = lambda: self._end(ExitStatus(0))
        if attachment.fileno() >= 0:
            self._watch(attachment.fileno(), lambda: ExitStatus(0) if attachment.gone() else None)
        elif self._keeps_namespace:
            self._look_at(attachment)
        config = self._config
        assert isinstance(config, AttachConfig)
        if config.exit_fd is not None:
            self._reactor.add_hangup(config.exit_fd, lambda: self._end(ExitStatus(0)))
        if config.api_socket is not None:
            from rootlessnet.control.api import Api  # with json, which few ever need

            most = config.network.bounds.control_clients
            self._api = Api(self._loop, config.api_socket, self, config.network.guest, most)
        self._listen()

    def _host_names_changed(self, conf: ResolvConf) -> None:
        self._sockets.search_list = conf.search
        if isinstance(self._served, Guest) and conf != ResolvConf():
            self._served.follow_resolv_conf(conf)

    @property
    def inherited(self) -> tuple[int, ...]:
        """The descriptors that it was given to use."""
        config = self._config
        if not isinstance(config, AttachConfig):
            return ()
        return tuple(one for one in (config.ready_fd, config.exit_fd) if one is not None)

    def announce(self) -> None:
        """Tell whoever waits for it that all works."""
        config = self._config
        if isinstance(config, AttachConfig) and config.ready_fd is not None:
            with suppress(OSError):  # nobody waits any more
                os.write(config.ready_fd, b"1")
            os.close(config.ready_fd)

    def _look_at(self, attachment: "Attachment | Given") -> None:
        """End once the namespace is gone that nothing but descriptors of our own keeps alive."""
        if attachment.gone():
            self._end(ExitStatus(0))
        else:
            self._look = self._loop.call_later(_GONE, self._look_at, attachment)

    def _host_address(self) -> HostAddress | None:
        """The host's address for ports that name none; one that had to be found is told."""
        wanted = self._config.network.host_ip
        if wanted != AUTO:
            return wanted
        from rootlessnet.host.loopback_address import LoopbackAddress

        found = LoopbackAddress()
        self._ending.callback(found.close)
        self._log.info(f"ports are published on {found.address}")
        return found.address

    def _use(self, inside: Inside) -> None:
        """Serve the ports of the host for the guest, and publish all of the guest's."""
        network = self._config.network
        if inside.bound:
            from rootlessnet.host.to_host import WaysToHost

            self._ways = WaysToHost(
                self._reactor, self._sockets, network.to_host, inside.bound, network.bounds
            )
            self._ending.callback(self._ways.close)
        if network.publish_all is not None and inside.asking is not None:
            from rootlessnet.host.publish_all import PublishedAll
            from rootlessnet.host.sock_diag import ListeningPorts

            own = frozenset(os.fstat(one.fileno()).st_ino for one in inside.bound)
            all_ports = PublishedAll(
                self._reactor,
                self._forwards,
                ListeningPorts(inside.asking, inside.ephemeral, own),
                network.publish_all,
                self._sockets.capacity(),
                self._log.warning,
                network.guests,
            )
            self._ending.callback(all_ports.close)

    def _listen(self) -> None:
        """Begin to answer those who ask for this instance by its name."""
        if self._claim is not None:
            most = self._config.network.bounds.control_clients
            self._control = Server(self._loop, self._claim, self, most, self._log)

    def _read_all(self) -> None:
        """Take all that the guest has sent."""
        self._device.read_all()
        while self._gateway.open_some(self._reactor.now):
            pass
        if self._ways is not None:
            self._ways.read_all()

    async def _linger(self, guest: Guest) -> None:
        """Let the guest's kernel send what the command has left to it.

        The namespace lives on in the TAP's descriptor when every process in it has ended.
        """
        self._unwatch()
        guest.close()
        if self._reactor.closed:
            return
        if self._sockets.splices is not None:
            self._sockets.splices.end_supply()
        self._reactor.run(self._read_all)
        before = self._sockets.unfinished()
        patience = self._loop.time() + _LINGER
        while before and self._loop.time() < patience:
            await asyncio.sleep(_LOOK)
            now = self._sockets.unfinished()  # none, once the network was stopped
            if now != before:
                before, patience = now, self._loop.time() + _LINGER
        if before:
            self._log.warning(
                f"what the command has sent is given up on {len(before)} connections: their far "
                f"ends took nothing for {_LINGER:.0f} seconds"
            )

    def _watch(self, descriptor: int, poll: Callable[[], ExitStatus | None]) -> None:
        """End with the status that `poll` knows, some time after `descriptor` is readable."""

        def readable() -> None:
            try:
                self._end(poll())
            except RootlessnetError as error:
                if not self._status.done():
                    self._status.set_exception(error)

        self._watched = descriptor
        self._loop.add_reader(descriptor, readable)
        readable()

    def _unwatch(self) -> None:
        """Before the descriptor is closed: libuv aborts for one that it knows and cannot find."""
        if self._watched >= 0:
            self._loop.remove_reader(self._watched)
            self._watched = -1

    def _end(self, status: ExitStatus | None) -> None:
        if status is not None and not self._status.done():
            self._status.set_result(status)
