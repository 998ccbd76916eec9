"""A unix socket that listens at a path of the user's choice.

What a killed process has left at the path is replaced, and what is there at the end is removed if
it is still ours. That works from within a sandbox too, where the path may lead elsewhere or
nowhere: the folder is kept open.

Read: unix(7), unlink(2) for unlinkat.
"""

import os
import socket
import stat
from contextlib import suppress

from rootlessnet.errors import RootlessnetError
from rootlessnet.words import quoted


class SocketFile:
    """Listens from now on. `listening` does not block."""

    def __init__(self, path: str, kind: socket.SocketKind, backlog: int) -> None:
        """Raises RootlessnetError when it cannot be made."""
        self.listening = socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK)
        self._folder = -1
        try:
            folder, self._name = os.path.split(path)
            self._folder = os.open(folder or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            self._make_room(path)
            self.listening.bind(path)
            self._identity = self._find()
            self.listening.listen(backlog)
        except OSError as error:
            self._close()
            raise RootlessnetError(
                f"cannot make the socket {quoted(path)} ({error.strerror}): "
                "name a file in a folder that is yours"
            ) from None
        except BaseException:
            self._close()
            raise

    @property
    def folder(self) -> str:
        """A path of its folder that is good in every root, as long as this is open."""
        return f"/proc/self/fd/{self._folder}"

    def close(self) -> None:
        """Remove it. Idempotent."""
        if self._folder < 0:
            return
        with suppress(OSError):
            if self._find() == self._identity:
                os.unlink(self._name, dir_fd=self._folder)
        self._close()

    def _close(self) -> None:
        self.listening.close()
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    def _make_room(self, path: str) -> None:
        with suppress(FileNotFoundError):
            status = os.lstat(path)
            if not stat.S_ISSOCK(status.st_mode):
                raise RootlessnetError(
                    f"{quoted(path)} is there already, and is no socket: name another file"
                )
            os.unlink(path)

    def _find(self) -> tuple[int, int]:
        status = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
        return status.st_dev, status.st_ino
