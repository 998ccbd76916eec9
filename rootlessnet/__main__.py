"""`python -m rootlessnet` and the `rootlessnet` script: the program, and the process it has.

Under the name of slirp4netns, which any link to the script may have, it is that program.

What concerns the process as a whole is done here, around the program: COMMAND is to find what it
would have found bare, and whoever started us is to see an end like COMMAND's.

Read: PEP 538 for LC_CTYPE, setrlimit(2), signal(7).
"""

import gc
import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn

_SLIRP4NETNS = ("slirp4netns", "rootlessnet-slirp4netns")


def main() -> NoReturn:
    """Run the program and end the process with its exit status."""
    # Before the imports, which Ctrl-C would end with a traceback. Nothing here needs to tidy up
    # after an interrupt: the children of a process that dies end by themselves.
    if callable(signal.getsignal(signal.SIGINT)):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Next to nothing of what a start makes is garbage, and to look for it takes 6 ms.
    gc.disable()
    _occupy_standard_descriptors()
    _undo_locale_coercion()

    from rootlessnet.cli.main import main as program

    words = sys.argv[1:]
    if os.path.basename(sys.argv[0]) in _SLIRP4NETNS:
        words = ["slirp4netns", *words]
    status = program(words)
    number = getattr(status, "signal", None)
    if isinstance(number, int):
        _die_of(number)
    # Whatever had to be closed is, and output is written at once: the interpreter would take itself
    # to pieces first, which takes 3 ms after `run`, and 10 where it still looks for garbage.
    os._exit(status)


def _occupy_standard_descriptors() -> None:
    """Put something into the closed ones of 0 to 2: libuv aborts when its own have such numbers.

    The next exec closes it, so COMMAND finds them closed as the caller left them.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            with suppress(OSError):  # a machine without /dev/null
                os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def _undo_locale_coercion() -> None:
    """Forget the LC_CTYPE that the interpreter sets in the C locale."""
    if "LC_CTYPE" not in os.environ:
        return
    with suppress(OSError), open("/proc/self/environ", "rb") as original:
        if not any(line.startswith(b"LC_CTYPE=") for line in original.read().split(b"\0")):
            del os.environ["LC_CTYPE"]


def _die_of(number: int) -> None:
    """End by signal `number`, without a core file. Returns where that cannot be, as for PID 1."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)


if __name__ == "__main__":
    main()
