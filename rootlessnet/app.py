"""The composition root: the only module that knows every room, and puts a running guest together.

`Instance` is a network that runs on an event loop, with the command or the namespace it serves. The
command line runs one until its end (`run_guest`, `run_attachment`); a program that has a loop of
its own starts them by `start` and `attach`.
"""

import asyncio
import ctypes
import gc
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import uvloop

from rootlessnet import limits, resolv_conf
from rootlessnet.config import AttachConfig, RunConfig
from rootlessnet.control.server import Server
from rootlessnet.control.state import Claim, claim
from rootlessnet.errors import RootlessnetError
from rootlessnet.exit_status import ExitStatus
from rootlessnet.forward import Forward, parse_forwards
from rootlessnet.host.dns.nameservers import Nameservers
from rootlessnet.host.dns.own_names import OwnNames
from rootlessnet.host.dns.resolver import Resolver
from rootlessnet.host.dns.watch import ResolvConfWatch
from rootlessnet.host.forwards import Forwards
from rootlessnet.host.reactor import Reactor
from rootlessnet.host.signals import Signals
from rootlessnet.host.sockets import HostSockets
from rootlessnet.host.tap import Tap as TapDevice
from rootlessnet.ipv6_default import settled
from rootlessnet.netns.attach import Attachment
from rootlessnet.netns.attach import attach as enter
from rootlessnet.netns.launch import Guest, launch
from rootlessnet.netns.tap import Tap
from rootlessnet.resolv_conf import ResolvConf
from rootlessnet.stack.gateway import Gateway
from rootlessnet.stack.host import SocketAddress
from rootlessnet.stack.network import Network, Plan
from rootlessnet.words import HostAddress

if TYPE_CHECKING:
    from rootlessnet.control.description import InstanceDescription

_SECRET_SIZE = 16
_M_TRIM_THRESHOLD = -1
_KEPT = 64 << 20  # bytes
_LINGER = 10.0  # seconds without progress after which what a dead command has sent is given up
_LOOK = 0.01  # seconds between two looks for it
_NO_NAMESERVER = (
    f"no nameserver in {resolv_conf.PATH}, so the guest resolves no names until there is one: "
    "add a line 'nameserver ADDRESS' to it, or give --dns ADDRESS"
)
_ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
# A shell asks whether the program that it waits for has died of these (bash(1), SIGNALS).
_OF_THE_KEYBOARD = (signal.SIGINT, signal.SIGQUIT)


def _addresses(nameservers: Iterable[HostAddress]) -> list[SocketAddress]:
    """Where nameservers listen."""
    return [(str(address), resolv_conf.PORT) for address in nameservers]


