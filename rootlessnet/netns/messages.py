"""What the processes of a guest say to each other, and the socket they say it on.

A message is one datagram of a SOCK_SEQPACKET socketpair: a kind, a number, a text, and descriptors
as ancillary data. What the number and the text mean depends on the kind and is said there. The end
of the stream is a message too: the peer is gone, however it ended.

Read: unix(7), seqpacket and SCM_RIGHTS.
"""

import os
import select
import socket
import struct
from enum import IntEnum, auto
from typing import NamedTuple

from rootlessnet.errors import CommandError, RootlessnetError

MESSAGE_MAX = 65536  # bytes; a text is a path, a sentence or a resolv.conf
DESCRIPTORS_MAX = 32
ANSWER_SECONDS_MAX = 30.0  # far beyond what a slow machine needs

IF_HARMLESS = "if harmless"  # only to a command that has made up its mind about the signal

_HEAD = struct.Struct("!Bi")
_INT = 4  # bytes of a descriptor


class Kind(IntEnum):
    """What a message is about, and who sends it."""

    # configurer -> parent
    INIT = auto()  # number: process id of the init; text: inode number of its user namespace
    TAP = auto()  # what `tap.Tap` makes of one; the descriptor
    INSIDE = auto()  # number: so many sockets come after these; text: first and last ephemeral port
    # parent -> init
    START = auto()  # execute the command
    SIGNAL = auto()  # number: the signal to send to the command; text: "" or IF_HARMLESS
    SOCKETS = auto()  # number: so many TCP sockets of the guest are wanted; text: of this family
    RESOLV_CONF = auto()  # text: what the host's says now
    # init -> parent
    MADE = auto()  # number: the family; as many descriptors as could be made
    STARTED = auto()  # the command was executed
    STOPPED = auto()  # number: the signal that stopped the command
    EXITED = auto()  # number: exit status, -n for a death by signal n
    # configurer or init -> parent
    FAILED = auto()  # number: exit status of the program; text: the line for the user
    REFUSED = auto()  # number: the errno with which the kernel refused a namespace
    # probe -> parent
    DONE = auto()


class Message(NamedTuple):
    """One datagram."""

    kind: Kind
    number: int = 0
    text: str = ""
    descriptors: tuple[int, ...] = ()

    def encode(self) -> bytes:
        """The bytes of the datagram; the descriptors travel beside them. A text too long is cut."""
        text = self.text.encode(errors="surrogateescape")[: MESSAGE_MAX - _HEAD.size]
        return _HEAD.pack(self.kind, self.number) + text

    @classmethod
    def decode(cls, data: bytes, descriptors: tuple[int, ...] = ()) -> "Message":
        """The inverse of `encode`."""
        kind, number = _HEAD.unpack_from(data)
        text = data[_HEAD.size :].decode(errors="surrogateescape")
        return cls(Kind(kind), number, text, descriptors)

    @classmethod
    def failed(cls, error: RootlessnetError) -> "Message":
        """`error` for the other side to raise."""
        return cls(Kind.FAILED, error.exit_status, str(error))

    def raise_if_failed(self) -> None:
        """Raise what the other side could not do; what the kernel refused it as an OSError."""
        if self.kind is Kind.FAILED and self.number == RootlessnetError.exit_status:
            raise RootlessnetError(self.text)
        if self.kind is Kind.FAILED:
            raise CommandError(self.text, self.number)
        if self.kind is Kind.REFUSED:
            raise OSError(self.number, os.strerror(self.number))


class Channel:
    """One end of a conversation between two processes."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    @classmethod
    def pair(cls) -> tuple["Channel", "Channel"]:
        """Two ends. Neither survives an exec."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ours), cls(theirs)

    def fileno(self) -> int:
        """Readable when a message, or the end, waits."""
        return self._socket.fileno()

    def send(self, message: Message) -> bool:
        """Send; False when nobody is there to hear it."""
        try:
            socket.send_fds(
                self._socket, [message.encode()], message.descriptors, socket.MSG_NOSIGNAL
            )
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def receive(self, timeout: float | None = None) -> Message | None:
        """The next message, or None when the other side is gone. Waits at most `timeout` seconds
        (None: for ever), then raises `TimeoutError`.
        """
        if not self.readable(timeout):
            raise TimeoutError
        try:
            # Not recv_fds, which drops the flag: programs would inherit the descriptors.
            data, ancillary, _, _ = self._socket.recvmsg(
                MESSAGE_MAX, socket.CMSG_LEN(DESCRIPTORS_MAX * _INT), socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionResetError:  # it ended without reading all that we sent
            return None
        descriptors = b"".join(
            rights[: len(rights) - len(rights) % _INT]
            for level, kind, rights in ancillary
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        )
        numbers = struct.unpack(f"={len(descriptors) // _INT}i", descriptors)
        return Message.decode(data, numbers) if data else None

    def expect(self, kind: Kind, peer: str) -> Message:
        """Wait for a message of `kind` from the process that `peer` describes.

        Raises the error that it met, or one that says that it ended or got stuck.
        """
        try:
            message = self.receive(ANSWER_SECONDS_MAX)
        except TimeoutError:
            raise RootlessnetError(
                f"{peer} made no progress for {ANSWER_SECONDS_MAX:.0f} seconds: try again"
            ) from None
        if message is None:
            raise RootlessnetError(f"{peer} ended too early: was it killed? Try again")
        message.raise_if_failed()
        assert message.kind is kind, message
        return message

    def readable(self, timeout: float | None = 0) -> bool:
        """Whether a message, or the end, waits; looks for `timeout` seconds (None: for ever)."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(None if timeout is None else timeout * 1000))

    def close(self) -> None:
        """Idempotent."""
        self._socket.close()
