"""A guest without a namespace to enter: somebody has opened its TAP, or it connects to a socket.

Read: tun(4) and <linux/if_tun.h> for what a TAP's descriptor tells of itself, netdevice(7).
"""

import fcntl
import os
import socket
import struct

from rootlessnet.errors import RootlessnetError
from rootlessnet.netns.tap import FrameListener, Link, Tap
from rootlessnet.socket_file import SocketFile
from rootlessnet.target import FrameSocket, TapDescriptor
from rootlessnet.wire import vnet

_TUNGETIFF, _TUNSETVNETHDRSZ = 0x800454D2, 0x400454D8
_SIOCGIFHWADDR = 0x8927
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
_FLAGS = struct.Struct("16xH22x")  # of struct ifreq
_MAC = struct.Struct("16x2x6s16x")
_INT = struct.Struct("i")


class Given:
    """The guest's link, as an `Attachment` has it."""

    def __init__(self, target: TapDescriptor | FrameSocket) -> None:
        """Raises RootlessnetError for a descriptor that is no TAP's, or a socket that cannot be."""
        self._file: SocketFile | None = None
        self._link: Link
        if isinstance(target, FrameSocket):
            self._file = SocketFile(target.path, socket.SOCK_SEQPACKET, 1)
            self._link = FrameListener(self._file.listening.detach())
        else:
            self._link = _open_tap(target)

    def receive_link(self) -> Link:
        """It is there already."""
        return self._link

    def fileno(self) -> int:
        """-1: its end shows on the link."""
        return -1

    def gone(self) -> bool:
        """False, for the same reason."""
        return False

    @property
    def folders(self) -> tuple[str, ...]:
        """Where it will remove a socket."""
        return () if self._file is None else (self._file.folder,)

    def close(self) -> None:
        """Idempotent. The link is its receiver's to close."""
        if self._file is not None:
            self._file.close()


def _open_tap(target: TapDescriptor) -> Tap:
    """A duplicate of the descriptor: the caller's own is not ours to close."""
    try:
        flags = _ask(_FLAGS, target.number, _TUNGETIFF)
        mac = _ask(_MAC, target.number, _SIOCGIFHWADDR)
        assert isinstance(flags, int)
        assert isinstance(mac, bytes)
        if not flags & _IFF_TAP or not flags & _IFF_NO_PI:
            raise RootlessnetError(
                f"{target} carries no plain Ethernet frames: open it with IFF_TAP and IFF_NO_PI"
            )
        has_vnet = bool(flags & _IFF_VNET_HDR)
        if has_vnet:
            fcntl.ioctl(target.number, _TUNSETVNETHDRSZ, _INT.pack(vnet.SIZE))
        return Tap(os.dup(target.number), mac, has_vnet)
    except OSError as error:
        raise RootlessnetError(
            f"{target} is not a TAP's ({error.strerror}): "
            "open /dev/net/tun, name the interface by TUNSETIFF, and have the program inherit it"
        ) from None


def _ask(answer: struct.Struct, descriptor: int, request: int) -> object:
    """The one field of the struct ifreq with which the kernel answers. Raises OSError."""
    (field,) = answer.unpack(fcntl.ioctl(descriptor, request, bytes(answer.size)))
    return field