class Instance:
    """A running network. Made by `start` or `attach`; `stop` it in the end."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tap: Tap,
        config: RunConfig | AttachConfig,
        claimed: Claim | None,
    ) -> None:
        """Take the `tap`, which is given back when this fails, and the name. Raises
        RootlessnetError, OSError.
        """
        self._loop = loop
        self._config = config
        self._claim = claimed
        self._control: Server | None = None
        self._started = time.time()
        self._deadline: asyncio.TimerHandle | None = None
        self._hurried = False
        self._status: asyncio.Future[ExitStatus] = loop.create_future()
        self._served: Guest | Attachment | None = None
        self._watched = -1  # the descriptor that tells of its end
        try:
            self._reactor = Reactor(loop)
        except BaseException:
            os.close(tap.fd)
            raise
        wanted = config.network if tap.ipv6 else replace(config.network, ipv6=False)
        self._tap = TapDevice(self._reactor, tap.fd, tap.vnet, wanted.offload)
        dns = wanted.dns_address if wanted.dns_forwarder else None
        plans = [Plan(wanted.cidr, wanted.gateway, dns, wanted.guest)]
        if (plan6 := wanted.plan6) is not None:
            dns6 = plan6.dns_address if wanted.dns_forwarder else None
            plans.append(Plan(plan6.cidr, plan6.gateway, dns6, plan6.guest))
        network = Network(plans, wanted.mtu, tap.mac, wanted.host_loopback)
        self._resolv_conf = ResolvConfWatch(self._reactor)
        self._nameservers = Nameservers(_addresses(self._wanted_nameservers()))
        resolver = Resolver(self._reactor, self._nameservers, OwnNames(wanted.own_names))
        self._sockets = HostSockets(self._reactor, resolver)
        gateway = Gateway(network, self._tap, self._sockets, secrets.token_bytes(_SECRET_SIZE))
        self._reactor.drive(gateway)
        self._forwards = Forwards(self._reactor, gateway, self._sockets)
        try:
            self._tap.start(gateway.receive)
            if wanted.dns_forwarder:
                self._resolv_conf.follow(self._host_names_changed)
            self._forwards.open(*wanted.forwards)
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
    def lacks_nameserver(self) -> bool:
        """Whether the guest can resolve no name but our own, until the host has a nameserver."""
        return self._config.network.dns_forwarder and not self._wanted_nameservers()

    @property
    def published(self) -> tuple[Forward, ...]:
        """The ports that are published, oldest first, each with its host port as it was found."""
        return self._forwards.published

    def publish(self, *forwards: Forward | str) -> tuple[Forward, ...]:
        """Publish ports, all or none: Forwards, or texts like `8080:80`, `80` and `53:53/udp`.

        What was published is returned, in the same order, with the host port that was found where
        none was named. Raises UsageError for a text that makes no sense, RootlessnetError for a
        port that can't be had.
        """
        wanted: list[Forward] = []
        for forward in forwards:
            wanted += parse_forwards(forward) if isinstance(forward, str) else (forward,)
        return self._forwards.open(*wanted)

    def withdraw(self, forward: Forward) -> None:
        """Publish a port no more; connections that stand go on. Raises RootlessnetError."""
        self._forwards.close(forward)

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
        return describe(self._config, self.name or "", os.getpid(), self._started, ports)

    def stop(self) -> None:
        """End the network, the command and everything it has started. Idempotent."""
        self._end(ExitStatus(0))
        self._unwatch()
        if self._served is not None:
            self._served.close()
            self._served = None
        if not self._reactor.closed:
            self._forwards.close_all()
            self._resolv_conf.close()
            self._sockets.close()
            self._tap.close()
            self._reactor.close()
        if self._deadline is not None:
            self._deadline.cancel()
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
        self._tell_guest()  # it was read earlier there
        guest.start_command()
        network = self._config.network
        if network.splice:
            splices = self._sockets.splice(guest.make_sockets, str(network.guest))
            guest.sockets_made = splices.arrived
        self._watch(guest.fileno(), guest.poll)
        self._listen()

    def follow(self, attachment: Attachment) -> None:
        """End with the namespace, or with its process if it was named by one."""
        self._served = attachment
        self._tap.vanished = lambda: self._end(ExitStatus(0))
        if attachment.fileno() >= 0:
            self._watch(attachment.fileno(), lambda: ExitStatus(0) if attachment.gone() else None)
        self._listen()

    def _wanted_nameservers(self) -> tuple[HostAddress, ...]:
        return self._config.network.dns or self._resolv_conf.conf.nameservers

    def _host_names_changed(self, conf: ResolvConf) -> None:
        """The host's resolv.conf says something else. One that names nobody, as while there is no
        network, leaves those to be asked who were.
        """
        if conf.nameservers and not self._config.network.dns:
            self._nameservers.replace(_addresses(conf.nameservers))
        self._tell_guest()

    def _tell_guest(self) -> None:
        if isinstance(self._served, Guest) and self._resolv_conf.conf != ResolvConf():
            self._served.follow_resolv_conf(self._resolv_conf.conf)

    def _listen(self) -> None:
        """Begin to answer those who ask for this instance by its name."""
        if self._claim is not None:
            self._control = Server(self._loop, self._claim, self)

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
        self._tap.read_all()
        before = self._sockets.unfinished()
        patience = self._loop.time() + _LINGER
        while before and self._loop.time() < patience:
            await asyncio.sleep(_LOOK)
            now = self._sockets.unfinished()  # none, once the network was stopped
            if now != before:
                before, patience = now, self._loop.time() + _LINGER

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


async def start(config: RunConfig) -> Instance:
    """Start a command in namespaces of its own, with its network on the running loop.

    Raises RootlessnetError; nothing is left running then.
    """
    with limits.explained():
        limits.require_descriptors()
        config = settled(config)
        guest = launch(config)
        return await _start(guest, config, lambda instance: instance.serve(guest))


async def attach(config: AttachConfig) -> Instance:
    """Give a namespace that exists a network on the running loop. Raises RootlessnetError."""
    with limits.explained():
        limits.require_descriptors()
        config = settled(config)
        attachment = enter(config)
        return await _start(attachment, config, lambda instance: instance.follow(attachment))


async def _start(
    served: Guest | Attachment,
    config: RunConfig | AttachConfig,
    begin: Callable[[Instance], None],
) -> Instance:
    claimed: Claim | None = None
    try:
        claimed = claim(config.name)
        tap = await _receive_tap(served)
        instance = Instance(asyncio.get_running_loop(), tap, config, claimed)
    except BaseException:
        served.close()
        if claimed is not None:
            claimed.release()
        raise
    try:
        begin(instance)
    except BaseException:
        instance.stop()
        raise
    return instance


async def _receive_tap(served: Guest | Attachment) -> Tap:
    receiving = asyncio.get_running_loop().run_in_executor(None, served.receive_tap)
    try:
        return await asyncio.shield(receiving)
    except asyncio.CancelledError:
        # Two must not read what the child says: the thread does it until the child is ready.
        with suppress(RootlessnetError):
            os.close((await receiving).fd)
        raise


def run_guest(
    guest: Guest,
    config: RunConfig,
    published: Callable[[Forward], None] | None,
    warned: Callable[[str], None] | None,
) -> ExitStatus:
    """Run a launched guest's command to its end, passing signals on; its exit status."""

    def begin(instance: Instance) -> None:
        guest.stop_with_command()
        instance.serve(guest)

    return _run(guest, config, begin, published, warned)


