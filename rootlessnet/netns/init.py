"""The init: the first process of the guest and the last.

It starts COMMAND when the parent says so, reaps everybody, passes signals on, keeps the guest's
resolv.conf and hosts file in place, makes sockets of the guest's for the parent, and reports
COMMAND's end. Then, or when the parent is gone, it ends all that is left: by its own end where it
is PID 1, else one by one. It imports nothing heavy, since it stays as long as the guest.

All signals but SIGCHLD stay blocked: what a terminal sends to the process group is meant for
COMMAND.

Read: pid_namespaces(7), "The namespace init process"; credentials(7) on process groups.
"""

import errno
import gc
import os
import select
import signal
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from typing import NoReturn

from rootlessnet import resolv_conf
from rootlessnet.config import RunConfig
from rootlessnet.errors import RootlessnetError
from rootlessnet.netns import command, inbound, mounts, processes, syscalls
from rootlessnet.netns.child import defect
from rootlessnet.netns.messages import DESCRIPTORS_MAX, IF_HARMLESS, Channel, Kind, Message


class Init:
    """The state of the init."""

    def __init__(
        self,
        config: RunConfig,
        channel: Channel,
        configurer: int,
        mask: Iterable[int],
        hidden: str,
    ) -> None:
        """`mask` is the signal mask for COMMAND; `configurer` a pidfd of our first parent;
        `hidden` a folder that COMMAND does not see.
        """
        self._config = config
        self._channel = channel
        self._configurer = configurer
        self._mask = mask
        self._hidden = hidden
        self._command = 0  # its process id while it runs
        self._resolv_conf: mounts.GuestResolvConf | None = None

    def run(self) -> NoReturn:
        """Live. Any error is for the parent to tell."""
        gc.enable()  # unlike the configurer, it stays
        try:
            if self._enter_namespace():
                self._prepare()
                while self._serve():
                    pass
        except RootlessnetError as error:
            self._channel.send(Message.failed(error))
        except BaseException as error:
            self._channel.send(Message.failed(defect(error)))
        finally:
            if not self._config.pid_namespace:
                processes.end_children()
            os._exit(0)

    def _enter_namespace(self) -> bool:
        """Have a mount namespace of our own; False when the kernel refused it."""
        try:
            syscalls.unshare(syscalls.CLONE_NEWNS)
        except OSError as error:
            self._channel.send(Message(Kind.REFUSED, error.errno or errno.EPERM))
            return False
        return True

    def _prepare(self) -> None:
        if self._config.pid_namespace:
            mounts.mount_proc()
        else:
            syscalls.set_child_subreaper(True)
        network = self._config.network
        if network.dns_forwarder:
            self._resolv_conf = mounts.GuestResolvConf(network.dns_address)
        self._hosts = mounts.GuestHosts(network.own_names)
        self._child_news, write = os.pipe()
        os.set_blocking(self._child_news, False)
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        self._mount_table = os.open(mounts.MOUNT_TABLE, os.O_RDONLY | os.O_CLOEXEC)
        self._poll = select.poll()
        for descriptor in (self._channel.fileno(), self._child_news, self._configurer):
            self._poll.register(descriptor, select.POLLIN)
        self._poll.register(self._mount_table, select.POLLPRI)

    def _serve(self) -> bool:
        """Wait for events and do what they ask for; False when this was the last."""
        events = {descriptor for descriptor, _ in self._poll.poll()}
        if self._mount_table in events:
            if self._resolv_conf is not None:
                self._resolv_conf.restore()
            self._hosts.restore()
        if self._configurer in events:
            self._adopted()
        if self._child_news in events and not self._reap():
            return False
        return self._channel.fileno() not in events or self._listen()

    def _adopted(self) -> None:
        """The configurer ended, so our parent is the guest's own now: die with it from here on.

        Without a PID namespace we must outlive it for a moment, to end the others; then the end of
        the channel is the only sign.
        """
        self._poll.unregister(self._configurer)
        os.close(self._configurer)
        if self._config.pid_namespace:  # should the parent be dead already, the channel says so
            syscalls.set_parent_death_signal(signal.SIGKILL)

    def _listen(self) -> bool:
        message = self._channel.receive()
        match message:
            case None:  # the parent is gone
                return False
            case Message(kind=Kind.START):
                self._start()
            case Message(kind=Kind.SIGNAL, number=number, text=how) if self._command:
                if how != IF_HARMLESS or processes.minds(self._command, number):
                    os.kill(self._command, number)
            case Message(kind=Kind.SOCKETS, number=number, text=family):
                self._make_sockets(number, int(family))
            case Message(kind=Kind.RESOLV_CONF, text=text) if self._resolv_conf is not None:
                self._resolv_conf.follow(resolv_conf.parse(text))
        return True

    def _start(self) -> None:
        mounts.hide(self._hidden)  # the parent has made it by now
        # COMMAND is root beside us: it would speak to the parent in our place (pidfd_getfd(2)), or
        # have the sockets that we make for it block.
        syscalls.forbid_tracing()
        self._command = command.execute(self._config.command, self._mask, self._bind_to_us)
        self._channel.send(Message(Kind.STARTED))

    def _make_sockets(self, number: int, family: int) -> None:
        """For the parent, which connects them: they belong to the namespace they are made in."""
        source = inbound.source(self._config.network.gateway)
        with ExitStack() as stack:
            made: list[int] = []
            with suppress(OSError):  # no descriptor is left: then these
                while len(made) < min(number, DESCRIPTORS_MAX):
                    made.append(stack.enter_context(inbound.open_socket(family, source)).fileno())
            self._channel.send(Message(Kind.MADE, family, descriptors=tuple(made)))

    def _bind_to_us(self) -> None:
        """In the child that becomes COMMAND. A PID namespace does this for all processes in it."""
        if not self._config.pid_namespace:
            syscalls.set_parent_death_signal(signal.SIGKILL)

    def _reap(self) -> bool:
        """Reap all who ended; False when COMMAND was among them."""
        os.read(self._child_news, 4096)
        with suppress(ChildProcessError):
            while (news := os.waitpid(-1, os.WNOHANG | os.WUNTRACED)) != (0, 0):
                pid, status = news
                if pid == self._command and os.WIFSTOPPED(status):
                    self._channel.send(Message(Kind.STOPPED, os.WSTOPSIG(status)))
                elif pid == self._command:
                    code = os.waitstatus_to_exitcode(status)
                    self._channel.send(Message(Kind.EXITED, code))
                    return False
        return True
