"""A forked child that does one piece of work, says the result on a channel, and ends.

The child comes from a process that may have threads, an event loop and handlers of its own, so it
starts by leaving all that behind: every signal stays blocked, every descriptor that a program would
not have inherited is closed, and no object from before the fork is ever finalised (it would close a
descriptor whose number has been given away), nor is what comes later: it does not live long enough
for garbage to matter. It dies with the thread that forked it.
"""

import gc
import os
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NoReturn

from rootlessnet import limits
from rootlessnet.errors import RootlessnetError
from rootlessnet.netns import processes, syscalls
from rootlessnet.netns.messages import Channel, Kind, Message


class Child:
    """The parent's view of the child."""

    def __init__(
        self, work: Callable[[Channel], None], *, name: str, keep: Iterable[int] = ()
    ) -> None:
        """Fork. The child runs `work` with its end of the channel.

        An error that `work` raises arrives at the parent, in `receive`. `name` is for messages;
        `keep` are descriptors that the child needs. Raises `RootlessnetError`.
        """
        self.name = name
        self.channel, theirs = Channel.pair()
        parent = os.getpid()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self.pid = processes.fork()
            if self.pid == 0:
                _run(work, theirs, parent, {theirs.fileno(), *keep})
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        theirs.close()

    def receive(self, kind: Kind) -> Message:
        """As `Channel.expect`."""
        return self.channel.expect(kind, self.name)

    def close(self) -> None:
        """End and reap it. Idempotent."""
        self.channel.close()
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            with suppress(ChildProcessError):  # somebody else reaped it
                os.waitpid(self.pid, 0)
            self.pid = 0


def _run(
    work: Callable[[Channel], None], channel: Channel, parent: int, keep: set[int]
) -> NoReturn:
    status = 1
    try:
        syscalls.set_parent_death_signal(signal.SIGKILL)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)
        gc.freeze()
        gc.disable()
        close_private_descriptors(keep)
        work(channel)
        status = 0
    except RootlessnetError as error:
        channel.send(Message.failed(error))
    except BaseException as error:  # a defect of ours: say so in one line all the same
        channel.send(Message.failed(defect(error)))
    finally:
        os._exit(status)


def defect(error: BaseException) -> RootlessnetError:
    """An error that nobody foresaw, in one line all the same."""
    if isinstance(error, OSError) and error.errno in limits.DESCRIPTORS_USED_UP:
        return limits.explain(error)
    return RootlessnetError(f"internal error, please report it: {error!r}")


def close_private_descriptors(keep: set[int]) -> None:
    """Close the descriptors that an exec would close, except those in `keep`."""
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        with suppress(OSError):  # the one that listed the directory is closed already
            if descriptor not in keep and not os.get_inheritable(descriptor):
                os.close(descriptor)
