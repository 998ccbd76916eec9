"""From a config to a running network, and to its end.

A program that has a loop of its own starts instances by `start` and `attach`. The command line runs
one until its end, on a loop made for it (`run_guest`, `run_attachment`), in a process that gives up
what the network does not need.
"""

import asyncio
import ctypes
import gc
import signal
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING

import uvloop

from rootlessnet import limits
from rootlessnet.app import Instance
from rootlessnet.config import AttachConfig, RunConfig
from rootlessnet.control.state import Claim, claim
from rootlessnet.errors import RootlessnetError
from rootlessnet.exit_status import ExitStatus
from rootlessnet.forward import Forward
from rootlessnet.hardening import harden
from rootlessnet.host.faults import defect
from rootlessnet.host.signals import Signals
from rootlessnet.ipv6_default import settled
from rootlessnet.log import Log
from rootlessnet.netns.launch import Guest, launch
from rootlessnet.netns.tap import Link

if TYPE_CHECKING:
    from rootlessnet.netns.attach import Attachment
    from rootlessnet.netns.given import Given

_M_TRIM_THRESHOLD = -1
_KEPT = 64 << 20  # bytes
# A shell asks whether the program that it waits for has died of these (bash(1), SIGNALS).
_OF_THE_KEYBOARD = (signal.SIGINT, signal.SIGQUIT)


async def start(config: RunConfig, *, log: Log | None = None) -> Instance:
    """Start a command in namespaces of its own, with its network on the running loop.

    `log` has what happens that a user may want to know. Raises RootlessnetError; nothing is left
    running then.
    """
    with limits.explained():
        limits.require_system()
        config = settled(config)
        guest = launch(config)
        return await _start(guest, config, lambda instance: instance.serve(guest), log)


async def attach(config: AttachConfig, *, log: Log | None = None) -> Instance:
    """Give a namespace that exists a network on the running loop; `log` is as for `start`. Raises
    RootlessnetError.
    """
    with limits.explained():
        limits.require_system()
        from rootlessnet.netns.attach import attach as enter  # which `start` does not need

        config = settled(config)
        attachment = enter(config)
        instance = await _start(
            attachment, config, lambda instance: instance.follow(attachment), log
        )
        instance.announce()
        return instance


async def _start(
    served: "Guest | Attachment | Given",
    config: RunConfig | AttachConfig,
    begin: Callable[[Instance], None],
    log: Log | None,
) -> Instance:
    claimed: Claim | None = None
    try:
        claimed = claim(config.name)
        link = await _receive_link(served)
        instance = Instance(asyncio.get_running_loop(), link, config, claimed, log or Log())
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


async def _receive_link(served: "Guest | Attachment | Given") -> Link:
    receiving = asyncio.get_running_loop().run_in_executor(None, served.receive_link)
    try:
        return await asyncio.shield(receiving)
    except asyncio.CancelledError:
        # Two must not read what the child says: the thread does it until the child is ready.
        with suppress(RootlessnetError):
            (await receiving).close()
        raise


def run_guest(
    guest: Guest,
    config: RunConfig,
    published: Callable[[Forward], None] | None,
    log: Log | None,
    hardening: bool,
) -> ExitStatus:
    """Run a launched guest's command to its end, passing signals on; its exit status."""

    def begin(instance: Instance) -> None:
        guest.stop_with_command()
        instance.serve(guest)

    return _run(guest, config, begin, published, log, hardening)


def run_attachment(
    attachment: "Attachment | Given",
    config: AttachConfig,
    published: Callable[[Forward], None] | None,
    log: Log | None,
    hardening: bool,
    sandbox: bool,
) -> ExitStatus:
    """Serve a namespace until it, its process or this program is to end; 0."""

    def begin(instance: Instance) -> None:
        instance.follow(attachment)
        if sandbox:
            _enter_sandbox(instance)

    return _run(attachment, config, begin, published, log, hardening)


def _run(
    served: "Guest | Attachment | Given",
    config: RunConfig | AttachConfig,
    begin: Callable[[Instance], None],
    published: Callable[[Forward], None] | None,
    log: Log | None,
    hardening: bool,
) -> ExitStatus:
    """Run an instance on a loop of its own. The loop is made while the child is still at work."""
    log = log or Log()
    limits.raise_descriptor_limit()
    _keep_memory()
    if hardening:  # the children are forked
        harden.prepare()
    with ExitStack() as ending:
        loop = ending.enter_context(closing(uvloop.new_event_loop()))
        loop.set_exception_handler(lambda _loop, context: defect(log, context))
        claimed = claim(config.name)
        if claimed is not None:
            ending.callback(claimed.release)
        link = served.receive_link()
        instance = Instance(loop, link, config, claimed, log)
        # `stop` twice: where nothing else can end what runs, and before signals have their own
        # effects again, which would leave it half done.
        ending.callback(instance.stop)
        # Before the command starts: a signal that came between the two would end us.
        signals = Signals(loop, instance.take_signal)
        ending.callback(signals.close)
        ending.callback(instance.stop)
        if published is not None:
            ports = instance.published[: len(config.network.forwards)]  # what -P has is no choice
            for wanted, found in zip(config.network.forwards, ports, strict=True):
                if instance.placed(wanted) != found:
                    published(found)
        begin(instance)
        if hardening:  # before a packet is looked at, and while the command begins
            _harden(instance, served)
        instance.announce()
        gc.freeze()  # what start-up made stays: the collector need not look at it again
        gc.enable()  # which our script puts off until here
        status = loop.run_until_complete(instance.wait())
    ended_alike = status.signal in _OF_THE_KEYBOARD and status.signal in signals.received
    return status if ended_alike else ExitStatus(status)


def _harden(instance: Instance, served: "Guest | Attachment | Given") -> None:
    """Give up what the instance does not need: this process has nothing else to do."""
    signalled = served.signalled if isinstance(served, Guest) else ()
    # Who may signal anybody must know whom to: without a PID namespace it looks into processes.
    harden.harden(
        removable=instance.folders,
        keep=instance.inherited,
        signalled=signalled,
        files=signalled is not None,
    )


def _enter_sandbox(instance: Instance) -> None:
    """Leave the host's files. Raises RootlessnetError."""
    from rootlessnet.netns import sandbox  # which few ask for

    try:
        sandbox.enter(readable=harden.readable(), writable=instance.state_folders)
    except OSError as error:
        raise RootlessnetError(
            f"cannot make a sandbox ({error.strerror}): do without --enable-sandbox, or see "
            "rootlessnet doctor for user namespaces"
        ) from error


def _keep_memory() -> None:
    """Let malloc keep what it frees. Read buffers lie at the top of the heap: cutting it after each
    cost 60,000 page faults a second, a fifth of the inbound rate. Read: mallopt(3).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # only glibc has it
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
