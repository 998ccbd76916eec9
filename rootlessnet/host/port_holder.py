"""Who holds a port of this host, as far as /proc tells this user.

/proc/net lists the sockets of a protocol and a family, each with its local address, its owner and
its inode; the descriptors of a process, where this user may see them, are links to inodes. Of
another user's socket only the owner is known. A TCP socket that is bound but does not listen is
listed nowhere. All this takes milliseconds, and is read only when a port could not be had.

Read: proc(5), /proc/net/tcp and /proc/pid/fd; passwd(5); linux/net/tcp_states.h.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address

from rootlessnet.forward import Protocol
from rootlessnet.words import HostAddress, quoted

_PROC = "/proc"
_USERS = "/etc/passwd"
_LISTEN = "0A"  # what TCP_LISTEN is in /proc/net/tcp
_WORD = 8  # hexadecimal digits of 32 bits, which are in the order of this machine
_OVERFLOW_UID = 65534  # somebody whom this user namespace does not know


def holder(protocol: Protocol, address: str, port: int) -> str | None:
    """Who keeps others from binding this port of this address, in words; None if nobody knows."""
    with suppress(OSError):  # an unusual /proc tells nothing
        sockets = list(_sockets(protocol, ip_address(address), port))
        inodes = {f"socket:[{inode}]" for inode, _ in sockets}
        for pid in sorted(int(name) for name in os.listdir(_PROC) if name.isdigit()):
            if inodes and not inodes.isdisjoint(_descriptors(pid)):
                return f"{quoted(_name(pid))} (process {pid})"
        for _, owner in sockets:
            if owner not in (os.getuid(), _OVERFLOW_UID):
                return f"a program of user {_user(owner)}"
    return None


def _sockets(protocol: Protocol, address: HostAddress, port: int) -> Iterator[tuple[str, int]]:
    """The inodes and owners of the sockets in the way: those that listen, if any does."""
    found: list[tuple[str, int, bool]] = []
    for table in (protocol, f"{protocol}6"):
        with suppress(FileNotFoundError), open(f"{_PROC}/net/{table}", encoding="ascii") as lines:
            next(lines, None)  # the names of the columns
            for line in lines:
                _, local, _, state, _, _, _, uid, _, number, *_ = line.split()
                taken, _, digits = local.partition(":")
                if int(digits, 16) == port and _is_in_the_way(_address(taken), address):
                    found.append((number, int(uid), state == _LISTEN))
    some_listen = any(listens for _, _, listens in found)
    for inode, owner, listens in found:
        if listens == some_listen and inode != "0":  # 0: what is left of a closed connection
            yield inode, owner


def _is_in_the_way(taken: HostAddress, wanted: HostAddress) -> bool:
    if isinstance(taken, IPv6Address) and taken.ipv4_mapped is not None:
        taken = taken.ipv4_mapped
    if taken.version == wanted.version:
        return taken.is_unspecified or wanted.is_unspecified or int(taken) == int(wanted)
    # A socket on :: has IPv4 as well, unless it asked for IPv6 alone, which is not told.
    return taken.version == 6 and taken.is_unspecified


def _address(digits: str) -> HostAddress:
    words = (digits[i : i + _WORD] for i in range(0, len(digits), _WORD))
    packed = b"".join(int(word, 16).to_bytes(4, sys.byteorder) for word in words)
    return IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)


def _descriptors(pid: int) -> Iterator[str]:
    """What the descriptors of a process lead to; nothing if this user may not see it."""
    with suppress(OSError), os.scandir(f"{_PROC}/{pid}/fd") as entries:
        for entry in entries:
            with suppress(OSError):  # closed meanwhile
                yield os.readlink(entry.path)


def _name(pid: int) -> str:
    with open(f"{_PROC}/{pid}/comm", encoding="utf-8", errors="replace") as file:
        return file.read().removesuffix("\n")


def _user(uid: int) -> str:
    """Not by getpwuid(3): whom that asks may do what a hardened process may not."""
    with suppress(OSError), open(_USERS, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            name, _, number, *_ = f"{line}::".split(":")
            if number == str(uid):
                return quoted(name)
    return str(uid)  # without an entry, as containers have them
