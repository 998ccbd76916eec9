"""A machine of the tests' own, on which container engines run as an ordinary user.

It is one of each kind of namespace, made by the tester without any right but a range of subordinate
ids. Its user has the tester's id, no capability, and subordinate ids of that range; newuidmap(1)
and newgidmap(1) are setuid in there as they are on any machine. /run, the user's home directory
and with it all images are tmpfs, /sys/fs/cgroup is version 2 whatever the host has, and the network
is as in tests/e2e/outside.py, with some addresses more.

The first process ends when its input does. The kernel ends all others with it, those too that
engines leave behind on purpose, and takes the mounts away: whatever a test forgets, nothing of it
reaches the host.

Read: user_namespaces(7), pid_namespaces(7), subuid(5), unshare(1), nsenter(1).
"""

import os
import pwd
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import PATIENCE, Program
from tests.e2e.outside import ADDRESS, ADDRESS_6, OTHER_ADDRESS
from tests.e2e.processes import child_of

OTHER_ADDRESS_6 = "2001:db8::2"
NAMESERVER = "192.0.2.53"
INTERFACE = "up0"  # has addresses of its own
INTERFACE_ADDRESS, INTERFACE_ADDRESS_6 = "192.0.2.129", "2001:db8:1::1"

_USER = pwd.getpwuid(os.getuid())
# Ids of the machine, which has those from 0 to 65535 at least, for its user to give away.
_SUBORDINATE = (_USER.pw_uid + 1, 40_000) if _USER.pw_uid < 20_000 else (1, 19_000)
HOME = "/mnt/home"
_RUNTIME = f"/run/user/{_USER.pw_uid}"
_OWNER = f"-o {_USER.pw_uid} -g {_USER.pw_gid}"
_SETUP = f"""
mount --make-rshared /
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /mnt
install -d -m 700 {_OWNER} {HOME} {_RUNTIME}
for program in newuidmap newgidmap; do
    path=$(command -v $program)
    install -m 4755 $path /mnt/$program
    mount --bind /mnt/$program $path
done
echo {_USER.pw_name}:{_SUBORDINATE[0]}:{_SUBORDINATE[1]} > /mnt/subid
mount --bind /mnt/subid /etc/subuid
mount --bind /mnt/subid /etc/subgid
echo nameserver {NAMESERVER} > /mnt/resolv.conf
mount --bind /mnt/resolv.conf /etc/resolv.conf
echo 53 > /proc/sys/net/ipv4/ip_unprivileged_port_start
echo {_USER.pw_gid} {_USER.pw_gid} > /proc/sys/net/ipv4/ping_group_range
ip link set lo up
ip link add {INTERFACE} type bridge
ip link set {INTERFACE} up
for address in {ADDRESS} {OTHER_ADDRESS} {NAMESERVER}; do
    ip address add $address/32 dev lo
done
for address in {ADDRESS_6} {OTHER_ADDRESS_6}; do
    ip -6 address add $address/128 dev lo nodad
done
ip address add {INTERFACE_ADDRESS}/32 dev {INTERFACE}
ip -6 address add {INTERFACE_ADDRESS_6}/128 dev {INTERFACE} nodad
echo ready
exec catatonit cat
"""
_NAMESPACES = ("--user", "--mount", "--net", "--pid", "--ipc", "--uts", "--cgroup")
# The first range of /etc/subuid as the ids from 0 on, but for the user's own.
_IDS = ("--map-current-user", "--map-auto", "--setuid=0", "--setgid=0")
_LIFE = ("--fork", "--mount-proc")
_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


class Machine:
    """A machine; `make_machine` makes one."""

    def __init__(self, first: int) -> None:
        """By the id of its first process."""
        namespaces = (*_NAMESPACES, "--preserve-credentials")
        self._enter = (
            "nsenter",
            f"--target={first}",
            *namespaces,
            "--",
            "env",
            "--ignore-environment",
        )

    def program(
        self, *words: str, path: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> Program:
        """A program that its user runs, with the programs of the directory `path` before others."""
        variables = {
            "HOME": HOME,
            "LANG": "C.UTF-8",
            "PATH": _PATH if path is None else f"{path}:{_PATH}",
            "USER": _USER.pw_name,
            "XDG_RUNTIME_DIR": _RUNTIME,
        } | dict(environment or {})
        settings = (f"{name}={value}" for name, value in variables.items())
        # It ends with nsenter, which does not pass signals on.
        return Program(*self._enter, *settings, "setpriv", "--pdeathsig=KILL", "--", *words)


@contextmanager
def make_machine() -> Iterator[Machine]:
    """A machine, switched off at the end of the block. Skips where the tester cannot make one."""
    words = ["unshare", *_NAMESPACES, *_IDS, *_LIFE, "sh", "-euc", _SETUP]
    with subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stderr is not None
        if holder.stdout.readline() != "ready\n":
            pytest.skip(f"no machine of our own to be had: {holder.stderr.read()}")
        first = child_of(holder.pid)
        try:
            yield Machine(first)
        finally:
            holder.stdin.close()
            try:
                holder.wait(PATIENCE)  # the end comes once every process in there has ended
            except subprocess.TimeoutExpired:
                os.kill(first, signal.SIGKILL)
                raise
