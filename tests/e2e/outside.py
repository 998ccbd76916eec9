"""A host of the test's own, where addresses beyond the loopback exist that are nobody else's.

It is a user, a network and a mount namespace, held by one process; programs are started in it by
nsenter(1). They are as unprivileged there as the tester is, for they keep the tester's user id and
no capability. Its only interface is lo, with some documentation addresses (RFC 5737, RFC 3849): any
other address has no route. Ping sockets are open to everybody, as on ordinary distributions.

Read: user_namespaces(7), unshare(1), nsenter(1).
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.addresses import IPV4, IPV6
from tests.e2e.conftest import ROOT, ROOTLESSNET, Program

ADDRESS, OTHER_ADDRESS, NO_ROUTE = IPV4.address, IPV4.other_address, IPV4.no_route
ADDRESS_6 = IPV6.address

_GROUP = os.getgid()  # the only one that the namespace knows
_SETUP = f"""
ip link set lo up
ip address add {ADDRESS}/32 dev lo
ip address add {OTHER_ADDRESS}/32 dev lo
ip -6 address add {ADDRESS_6}/128 dev lo nodad
ip -6 address add {IPV6.other_address}/128 dev lo nodad
"""
_OPEN_PING_SOCKETS = f"echo {_GROUP} {_GROUP} > /proc/sys/net/ipv4/ping_group_range\n"
_KEEP = """
echo ready
exec cat
"""


class Outside:
    """A host; `make_outside` makes one."""

    def __init__(self, pid: int, network: str = "") -> None:
        self._pid = pid
        options = ("--preserve-credentials", "--user", "--mount", f"--net{network}")
        self._enter = ("nsenter", f"--target={pid}", *options)

    def beyond(self, name: str) -> "Outside":
        """Another host, whose network namespace was bound to the file `name` there."""
        return Outside(self._pid, f"=/proc/{self._pid}/root{name}")

    def program(self, *words: str) -> Program:
        """A program that runs there; its directory is the root."""
        return Program(*self._enter, *words)

    @property
    def rootlessnet(self) -> Program:
        return self.program(*ROOTLESSNET)


@contextmanager
def make_outside(prepare: str = "", *, ping_sockets: bool = True) -> Iterator[Outside]:
    """A host, where the shell has run `prepare` with every capability."""
    setup = _SETUP + (_OPEN_PING_SOCKETS if ping_sockets else "") + prepare + _KEEP
    options = ("--user", "--map-current-user", "--keep-caps", "--net", "--mount")
    with subprocess.Popen(
        ["unshare", *options, "sh", "-euc", setup],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stderr is not None
            if holder.stdout.readline() != "ready\n":
                pytest.skip(f"no namespaces to be had: {holder.stderr.read()}")
            yield Outside(holder.pid)
        finally:
            holder.kill()


def peer(name: str, *arguments: object) -> tuple[str, ...]:
    """The command line of one of the programs in peers/."""
    program = ROOT / "tests" / "e2e" / "peers" / f"{name}.py"
    return (sys.executable, str(program), *map(str, arguments))
