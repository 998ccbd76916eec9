"""Starting a command in namespaces of its own: the parent's side.

`launch` forks the configurer and returns, so that the caller can import and set up its stack
meanwhile. The configurer forks the init, which becomes our child when the configurer ends. Each has
a channel of its own to us, and a death shows as the end of its channel.

Read: the theory of operation in `rootlessnet.netns`.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from rootlessnet.config import RunConfig
from rootlessnet.errors import RootlessnetError
from rootlessnet.exit_status import ExitStatus
from rootlessnet.netns import processes, tap
from rootlessnet.netns.child import Child
from rootlessnet.netns.configurer import Configurer
from rootlessnet.netns.messages import IF_HARMLESS, Channel, Kind, Message
from rootlessnet.netns.tap import Tap
from rootlessnet.netns.terminal import Terminal
from rootlessnet.resolv_conf import ResolvConf
from rootlessnet.state_folder import folder_path

_TERMINAL_STOPS = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)


def launch(config: RunConfig) -> "Guest":
    """Fork what becomes the guest, and return at once: `Guest.receive_link` waits for it.

    The calling thread must live until then. Raises `RootlessnetError` when this process cannot
    fork.
    """
    return Guest(config)


class Guest:
    """The guest's processes. Whoever has one must `close` it in the end."""

    folders: tuple[str, ...] = ()  # where it will remove a socket

    def __init__(self, config: RunConfig) -> None:
        self._network = config.network
        self._pid_namespace = config.pid_namespace
        self._terminal = Terminal()
        self._init = 0  # its process id, until it is reaped
        self._user_namespace = 0  # its inode number
        self._status: ExitStatus | None = None
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self._channel, theirs = Channel.pair()
        processes.Subreaper.claim()  # to become the init's parent
        try:
            self._configurer = Child(
                Configurer(config, theirs, mask, folder_path()).run,
                name="the process that sets up the namespace",
                keep=(theirs.fileno(),),
            )
        except RootlessnetError:
            processes.Subreaper.release()
            self._channel.close()
            self._terminal.close()
            raise
        finally:
            theirs.close()
        self._is_open = True
        self.sockets_made: Callable[[int, tuple[int, ...]], None] = _close_all
        # What the caller had for the stops of the terminal, while we stop with the command.
        self._dispositions: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}

    def receive_link(self) -> Tap:
        """Wait until the guest's TAP is made and configured. Raises `RootlessnetError`."""
        self._receive_init()
        return tap.receive(self._network, self._configurer)

    def start_command(self) -> None:
        """Execute the command.

        Raises `CommandError` with exit status 127 when it is not found and 126 when it is not
        executable, and `RootlessnetError` when the guest could not be prepared.
        """
        self._channel.send(Message(Kind.START))
        with _explained():
            self._channel.expect(Kind.STARTED, "the init of the namespace")
        self._leave_to_init()

    @property
    def signalled(self) -> tuple[int, ...] | None:
        """The processes that `close` will end once the command runs; None: it cannot be said yet.

        Without a PID namespace they are whoever is left then, found by their user namespaces.
        """
        return (self._init,) if self._pid_namespace else None

    def fileno(self) -> int:
        """Readable when `poll` has news."""
        return self._channel.fileno()

    def poll(self) -> ExitStatus | None:
        """The command's exit status, 128+n after a death by signal n; None while it runs.

        Raises `RootlessnetError` when the init met a defect; the next call knows a status.
        """
        while self._status is None and self._channel.readable():
            message = self._channel.receive()
            if message is None:  # the init was killed, and everything with it
                self._status = ExitStatus.of(-signal.SIGKILL)
            elif message.kind is Kind.EXITED:
                self._status = ExitStatus.of(message.number)
            elif message.kind is Kind.STOPPED:
                self._command_stopped()
            elif message.kind is Kind.MADE:
                self.sockets_made(message.number, message.descriptors)
            else:
                message.raise_if_failed()
        return self._status

    def make_sockets(self, family: int, count: int) -> bool:
        """Have so many TCP sockets made in the guest's network namespace, of AF_INET or AF_INET6;
        False when it has ended.

        `poll` hands them to `sockets_made`: all, or as many as could be made.
        """
        return self._is_open and self._channel.send(Message(Kind.SOCKETS, count, str(int(family))))

    def follow_resolv_conf(self, host: ResolvConf) -> None:
        """Tell the guest what the host's resolv.conf says now."""
        if self._is_open:
            self._channel.send(Message(Kind.RESOLV_CONF, text=str(host)))

    def send_signal(self, number: int, *, if_harmless: bool = False) -> None:
        """Send a signal to the command, which may have ended; with `if_harmless` only when it does
        not have the signal's own effect on it. Raises `ValueError` for no signal.
        """
        if number not in signal.valid_signals():
            raise ValueError(f"{number} is not the number of a signal")
        self._channel.send(Message(Kind.SIGNAL, number, IF_HARMLESS if if_harmless else ""))

    def stop_with_command(self) -> None:
        """From now on, stop this whole process, in `poll`, when and only when the command stops.

        For a program that stands in for the command towards a shell: the shell must see this
        process stop, and not before the command has let go of the terminal. When the shell lets
        this process continue, so does the command. For the main thread only.
        """
        for number in _TERMINAL_STOPS:
            self._dispositions[number] = signal.signal(number, signal.SIG_IGN)

    def close(self) -> None:
        """End every process of the guest, reap ours, and take the terminal back. Idempotent."""
        if not self._is_open:
            return
        self._is_open = False
        with suppress(RootlessnetError):  # then there is no init, or none that lives
            self._receive_init()
        self._leave_to_init()
        self._end_init()
        if not self._pid_namespace:
            processes.Subreaper.release()
        self._channel.close()
        self._terminal.restore()
        self._terminal.close()
        for number, disposition in self._dispositions.items():
            signal.signal(number, disposition)

    def _command_stopped(self) -> None:
        if self._dispositions:
            os.kill(os.getpid(), signal.SIGSTOP)
            # The shell continues our process group; the command may have moved to another.
            self.send_signal(signal.SIGCONT)

    def _receive_init(self) -> None:
        if not self._init:
            with _explained():
                message = self._configurer.receive(Kind.INIT)
            self._init, self._user_namespace = message.number, int(message.text)

    def _leave_to_init(self) -> None:
        """The configurer has done its work, or never will. Its end makes the init our child."""
        if self._configurer.pid:
            self._configurer.close()
            if self._pid_namespace:
                processes.Subreaper.release()

    def _end_init(self) -> None:
        """Kill the init. All others die by that, or without a PID namespace become our children."""
        if self._init:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(self._init, signal.SIGKILL)
                os.waitpid(self._init, 0)
        if not self._pid_namespace:
            processes.end_children(lambda pid: processes.lives_below(self._user_namespace, pid))


def _close_all(_family: int, descriptors: tuple[int, ...]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


@contextmanager
def _explained() -> Iterator[None]:
    """Explain which namespace the kernel refused, and why: not where it was refused, for there the
    settings that forbid are those of the namespaces made already.
    """
    try:
        yield
    except OSError as error:
        from rootlessnet.netns import prerequisites  # who is well needs no doctor

        raise prerequisites.explain_namespaces(error).error() from None
