"""What this process may have of the system, and what to say when that is too little.

Read: getrlimit(2), RLIMIT_NOFILE; errno(3), EMFILE and ENFILE.
"""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rootlessnet.errors import RootlessnetError

DESCRIPTORS_USED_UP = (errno.EMFILE, errno.ENFILE)
MORE_DESCRIPTORS = "raise the limit (ulimit -n)"

_UNLIMITED = 1 << 30
_DESCRIPTORS_LEAST = 24  # more than start-up opens at a time, here and in the children


def require_system() -> None:
    """Raise RootlessnetError where start-up would not get far, for a reason that would not show."""
    require_proc()
    require_descriptors()


def require_proc() -> None:
    """Raise RootlessnetError where no /proc tells of this process: namespaces are set up in it."""
    if not os.path.exists("/proc/self/uid_map"):
        raise RootlessnetError(
            "no /proc here that tells of this process: mount -t proc proc /proc, or have the "
            "container that this runs in do so"
        )


def require_descriptors() -> None:
    """Raise RootlessnetError where start-up would run out of descriptors.

    It is tried beforehand because libuv aborts the process when it gets none.
    """
    opened: list[int] = []
    try:
        opened.extend(os.open("/", os.O_PATH) for _ in range(_DESCRIPTORS_LEAST))
    except OSError as error:
        raise explain(error) from None
    finally:
        for descriptor in opened:
            os.close(descriptor)


def raise_descriptor_limit() -> None:
    """Each flow takes a descriptor: take as many as this process may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def descriptor_limit() -> int:
    """How many descriptors this process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft >= 0 else _UNLIMITED


@contextmanager
def explained() -> Iterator[None]:
    """What the system refuses in the block is raised as a RootlessnetError."""
    try:
        yield
    except OSError as error:
        raise explain(error) from error


def explain(error: OSError) -> RootlessnetError:
    """What to say of a refusal that can happen at any call."""
    if error.errno in DESCRIPTORS_USED_UP:
        return RootlessnetError(f"{os.strerror(error.errno)}: {MORE_DESCRIPTORS}")
    return RootlessnetError(f"the system refused a request ({error}): see rootlessnet doctor")
