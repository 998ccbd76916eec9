"""All of it, in the order that works.

What is read from then on is little: /etc, for names and nameservers; where /etc/resolv.conf leads,
or may lead once the host's network has changed; /proc, for who holds a port; and Python's library
with our own modules and dnspython's, for some are imported when they are first needed. What such an
import would write, a compiled module, is not written.

Read: the theory of operation in `rootlessnet.hardening`.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import PathFinder

from rootlessnet import resolv_conf
from rootlessnet.hardening import landlock, process, seccomp

# Where the programs that make a resolv.conf keep it, for a link from /etc.
_RESOLV_CONF_FOLDERS = (
    "/run/systemd/resolve",
    "/run/NetworkManager",
    "/run/resolvconf",
    "/run/connman",
    "/run/netconfig",
    "/mnt/wsl",
)
# What is read in /etc may be a symlink, and lead anywhere.
_FILES = (resolv_conf.PATH, "/etc/hosts", "/etc/passwd")
# Packages of others that are imported when they are first needed: dnspython, which wants idna.
_IMPORTED_LATE = ("dns", "idna")


def prepare() -> None:
    """What must be done before this process has an event loop, if it is to be hardened."""
    process.forbid_new_privileges()
    seccomp.forbid_rings()


def harden(
    *,
    removable: Iterable[str] = (),
    keep: Iterable[int] = (),
    signalled: Iterable[int] | None = (),
    files: bool = True,
) -> None:
    """Give up, for ever and for this whole process, what a running network does not need.

    `removable` are directories from which it will remove files, its own sockets; `keep` inherited
    descriptors that it needs besides 0 to 2; `signalled` the processes that it will signal besides
    itself (None: any). `files` is False for one that must look into other processes, to which
    Landlock is a bar: it may then read every file of its user.

    To be called after `prepare`, from the main thread while there is no other. What a kernel cannot
    do is left out; `seccomp.is_available` and `landlock.version` tell beforehand.
    """
    sys.dont_write_bytecode = True
    process.close_inherited(keep)
    process.forbid_core_dumps()
    if files:
        landlock.restrict(readable(), removable)
    process.drop_capabilities()
    seccomp.restrict(None if signalled is None else tuple(signalled))


def readable() -> Iterator[str]:
    """The files and directories that a hardened process reads."""
    yield from ("/etc", "/proc", *_RESOLV_CONF_FOLDERS, *_FILES)
    target = os.path.realpath(resolv_conf.PATH)
    folder = os.path.dirname(target)
    yield target if folder == "/" else folder
    yield os.path.dirname(os.__file__)
    # Some distributions keep what is compiled elsewhere.
    yield from (path for path in sys.path if path.endswith("lib-dynload"))
    yield os.path.dirname(os.path.dirname(__file__))
    for name in _IMPORTED_LATE:
        found = PathFinder.find_spec(name)
        if found is not None:
            yield from found.submodule_search_locations or ()
