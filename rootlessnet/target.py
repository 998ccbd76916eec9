"""What can be attached to: a process or a file that has a network namespace, or what carries the
frames of a guest. Text to values.

Read: network_namespaces(7); unix(7) for SOCK_SEQPACKET and the length of paths.
"""

from dataclasses import dataclass

from rootlessnet.errors import UsageError
from rootlessnet.words import number, quoted, require, shortened

PROCESS_IDS = range(1, 2**31)
DESCRIPTORS = range(2**31)
SOCKET_PATH_SIZE = 107  # bytes: sun_path of sockaddr_un, less the null

_EMPTY = "the target is empty: name a process id or the path of a network namespace"


@dataclass(frozen=True, slots=True)
class TapDescriptor:
    """A TAP that is open already, by the number of its descriptor. Raises `UsageError`."""

    number: int

    def __post_init__(self) -> None:
        require("descriptor", self.number, int, "its number")
        check_descriptor("TAP", self.number)

    def __str__(self) -> str:
        return f"descriptor {self.number}"


@dataclass(frozen=True, slots=True)
class FrameSocket:
    """A SOCK_SEQPACKET socket to be made at `path`, to which the guest connects, a virtual machine
    for example: each message is a frame. Raises `UsageError`.
    """

    path: str

    def __post_init__(self) -> None:
        require("path", self.path, str, "a text")
        check_socket_path(self.path)

    def __str__(self) -> str:
        return self.path


Target = int | str | TapDescriptor | FrameSocket


def parse_target(text: str) -> int | str:
    """What to attach to: digits alone are a process id, anything else the path of a namespace."""
    if not text:
        raise UsageError(_EMPTY)
    if not (text.isascii() and text.isdigit()):
        return text
    process = number(text)
    if process is None or process not in PROCESS_IDS:
        raise UsageError(
            f"{quoted(text)} is not a process id: "
            f"a path to a file of that name is written ./{shortened(text)}"
        )
    return process


def check_target(target: Target) -> None:
    """Raise `UsageError` for an empty path, and a number that no process has."""
    if target == "":
        raise UsageError(_EMPTY)
    if isinstance(target, int) and target not in PROCESS_IDS:
        raise UsageError(f"{target} is not a process id: name a process that runs")


def check_descriptor(what: str, number: int) -> None:
    """Raise `UsageError` for a number that no descriptor has; `what` it is for."""
    if number not in DESCRIPTORS:
        raise UsageError(f"{what} descriptor {number} is none: give the number of one that is open")


def check_socket_path(path: str) -> None:
    """Raise `UsageError` for a path that no unix socket can have."""
    try:
        size = len(path.encode(errors="surrogateescape"))
    except UnicodeEncodeError:
        size = 0
    if not size or "\0" in path:
        raise UsageError(f"{quoted(path)} is no path for a socket: name a file to be made")
    if size > SOCKET_PATH_SIZE:
        raise UsageError(
            f"the path of the socket {quoted(path)} has {size} bytes, {SOCKET_PATH_SIZE} are "
            "possible: take a shorter one"
        )
