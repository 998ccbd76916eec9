"""A network for a namespace that exists.

A forked child enters the target, makes the TAP and hands over its descriptor. An open TAP keeps the
network namespace alive in which it was opened, so it is opened in a throw-away one, and the device
is then moved to the target. When the target's last process ends, the target dies, the device with
it, and the descriptor says so: reading it fails with EBADFD, and poll(2) reports an error.

Read: setns(2), network_namespaces(7), pidfd_open(2).
"""

import os
import select
from dataclasses import replace

from rootlessnet.config import AttachConfig
from rootlessnet.errors import RootlessnetError
from rootlessnet.netns import interface, prerequisites, syscalls
from rootlessnet.netns.child import Child
from rootlessnet.netns.messages import Channel, Kind
from rootlessnet.netns.tap import Tap
from rootlessnet.words import quoted


def attach(config: AttachConfig) -> "Attachment":
    """Begin to give the target a network, and return at once: `Attachment.receive_tap` waits for
    it.

    The calling thread must live until then. Raises `RootlessnetError` when there is no such
    process.
    """
    return Attachment(config)


class Attachment:
    """The parent's side. Whoever has one must `close` it in the end."""

    def __init__(self, config: AttachConfig) -> None:
        self._process = -1  # a pidfd, when the target is a process
        if isinstance(config.target, int):
            self._process = _open_process(config.target)
        self._child = Child(
            _Visit(config, self._process).run,
            name="the process that sets up the interface",
            keep=(self._process,),
        )

    def receive_tap(self) -> Tap:
        """Wait until the TAP is made and configured. Raises `RootlessnetError`, explained."""
        tap = Tap.of(self._child.receive(Kind.TAP))
        self._child.close()
        return tap

    def fileno(self) -> int:
        """Readable when the target process ended; -1 when the target is a path.

        The namespace may live on in other processes: its end shows on the TAP.
        """
        return self._process

    def gone(self) -> bool:
        """Whether the target process ended."""
        return self._process >= 0 and _has_ended(self._process)

    def close(self) -> None:
        """End the child, if it is still at work. Idempotent. The TAP is its receiver's to close."""
        self._child.close()
        if self._process >= 0:
            os.close(self._process)
            self._process = -1


class _Visit:
    """What the child does. `process` is the target's pidfd, or -1."""

    def __init__(self, config: AttachConfig, process: int) -> None:
        self._network = config.network
        self._process = process
        target = config.target
        if isinstance(target, int):
            self._name = f"process {target}"
            self._network_path = f"/proc/{target}/ns/net"
            self._user_path = config.userns_path or f"/proc/{target}/ns/user"
        else:
            self._network_path = target
            self._name = quoted(target)
            self._user_path = config.userns_path or "/proc/self/ns/user"

    def run(self, channel: Channel) -> None:
        """Do it all; `channel` leads to the parent. Raises `RootlessnetError`."""
        namespace = self._open(self._network_path)
        self._enter(namespace, self._open(self._user_path))
        interface.require_free(self._network)
        tap = self._make_tap()
        interface.move(self._network.tap_name, namespace)
        syscalls.setns(namespace, syscalls.CLONE_NEWNET)
        has_ipv6 = interface.configure(self._network)
        channel.send(replace(tap, ipv6=has_ipv6).message())

    def _open(self, path: str) -> int:
        try:
            # O_NONBLOCK: it may be a FIFO, where an open waits for a writer.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except PermissionError:
            raise self._not_permitted() from None
        except OSError as error:
            raise RootlessnetError(
                f"cannot open {quoted(path)} ({error.strerror}): name a process that runs, "
                "or a path like /proc/PID/ns/net or /run/netns/NAME"
            ) from None
        if self._process >= 0 and _has_ended(self._process):  # the path may be another process's
            raise _no_process(self._name)
        return descriptor

    def _enter(self, network: int, user: int) -> None:
        try:
            # To enter the user namespace that one is in is an error.
            if not os.path.samestat(os.fstat(user), os.stat("/proc/self/ns/user")):
                syscalls.setns(user, syscalls.CLONE_NEWUSER)
            syscalls.setns(network, syscalls.CLONE_NEWNET)
        except PermissionError:
            raise self._not_permitted() from None
        except OSError as error:
            raise RootlessnetError(
                f"cannot enter the namespaces of {self._name} ({error.strerror}): "
                "name a network namespace like /proc/PID/ns/net, and with --userns-path one like "
                "/proc/PID/ns/user"
            ) from None

    def _make_tap(self) -> Tap:
        """Make the TAP in a network namespace that only its descriptor keeps."""
        try:
            syscalls.unshare(syscalls.CLONE_NEWNET)
        except OSError as error:
            raise prerequisites.explain_namespaces(error).error() from None
        try:
            return interface.make_tap(self._network.tap_name)
        except OSError as error:
            raise prerequisites.explain_tap(error, self._network.tap_name).error() from None

    def _not_permitted(self) -> RootlessnetError:
        return RootlessnetError(
            f"not permitted to enter the namespaces of {self._name}: be the user who made them, "
            "name the user namespace that owns them with --userns-path, or be root"
        )


def _open_process(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except (OSError, OverflowError):
        raise _no_process(f"process {pid}") from None


def _no_process(name: str) -> RootlessnetError:
    return RootlessnetError(f"{name} does not exist: name one that runs")


def _has_ended(process: int) -> bool:
    poll = select.poll()
    poll.register(process, select.POLLIN)
    return bool(poll.poll(0))
