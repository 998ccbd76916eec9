"""A file system with only what a running network needs, for the process that serves it.

In a mount namespace of its own the process gets a new root: a tmpfs that nobody can write to, with
what it reads mounted where it was, the folders of its own sockets, and the symlinks that lead to
them. Folders are mounted rather than files, so a file that is replaced shows. The old root is let
go of: no path leads back to it; a descriptor that was opened before does.

To make a mount namespace takes CAP_SYS_ADMIN. Who lacks it makes a user namespace too: not the
guest's, whose root may trace what is in there.

Read: mount_namespaces(7), pivot_root(2), open_tree(2), mount_setattr(2).
"""

import errno
import os
import stat
from collections.abc import Iterable, Iterator

from rootlessnet.netns import syscalls, user_namespace

_LONGEST_WAY = 1000  # steps, in case the symlinks lead in a circle
_PLACES = ("/tmp", "/mnt", "/run", "/proc")  # to build the root on; one of them is there


def enter(*, readable: Iterable[str], writable: Iterable[str] = ()) -> None:
    """Move this process, which has one thread, to a root that has those absolute paths alone.

    `readable` are read-only, which takes Linux 5.12, and `writable` as they were; those that do not
    exist are left out. It keeps its user and group id. Raises OSError.
    """
    _have_mount_namespace()
    readable, writable = tuple(readable), tuple(writable)
    links = dict(link for path in (*readable, *writable) for link in _links(path))
    syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_SLAVE)
    mounts = {path: syscalls.clone_mount(path, recursive=True) for path in _outermost(readable)}
    for mount in mounts.values():
        _make_read_only(mount)
    mounts |= {path: syscalls.clone_mount(path, recursive=True) for path in _outermost(writable)}
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    root = next(path for path in _PLACES if os.path.isdir(path))
    syscalls.mount("tmpfs", root, "tmpfs", flags, "mode=755")
    os.chdir(root)
    skeleton = os.open(".", os.O_PATH | os.O_CLOEXEC)
    for path, mount in sorted(mounts.items()):  # the outer before the inner
        _attach(mount, path.removeprefix("/"))
    for path, target in links.items():
        if not any(path.startswith(f"{mounted}/") for mounted in mounts):
            os.makedirs(os.path.dirname(path).removeprefix("/") or ".", exist_ok=True)
            os.symlink(target, path.removeprefix("/"))
    syscalls.pivot_root(".", ".")
    syscalls.unmount(".")
    os.chdir("/")
    _make_read_only(skeleton, recursive=False)
    os.close(skeleton)


def _have_mount_namespace() -> None:
    try:
        syscalls.unshare(syscalls.CLONE_NEWNS)
    except PermissionError:
        user_namespace.enter(syscalls.CLONE_NEWNS, map_user=True)


def _outermost(paths: Iterable[str]) -> Iterator[str]:
    """Those that exist and are not within another, which has them too; without symlinks."""
    last = "/"
    for path in sorted({os.path.realpath(path) for path in paths}, key=lambda one: one.split("/")):
        if os.path.exists(path) and not path.startswith(f"{last}/"):
            last = path
            yield path


def _links(path: str) -> Iterator[tuple[str, str]]:
    """The symlinks on the way that `path` names, each with what it says."""
    way, rest = "", path.split("/")
    for _ in range(_LONGEST_WAY):
        if not rest:
            return
        name, *rest = rest
        step = f"{way}/{name}"
        if name == "..":
            way = os.path.dirname(way)
        elif name in ("", "."):
            continue
        elif os.path.islink(step):
            target = os.readlink(step)
            yield step, target
            way, rest = "" if target.startswith("/") else way, [*target.split("/"), *rest]
        else:
            way = step


def _make_read_only(mount: int, *, recursive: bool = True) -> None:
    try:
        syscalls.make_read_only(mount, recursive=recursive)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise


def _attach(mount: int, path: str) -> None:
    """Mount at `path`, relative to the new root, and make it where it is missing."""
    if stat.S_ISDIR(os.fstat(mount).st_mode):
        os.makedirs(path, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC))
    target = os.open(path, os.O_PATH | os.O_CLOEXEC)
    syscalls.attach_mount(mount, target)
    os.close(target)
    os.close(mount)
