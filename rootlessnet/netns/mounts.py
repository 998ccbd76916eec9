"""The guest's own /proc, /etc/resolv.conf, /etc/hosts and state folder, in its own mount namespace.

A mount namespace that belongs to a new user namespace receives the host's mounts and hands none
back, so nothing that is done here is seen outside.

A file of the guest's is one of a tmpfs that nothing else refers to, mounted over whatever the host
has: over the file, or over the symlink itself, so it does not matter where that leads, if anywhere.
When the host replaces its file, the kernel detaches what was mounted over the old one;
`FileMount.restore` mounts it again. For that, a second mount of the file is always kept ready, not
yet part of the tree. Where the host has no such file at all there is nothing to mount over, and an
overlay adds one to its directory.

Read: mount_namespaces(7), open_tree(2), move_mount(2), mount(8) on overlay; hosts(5).
"""

import errno
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from rootlessnet import resolv_conf
from rootlessnet.errors import RootlessnetError
from rootlessnet.netns import syscalls
from rootlessnet.resolv_conf import ResolvConf
from rootlessnet.words import HostAddress

MOUNT_TABLE = "/proc/self/mountinfo"
HOSTS = "/etc/hosts"

_RESTORE_ATTEMPTS = 20
_RESTORE_SECONDS = 0.005  # before each


def mount_proc() -> None:
    """Show the PID namespace that this process is in. A container's masked /proc forbids it: it
    stays.
    """
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    with suppress(PermissionError):
        syscalls.mount("proc", "/proc", "proc", flags)


def hide(path: str) -> None:
    """Show an empty folder of the guest's own at `path`, if there is one."""
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    with suppress(OSError):  # missing, or not to be mounted on: then it is seen
        syscalls.mount("tmpfs", path, "tmpfs", flags, "mode=700")


class FileMount:
    """A file of the guest's own in the place of one of the host's."""

    def __init__(self, path: str, text: Callable[[], bytes]) -> None:
        """Mount it over `path`, before any other process lives in this mount namespace.

        `text` is asked what stands in it while the host's file can be seen. Raises
        `RootlessnetError` when that is not possible.
        """
        self._text = text
        self._path = path
        self._directory = os.path.dirname(path)
        self._mounted: int | None = None  # the mount that the guest sees, unless it is the overlay
        try:
            self._file = self._cover(b"")
            self._spare = syscalls.clone_mount(path)
            syscalls.unmount(self._directory)
            try:
                self._attach()
            except FileNotFoundError:
                self._overlay()
        except OSError as error:
            raise RootlessnetError(
                f"cannot give the guest its own {path} ({error.strerror}): "
                f"make {path} a plain file on the host"
            ) from None

    def restore(self) -> None:
        """Mount again if the kernel took our mount away; to be called when mounts changed."""
        if self._mounted is None or self._is_mounted():
            return
        os.close(self._mounted)
        self._mounted = None
        with suppress(OSError):  # without /etc, or memory, the guest must do without names
            for _ in range(_RESTORE_ATTEMPTS):
                # The host is about to replace the file: the old one cannot be mounted on any more,
                # the new one is not there yet.
                time.sleep(_RESTORE_SECONDS)
                with suppress(FileNotFoundError):
                    self._attach()
                    return
            self._overlay()

    def write(self, text: bytes) -> None:
        """Let another text stand in the file, which is never empty meanwhile. Raises OSError."""
        os.pwrite(self._file, text, 0)
        os.ftruncate(self._file, len(text))

    def _cover(self, text: bytes) -> int:
        """Hide /etc behind a tmpfs that has only our file; the descriptor of that file."""
        flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
        syscalls.mount("tmpfs", self._directory, "tmpfs", flags, "mode=755")
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        os.fchmod(file, 0o644)  # whatever the umask
        os.write(file, text)
        return file

    def _attach(self) -> None:
        """Mount the spare, with what the host says now, and make a new spare."""
        target = os.open(self._path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            # Of the target: if it was replaced meanwhile, mounting on it fails.
            self.write(self._text())
            self._attach_spare(target)
        finally:
            os.close(target)
        self._mounted, self._spare = self._spare, syscalls.clone_mount(self._path)

    def _attach_spare(self, target: int) -> None:
        try:
            syscalls.attach_mount(self._spare, target)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ELOOP):
                raise
            # A kernel that does not mount on a symlink: mount on what it leads to.
            followed = os.open(self._path, os.O_PATH | os.O_CLOEXEC)
            try:
                syscalls.attach_mount(self._spare, followed)
            finally:
                os.close(followed)

    def _overlay(self) -> None:
        """Show /etc, read-only, with our file added. User namespaces may since Linux 5.11."""
        text = self._text()
        covered = os.open(self._directory, os.O_PATH | os.O_CLOEXEC)
        added = self._cover(text)
        layers = f"lowerdir={self._directory}:/proc/self/fd/{covered}"
        try:
            syscalls.mount("overlay", self._directory, "overlay", 0, layers)
        except OSError:
            os.close(added)
            syscalls.unmount(self._directory)
            raise
        finally:
            os.close(covered)
        os.close(self._file)
        self._file = added

    def _is_mounted(self) -> bool:
        """Whether the guest sees our file: it was not taken away, and no overlay hides it."""
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._file))
        except OSError:
            return False


class GuestResolvConf:
    """The guest's resolv.conf: its nameserver is ours, all else it says is what the host's says.

    The host's cannot be seen from here any more once it is covered, so what it says later is told
    by `follow`. One that is missing or empty leaves what the one before has said.
    """

    def __init__(self, nameserver: HostAddress, path: str = resolv_conf.PATH) -> None:
        """Raises `RootlessnetError`, as `FileMount` does."""
        self._nameserver = nameserver
        self._path = path
        self._host = ResolvConf()
        self._mount = FileMount(path, self._read)

    def restore(self) -> None:
        """As `FileMount.restore`."""
        self._mount.restore()

    def follow(self, host: ResolvConf) -> None:
        """The host's says this now."""
        self._host = host
        with suppress(OSError):  # no memory is left: then the guest goes on with what it has
            self._mount.write(self._text())

    def _read(self) -> bytes:
        found = resolv_conf.read(self._path)
        if found != ResolvConf():
            self._host = found
        return self._text()

    def _text(self) -> bytes:
        return str(self._host._replace(nameservers=(self._nameserver,))).encode()


class GuestHosts:
    """The guest's hosts file: our names, and what the host's says."""

    def __init__(self, names: Mapping[str, Sequence[HostAddress]], path: str = HOSTS) -> None:
        """Raises `RootlessnetError`, as `FileMount` does.

        A host without such a file stays without: the names are known to the DNS address too.
        """
        self._path = path
        self._names = "".join(
            f"{address}\t{name}\n" for name, addresses in names.items() for address in addresses
        ).encode()
        self._mount = FileMount(path, self._text) if os.path.lexists(path) else None

    def restore(self) -> None:
        """As `FileMount.restore`."""
        if self._mount is not None:
            self._mount.restore()

    def _text(self) -> bytes:
        with suppress(OSError), open(self._path, "rb") as file:
            return self._names + file.read()
        return self._names
