"""The state folder of a user: one socket for each running instance, `NAME.sock`.

Where it is, anybody may have been first: so it is used only when it is a folder, ours, and closed
to others. A socket whose process was killed stays behind; connecting to it is refused then, for a
socket is bound and listens within one hold of the folder's lock, and what is stale is removed
within one. Nobody holds the lock for longer than it takes to do so.

Read: unix(7), flock(2), open(2) for O_NOFOLLOW.
"""

import fcntl
import os
import socket
import stat
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rootlessnet import limits
from rootlessnet.errors import RootlessnetError
from rootlessnet.state_folder import ANYBODYS, folder_path
from rootlessnet.target import SOCKET_PATH_SIZE
from rootlessnet.words import quoted

_SUFFIX = ".sock"
_BACKLOG = 128
_ID_LETTERS = "bcdfghjkmnpqrstvwxz"  # no words, no look-alikes, and never a process id
_ID_LENGTH = 6
_CREDENTIALS = struct.Struct("=iII")  # struct ucred: process, user and group id
_PATIENCE = 2.0  # seconds for the lock, which is held for microseconds
_LOOK = 0.001  # seconds between two tries
_REMOVED_MOST = 8  # stale sockets by each who begins: all of them might take long


class Folder:
    """The state folder, which exists and is ours alone. `make` and `find` give one."""

    def __init__(self, path: str) -> None:
        """Raises RootlessnetError when it is not as it should be, FileNotFoundError for none."""
        self.path = path
        descriptor = self._open()
        try:
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        if status.st_uid != os.geteuid():
            raise RootlessnetError(
                f"the state folder {quoted(path)} is another user's: remove it, "
                "or set XDG_RUNTIME_DIR to a folder of yours"
            )
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise RootlessnetError(
                f"the state folder {quoted(path)} is open to other users: chmod 0700 it"
            )

    @classmethod
    def make(cls) -> "Folder":
        """Make it where it is missing. Raises RootlessnetError."""
        path = folder_path()
        parent = os.path.dirname(path)
        try:
            # Such a variable comes from sudo -E: what we made there would be in its owner's way.
            if parent != ANYBODYS and os.stat(parent).st_uid != os.geteuid():
                raise RootlessnetError(
                    f"the runtime directory {quoted(parent)} is another user's: unset "
                    "XDG_RUNTIME_DIR, or set it to a folder of yours"
                )
            with suppress(FileExistsError):
                os.mkdir(path, 0o700)
            return cls(path)
        except OSError as error:
            raise _unusable(path, error) from None

    @classmethod
    def find(cls) -> "Folder | None":
        """None when there is none, so no instance either. Raises RootlessnetError."""
        path = folder_path()
        try:
            return cls(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(path, error) from None

    def names(self) -> list[str]:
        """The names that have a socket, whose instance may have been killed; in order."""
        with suppress(FileNotFoundError):
            entries = os.listdir(self.path)
            return sorted(one.removesuffix(_SUFFIX) for one in entries if one.endswith(_SUFFIX))
        return []

    def socket_path(self, name: str) -> str:
        return os.path.join(self.path, name + _SUFFIX)

    def remove_stale(self, name: str) -> None:
        """Remove the socket of an instance that was killed."""
        with suppress(FileNotFoundError), self.locked():
            if is_stale(self.socket_path(name)):
                os.unlink(self.socket_path(name))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else binds or removes a socket in the block. Raises RootlessnetError, OSError."""
        descriptor = self._open()
        try:
            deadline = time.monotonic() + _PATIENCE
            while not _lock(descriptor):
                if time.monotonic() > deadline:
                    raise RootlessnetError(
                        f"the state folder {quoted(self.path)} stays locked: "
                        f"end the process that fuser {quoted(self.path)} names"
                    )
                time.sleep(_LOOK)
            try:
                yield
            finally:  # a fork of another thread's may have copied the descriptor
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        return os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


class Claim:
    """A name that no other running instance of this user has, and its socket, which listens."""

    def __init__(self, folder: Folder, name: str) -> None:
        """Raises RootlessnetError when an instance of that name runs, or OSError."""
        self.name = name
        self.listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._folder = folder
        self._path = folder.socket_path(name)
        try:
            if (size := len(os.fsencode(self._path))) > SOCKET_PATH_SIZE:
                raise RootlessnetError(
                    f"the path of the control socket {quoted(self._path)} has {size} bytes, "
                    f"{SOCKET_PATH_SIZE} are possible: take a shorter name, "
                    "or set XDG_RUNTIME_DIR to a folder with a shorter path"
                )
            with folder.locked():
                if os.path.lexists(self._path):
                    self._replace_stale()
                self.listening.bind(self._path)
                self._identity = _identity(self._path)
                os.chmod(self._path, 0o600)
                self.listening.listen(_BACKLOG)
        except BaseException:
            self.listening.close()
            raise

    @property
    def folder(self) -> str:
        """The path of the folder that has the socket."""
        return self._folder.path

    def is_reachable(self) -> bool:
        """Whether the socket is where clients look for it."""
        try:
            return _identity(self._path) == self._identity
        except OSError:
            return False

    def release(self) -> None:
        """Give the name up. Idempotent."""
        if self.listening.fileno() < 0:
            return
        # First the path: a socket that is closed is one that anybody may replace.
        with suppress(OSError, RootlessnetError), self._folder.locked():
            if _identity(self._path) == self._identity:
                os.unlink(self._path)
        self.listening.close()

    def _replace_stale(self) -> None:
        if not is_stale(self._path):
            raise RootlessnetError(
                f"an instance named {quoted(self.name)} runs already: choose another --name, "
                f"or end it with rootlessnet stop {self.name}"
            )
        os.unlink(self._path)


def claim(name: str | None) -> Claim | None:
    """Have the name, or without one a random one. Raises RootlessnetError for a name that can't be
    had; nobody asked for a random one: there is none then, and nobody can find the instance.
    """
    try:
        folder = Folder.make()
        if name is None:
            _remove_some_stale(folder)
        return Claim(folder, name if name is not None else _random_name(folder))
    except RootlessnetError:
        if name is not None:
            raise
    except OSError as error:
        if name is not None:
            raise _unusable(folder_path(), error) from None
    return None


def is_stale(path: str) -> bool:
    """Whether nobody listens on the socket at `path`. True is certain within the folder's lock."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return True
        except OSError:  # too many wait already: somebody is there
            return False
    return False


def peer_of(connection: socket.socket) -> tuple[int, int]:
    """The process and user id at the other end, as of connect(2) or listen(2).

    The process is 0 when this PID namespace does not have it.
    """
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    process, user, _ = _CREDENTIALS.unpack(data)
    return process, user


def _remove_some_stale(folder: Folder) -> None:
    """Who has no name for its instances kills many and lists none, as container engines do: each
    that begins removes what a few have left.
    """
    names = folder.names()
    first = int.from_bytes(os.urandom(2)) % max(len(names), 1)
    for name in (names[first:] + names[:first])[:_REMOVED_MOST]:
        if is_stale(folder.socket_path(name)):
            folder.remove_stale(name)


def _random_name(folder: Folder) -> str:
    while True:
        name = "".join(_ID_LETTERS[byte % len(_ID_LETTERS)] for byte in os.urandom(_ID_LENGTH))
        if not os.path.lexists(folder.socket_path(name)):
            return name


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _identity(path: str) -> tuple[int, int]:
    status = os.lstat(path)
    return status.st_dev, status.st_ino


def _unusable(path: str, error: OSError) -> RootlessnetError:
    if error.errno in limits.DESCRIPTORS_USED_UP:
        return limits.explain(error)
    return RootlessnetError(
        f"cannot use the state folder {quoted(path)} ({error.strerror}): "
        "set XDG_RUNTIME_DIR to a folder that is yours"
    )
