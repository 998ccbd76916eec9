"""A network for a namespace that exists.

A forked child enters the target, makes the TAP and hands over its descriptor. An open TAP keeps the
network namespace alive in which it was opened, so it is opened in a throw-away one, and the device
is then moved to the target. When the target's last process ends, the target dies, the device with
it, and the descriptor says so: reading it fails with EBADFD, and poll(2) reports an error.

An interface that was made beforehand, to persist, cannot be moved without losing its addresses: it
is opened where it is. What tells of the namespace's end then is what named it: the process, or the
path, which leads to it no longer.

Read: setns(2), network_namespaces(7), pidfd_open(2), tun(4), persistent devices.
"""

import os
import select
from contextlib import suppress

from rootlessnet.config import AttachConfig
from rootlessnet.errors import RootlessnetError
from rootlessnet.netns import interface, syscalls, tap
from rootlessnet.netns.child import Child
from rootlessnet.netns.given import Given
from rootlessnet.netns.messages import Channel
from rootlessnet.netns.tap import Link, Tap
from rootlessnet.target import FrameSocket, TapDescriptor
from rootlessnet.words import quoted


def attach(config: AttachConfig) -> "Attachment | Given":
    """Begin to give the target a network, and return at once: `receive_link` waits for it.

    The calling thread must live until then. Raises `RootlessnetError` when there is no such
    process, link or descriptor.
    """
    for what, descriptor in (("ready", config.ready_fd), ("exit", config.exit_fd)):
        if descriptor is not None:
            _require_open(what, descriptor)
    match config.target:
        case TapDescriptor() | FrameSocket() as target:
            return Given(target)
        case target:
            return Attachment(config, target)


class Attachment:
    """The parent's side. Whoever has one must `close` it in the end."""

    folders: tuple[str, ...] = ()  # where it will remove a socket

    def __init__(self, config: AttachConfig, target: int | str) -> None:
        self._network = config.network
        self._process = -1  # a pidfd, when the target is a process
        self._place: _Place | None = None  # when it is a path
        if isinstance(target, int):
            self._process = _open_process(target)
        else:
            self._place = _Place(target)
        self._child = Child(
            _Visit(config, target, self._process).run,
            name="the process that sets up the interface",
            keep=(self._process,),
        )

    def receive_link(self) -> Link:
        """Wait until the TAP is made and configured. Raises `RootlessnetError`, explained."""
        made = tap.receive(self._network, self._child)
        self._child.close()
        return made

    def fileno(self) -> int:
        """Readable when the target process ended; -1 when the target is a path.

        The namespace may live on in other processes: its end shows on the TAP, unless that keeps
        the namespace.
        """
        return self._process

    def gone(self) -> bool:
        """Whether the target process ended, or the path leads to the namespace no longer."""
        if self._place is not None:
            return self._place.gone()
        return self._process >= 0 and _has_ended(self._process)

    def close(self) -> None:
        """End the child, if it is still at work. Idempotent. The TAP is its receiver's to close."""
        self._child.close()
        if self._place is not None:
            self._place.close()
        if self._process >= 0:
            os.close(self._process)
            self._process = -1


class _Place:
    """Where a path led. Its folder is kept open, so that it can be looked at from a sandbox; what
    is below /proc/PID may not even be then, but the process can be watched.
    """

    def __init__(self, path: str) -> None:
        folder, self._name = os.path.split(path)
        self._folder = self._process = -1
        match path.split("/"):
            case ["", "proc", process, *_] if process.isdecimal():
                with suppress(OSError, OverflowError):
                    self._process = os.pidfd_open(int(process))
        try:
            self._folder = os.open(folder or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            self._identity = self._look()
        except OSError:  # the child says what is wrong with it
            self.close()

    def gone(self) -> bool:
        if self._process >= 0 and _has_ended(self._process):
            return True
        if self._folder < 0:
            return False
        try:
            return self._look() != self._identity
        except PermissionError:  # a process's namespaces are not for everybody to look at
            return False
        except OSError:
            return True

    def close(self) -> None:
        for descriptor in (self._folder, self._process):
            if descriptor >= 0:
                os.close(descriptor)
        self._folder = self._process = -1

    def _look(self) -> tuple[int, int]:
        status = os.stat(self._name or ".", dir_fd=self._folder)
        return status.st_dev, status.st_ino


class _Visit:
    """What the child does. `process` is the target's pidfd, or -1."""

    def __init__(self, config: AttachConfig, target: int | str, process: int) -> None:
        self._config = config
        self._network = config.network
        self._process = process
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
        config, name = self._config, self._network.tap_name
        namespace = self._open(self._network_path)
        self._enter(namespace, self._open(self._user_path))
        if config.configure:
            interface.require_free(self._network)
        exists = interface.exists(name)
        if exists:
            made = self._open_tap()
            interface.deepen_queue(name)
        else:
            made = self._make_tap()
            interface.move(name, namespace)
            syscalls.setns(namespace, syscalls.CLONE_NEWNET)
        has_ipv6 = bool(self._network.ipv6)  # if it is configured by somebody else
        if config.configure:
            has_ipv6 = interface.configure(self._network, config.mac)
            made = made._replace(mac=config.mac or made.mac)
        keeps_namespace = exists or self._network.needs_sockets_inside
        made = made._replace(ipv6=has_ipv6, keeps_namespace=keeps_namespace)
        tap.hand_over(made, self._network, channel)

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
            from rootlessnet.netns import prerequisites  # who is well needs no doctor

            raise prerequisites.explain_namespaces(error).error() from None
        return self._open_tap()

    def _open_tap(self) -> Tap:
        """Open the TAP of this network namespace, which is made where there is none."""
        try:
            return interface.make_tap(self._network.tap_name)
        except OSError as error:
            from rootlessnet.netns import prerequisites

            raise prerequisites.explain_tap(error, self._network.tap_name).error() from None

    def _not_permitted(self) -> RootlessnetError:
        return RootlessnetError(
            f"not permitted to enter the namespaces of {self._name}: be the user who made them, "
            "name the user namespace that owns them with --userns-path, or be root"
        )


def _require_open(what: str, descriptor: int) -> None:
    try:
        os.fstat(descriptor)
    except OSError:
        raise RootlessnetError(
            f"{what} descriptor {descriptor} is not open: have the program inherit it"
        ) from None


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
