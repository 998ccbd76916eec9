"""The other end: finding the instances of this user, and asking them, with sockets that block.

An instance that is not there any more is no error: what it left is removed on the way. One that
does not answer in time has been stopped (SIGSTOP, Ctrl-Z), or is busier than it should be.

Read: `rootlessnet.control` for what is said.
"""

import errno
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from rootlessnet import limits
from rootlessnet.control import description
from rootlessnet.control.description import InstanceDescription
from rootlessnet.control.protocol import (
    ANSWER_SIZE,
    Info,
    Publish,
    Request,
    Stop,
    Withdraw,
    decode_answer,
    encode_request,
    not_understood,
)
from rootlessnet.control.state import Folder, peer_of
from rootlessnet.errors import RootlessnetError
from rootlessnet.words import number, quoted

PATIENCE = 10.0  # seconds for an answer
LISTING = 2.0  # seconds for those of all instances together, when they are only listed

_PIECE = 1 << 16


@limits.explained()
def instances() -> list[InstanceDescription]:
    """The running instances of this user, those of every program, in the order of their names.

    Waits for their answers, for some seconds where one is stopped: a program that has instances
    itself calls it in another thread than theirs. Raises RootlessnetError when the state folder
    cannot be used.
    """
    folder = Folder.find()
    if folder is None:
        return []
    found = []
    with _connected(folder, folder.names()) as lines:
        for line in lines:
            line.send(Info())
        deadline = time.monotonic() + LISTING
        for line in lines:
            with suppress(ConnectionError):  # it has ended meanwhile
                found.append(_describe(line, deadline))
    return found


def ports(identity: str) -> tuple[str, ...]:
    """The ports that an instance publishes, as `-p` takes them. Raises RootlessnetError."""
    with _found(identity) as line:
        return description.read(_ask(line, Info()), line.pid).ports


def publish(identity: str, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Have an instance publish all of these or none; those published. Raises RootlessnetError."""
    with _found(identity) as line:
        return description.texts(_ask(line, Publish(wanted)))


def withdraw(identity: str, unwanted: tuple[str, ...]) -> None:
    """Have an instance publish these no more, all or none. Raises RootlessnetError."""
    with _found(identity) as line:
        _ask(line, Withdraw(unwanted))


def stop(identity: str, seconds: float) -> None:
    """End an instance: SIGTERM for its command, SIGKILL after so many seconds. Returns at its end.
    Raises RootlessnetError.
    """
    with _found(identity) as line:
        _ask(line, Stop(seconds), seconds)


class _Line:
    """A connection to the instance `name`, whose process is `pid`."""

    def __init__(self, folder: Folder, name: str) -> None:
        """Raises ConnectionError when it does not run."""
        self.folder = folder
        self.name = name
        self.pid = 0
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE)
        self._connected = True
        try:
            self._socket.connect(folder.socket_path(name))
            self.pid, _ = peer_of(self._socket)
        except BlockingIOError:  # more wait for it already than can
            self._connected = False
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        self._socket.close()

    def send(self, request: Request) -> None:
        """An instance that is gone shows when it should answer."""
        if self._connected:
            with suppress(ConnectionError, TimeoutError):
                self._socket.sendall(encode_request(request))

    def receive(self, deadline: float) -> object:
        """The result. Raises RootlessnetError that is the answer, TimeoutError when it did not come
        in time, ConnectionError when it never will.
        """
        if not self._connected:
            raise TimeoutError
        received = bytearray()
        while not received.endswith(b"\n"):
            if len(received) > ANSWER_SIZE:
                raise not_understood()
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            piece = self._socket.recv(_PIECE)
            if not piece:
                raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
            received += piece
        return decode_answer(bytes(received))


def _ask(line: _Line, request: Request, seconds: float = 0) -> object:
    """The result of a request that takes the instance so many seconds by itself."""
    line.send(request)
    try:
        return line.receive(time.monotonic() + seconds + PATIENCE)
    except TimeoutError:
        raise _no_answer(line.name, line.pid) from None
    except ConnectionError:
        if isinstance(request, Stop) and not _runs(line.folder, line.name):
            return None
        raise RootlessnetError(
            f"instance {line.name} hung up: try again, or see with rootlessnet ps whether it runs"
        ) from None


def _describe(line: _Line, deadline: float) -> InstanceDescription:
    """Raises ConnectionError when it has ended."""
    try:
        return description.read(line.receive(deadline), line.pid)
    except (TimeoutError, RootlessnetError):
        return _silent(line.folder, line.name, line.pid)


def _silent(folder: Folder, name: str, pid: int) -> InstanceDescription:
    """What the socket alone tells. Raises ConnectionError when it has ended."""
    try:
        started = os.stat(folder.socket_path(name)).st_mtime
    except FileNotFoundError:
        raise ConnectionResetError from None
    return InstanceDescription(name, pid, started, answers=False)


@contextmanager
def _found(identity: str) -> Iterator[_Line]:
    """A line to the one instance that `identity` names: by its name, by the beginning of it, or by
    the id of its process. Raises RootlessnetError.
    """
    folder = Folder.find()
    names = folder.names() if folder is not None else []
    exact = [name for name in names if name == identity]
    process = number(identity)
    if not exact and process is None:
        names = [name for name in names if identity and name.startswith(identity)]
    with limits.explained(), _connected(folder, exact or names) as lines:
        if exact or process is None:
            named = lines
        else:
            named = [line for line in lines if line.pid == process != 0]
        if len(named) > 1:
            raise RootlessnetError(
                f"{quoted(identity)} stands for {', '.join(line.name for line in named)}: "
                "write the whole name of one"
            )
        if not named:
            raise RootlessnetError(
                f"no instance {quoted(identity)} runs: rootlessnet ps shows those that do"
            )
        yield named[0]


@contextmanager
def _connected(folder: Folder | None, names: list[str]) -> Iterator[list[_Line]]:
    """Lines to those of the instances that run. What others have left is removed."""
    lines = []
    with ExitStack() as ending:
        for name in names:
            assert folder is not None  # it has names
            try:
                line = _Line(folder, name)
            except (ConnectionError, FileNotFoundError):
                with suppress(OSError, RootlessnetError):
                    folder.remove_stale(name)
                continue
            ending.callback(line.close)
            lines.append(line)
        yield lines


def _runs(folder: Folder, name: str) -> bool:
    with _connected(folder, [name]) as lines:
        return bool(lines)


def _no_answer(name: str, pid: int) -> RootlessnetError:
    return RootlessnetError(
        f"instance {name} does not answer: if it is stopped, continue it with kill -CONT {pid}, "
        f"or end it with kill -KILL {pid}"
    )
