"""The guest's own /proc, /etc/resolv.conf and state folder, in its own mount namespace.

A mount namespace that belongs to a new user namespace receives the host's mounts and hands none
back, so nothing that is done here is seen outside.

resolv.conf is a file of a tmpfs that nothing else refers to, mounted over whatever the host has:
over the file, or over the symlink itself, so it does not matter where that leads, if anywhere. When
the host replaces its file, the kernel detaches what was mounted over the old one;
`ResolvConfMount.restore` mounts it again. For that, a second mount of the file is always kept
ready, not yet part of the tree. Where the host has no resolv.conf at all there is nothing to mount
over, and an overlay adds one to /etc.

Read: mount_namespaces(7), open_tree(2), move_mount(2), mount(8) on overlay.
"""

import errno
import os
import time
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Address

from rootlessnet import resolv_conf
from rootlessnet.errors import RootlessnetError
from rootlessnet.netns import syscalls

MOUNT_TABLE = "/proc/self/mountinfo"

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


class ResolvConfMount:
    """The guest's resolv.conf: its nameserver is ours, all else it says is what the host's says."""

    def __init__(self, nameserver: IPv4Address, path: str = resolv_conf.PATH) -> None:
        """Mount it over `path`, before any other process lives in this mount namespace.

        Raises `RootlessnetError` when that is not possible.
        """
        self._nameserver = nameserver
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

    def _text(self) -> bytes:
        host = resolv_conf.read(self._path)
        return str(replace(host, nameservers=(self._nameserver,))).encode()

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
            text = self._text()  # of the target: if it was replaced meanwhile, mounting on it fails
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, text, 0)
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
        os.close(self._cover(text))
        layers = f"lowerdir={self._directory}:/proc/self/fd/{covered}"
        try:
            syscalls.mount("overlay", self._directory, "overlay", 0, layers)
        except OSError:
            syscalls.unmount(self._directory)
            raise
        finally:
            os.close(covered)

    def _is_mounted(self) -> bool:
        with open(f"/proc/self/fdinfo/{self._mounted}") as info, open(MOUNT_TABLE) as table:
            fields = info.read().split()
            mount_id = fields[fields.index("mnt_id:") + 1]
            return any(line.split()[0] == mount_id for line in table)