def run_attachment(
    attachment: Attachment,
    config: AttachConfig,
    published: Callable[[Forward], None] | None,
    warned: Callable[[str], None] | None,
) -> ExitStatus:
    """Serve a namespace until it, its process or this program is to end; 0."""
    return _run(attachment, config, lambda instance: instance.follow(attachment), published, warned)


def _run(
    served: Guest | Attachment,
    config: RunConfig | AttachConfig,
    begin: Callable[[Instance], None],
    published: Callable[[Forward], None] | None,
    warned: Callable[[str], None] | None,
) -> ExitStatus:
    """Run an instance on a loop of its own. The loop is made while the child is still at work."""
    limits.raise_descriptor_limit()
    _keep_memory()
    with ExitStack() as ending:
        loop = ending.enter_context(closing(uvloop.new_event_loop()))
        claimed = claim(config.name)
        if claimed is not None:
            ending.callback(claimed.release)
        instance = Instance(loop, served.receive_tap(), config, claimed)
        # `stop` twice: where nothing else can end what runs, and before signals have their own
        # effects again, which would leave it half done.
        ending.callback(instance.stop)
        # Before the command starts: a signal that came between the two would end us.
        signals = Signals(loop, instance.send_signal)
        ending.callback(signals.close)
        ending.callback(instance.stop)
        if published is not None:
            for wanted, found in zip(config.network.forwards, instance.published, strict=True):
                if wanted != found:
                    published(found)
        if warned is not None and instance.lacks_nameserver:
            warned(_NO_NAMESERVER)
        begin(instance)
        gc.freeze()  # what start-up made stays: the collector need not look at it again
        status = loop.run_until_complete(instance.wait())
    ended_alike = status.signal in _OF_THE_KEYBOARD and status.signal in signals.received
    return status if ended_alike else ExitStatus(status)


def _keep_memory() -> None:
    """Let malloc keep what it frees. Read buffers lie at the top of the heap: cutting it after each
    cost 60,000 page faults a second, a fifth of the inbound rate. Read: mallopt(3).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # only glibc has it
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
