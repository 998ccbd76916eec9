"""COMMAND: forked by the init, made to look like any program started from a shell, and executed.

It gets the signal mask and the ignored signals that the caller had, the caller's environment,
directory, terminal and inheritable descriptors, and none of ours.

Read: execve(2), signal(7), exec in POSIX.1-2024 (Shell & Utilities, 2.8.2) for the exit statuses.
"""

import errno
import os
import signal
from collections.abc import Callable, Iterable
from typing import NoReturn

from rootlessnet.errors import CommandError
from rootlessnet.netns import processes
from rootlessnet.words import quoted

NOT_FOUND, NOT_EXECUTABLE = 127, 126

# The interpreter ignores these for itself; a program expects to die of them.
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


def execute(arguments: tuple[str, ...], mask: Iterable[int], prepare: Callable[[], None]) -> int:
    """Fork, call `prepare` in the child, and execute; the process id once the program runs.

    Every signal but SIGCHLD must be blocked; the program gets `mask`. Raises `CommandError` when
    it cannot be executed.
    """
    report_read, report_write = os.pipe()
    pid = processes.fork()
    if pid == 0:
        os.close(report_read)
        _become(arguments, mask, prepare, report_write)
    os.close(report_write)
    with open(report_read, "rb") as report:
        word = report.read()  # nothing, when the exec closed the other end
    if word:
        os.waitpid(pid, 0)
        raise explain(int(word), arguments[0])
    return pid


def _become(
    arguments: tuple[str, ...],
    mask: Iterable[int],
    prepare: Callable[[], None],
    report: int,
) -> NoReturn:
    try:
        prepare()
        for number in signal.valid_signals():
            if number in _IGNORED_BY_PYTHON or callable(signal.getsignal(number)):
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.execvp(arguments[0], arguments)
    except OSError as error:
        os.write(report, str(error.errno).encode())
    except ValueError:  # a NUL byte among the arguments, or nothing before them
        os.write(report, str(errno.EINVAL if arguments[0] else errno.ENOENT).encode())
    finally:
        os._exit(NOT_FOUND)  # read by nobody


def explain(number: int, name: str) -> CommandError:
    """What to say of the command `name` when executing it failed with the error `number`."""
    is_path, shown = "/" in name, quoted(name)
    candidates = [name] if is_path else [os.path.join(way, name) for way in os.get_exec_path()]
    found = name != "" and any(os.path.exists(path) for path in candidates)
    missing = number in (errno.ENOENT, errno.ENOTDIR)
    if not found and (missing or not is_path):  # PATH may name directories closed to this user
        remedy = "check the path" if is_path else "check the spelling, or install it into PATH"
        return CommandError(f"command {shown} not found: {remedy}", NOT_FOUND)
    if missing:
        reason = "the interpreter that it names is missing, install it"
    elif number == errno.ENOEXEC:
        reason = "it is no program of this machine, nor a script with a first line like #!/bin/sh"
    elif os.path.isdir(name):
        reason = "it is a directory, name a program"
    elif number == errno.EACCES:
        reason = "you may not execute it, try chmod +x"
    else:
        reason = os.strerror(number)
    return CommandError(f"command {shown} cannot be executed: {reason}", NOT_EXECUTABLE)
