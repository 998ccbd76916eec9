"""How to start each peer with a command inside: rootlessnet, slirp4netns, pasta and the bare host.

A `Peer` starts an `Instance`: the tool, with a published TCP port, and a command in its guest whose
stdin and stdout are ours. With all three tools the guest reaches the host's loopback through its
default gateway. An instance ends with the `ExitStack` that it was started in, and by itself when
the pipes to the benchmark close, so that nothing is left behind even when the benchmark is killed.

Read: slirp4netns(1), pasta(1) ("Handling of traffic with local destination and source addresses"),
unshare(1).
"""

import io
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.processes import PATIENCE, BenchError, Child, User, run_to_end, wait_readable

LOOPBACK, LOOPBACK_6 = "127.0.0.1", "::1"
GUEST_PORT = 5201  # inside a guest nobody else listens
ROOT = Path(__file__).resolve().parents[1]
NO_OPERATION = ("true",)
PACKAGE_VERSION = ("dpkg-query", "--show", "--showformat=${Package} ${Version}")


@dataclass(frozen=True, slots=True)
class Instance:
    """A command that runs in a guest, and the process of the tool, if there is one."""

    guest: Child
    tool: int | None


class Peer(Protocol):
    """Something to compare. The methods raise BenchError."""

    @property
    def name(self) -> str: ...

    @property
    def as_slirp4netns(self) -> tuple[str, ...] | None:
        """The words that start it with the command line of slirp4netns; None where none do."""
        ...

    @property
    def gateway_6(self) -> str | None:
        """Where its guest reaches the host's loopback by IPv6; None where that is not compared."""
        ...

    def version(self) -> str: ...

    def start(self, ending: ExitStack, argv: Sequence[str], mtu: int, port: int) -> Instance:
        """Start `argv` in a guest with `port` on the host's loopback published to GUEST_PORT."""
        ...

    def start_up(self) -> float:
        """Seconds from nothing to the end of `true` in a new guest."""
        ...


@dataclass(frozen=True, slots=True)
class Loopback:
    """The bare host, no guest at all. Its MTU is what lo has."""

    user: User
    name: str = "loopback"
    as_slirp4netns: tuple[str, ...] | None = None
    gateway_6: str | None = LOOPBACK_6

    def version(self) -> str:
        return f"Linux {os.uname().release}"

    def start(self, ending: ExitStack, argv: Sequence[str], mtu: int, port: int) -> Instance:
        return Instance(_child(ending, argv, self.user), tool=None)

    def start_up(self) -> float:
        return run_to_end(NO_OPERATION, self.user)


@dataclass(frozen=True, slots=True)
class Rootlessnet:
    """A version of rootlessnet, by the words that start it."""

    user: User
    name: str = "rootlessnet"
    launcher: tuple[str, ...] = ("env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "rootlessnet")
    gateway_6: str | None = "fd00::2"

    @property
    def as_slirp4netns(self) -> tuple[str, ...]:
        return (*self.launcher, "slirp4netns")

    def version(self) -> str:
        return first_line([*self.launcher, "--version"])

    def start(self, ending: ExitStack, argv: Sequence[str], mtu: int, port: int) -> Instance:
        options = ["--host-loopback", f"--mtu={mtu}", "-p", f"{LOOPBACK}:{port}:{GUEST_PORT}"]
        options += ["--ipv6", "--cidr6=fd00::/64"]
        child = _child(ending, [*self.launcher, "run", *options, "--", *argv], self.user)
        return Instance(child, child.pid)

    def start_up(self) -> float:
        return run_to_end([*self.launcher, "run", "--", *NO_OPERATION], self.user)


@dataclass(frozen=True, slots=True)
class Pasta:
    """pasta, with no automatic forwards. The guest's default gateway is a copy of the host's."""

    user: User
    name: str = "pasta"
    as_slirp4netns: tuple[str, ...] | None = None
    gateway_6: str | None = None

    def version(self) -> str:
        return first_line([*PACKAGE_VERSION, "passt"], ["pasta", "--version"])

    def start(self, ending: ExitStack, argv: Sequence[str], mtu: int, port: int) -> Instance:
        _require("pasta", "passt")
        published = f"{LOOPBACK}/{port}:{GUEST_PORT}"
        forwards = ["-t", published, "-u", "none", "-T", "none", "-U", "none"]
        options = ["--quiet", "--foreground", "--config-net", f"--mtu={mtu}", *forwards]
        child = _child(ending, ["pasta", *options, "--", *argv], self.user)
        return Instance(child, child.pid)

    def start_up(self) -> float:
        _require("pasta", "passt")
        return run_to_end(["pasta", "--config-net", "--", *NO_OPERATION], self.user)


@dataclass(frozen=True, slots=True)
class Slirp4netns:
    """slirp4netns on a namespace made by unshare; the command is executed once that is ready."""

    user: User
    name: str = "slirp4netns"
    as_slirp4netns: tuple[str, ...] | None = ("slirp4netns",)
    gateway_6: str | None = None

    def version(self) -> str:
        return first_line([*PACKAGE_VERSION, "slirp4netns"], ["slirp4netns", "--version"])

    def start(self, ending: ExitStack, argv: Sequence[str], mtu: int, port: int) -> Instance:
        with tempfile.TemporaryDirectory(prefix="bench-") as directory:  # for this call only
            self.user.give(directory)
            api_socket = f"{directory}/api"
            instance = self._start(ending, argv, [f"--mtu={mtu}", f"--api-socket={api_socket}"])
            _publish(api_socket, port)
        instance.guest.write_line("go")
        return instance

    def start_up(self) -> float:
        started = time.perf_counter()
        with ExitStack() as ending:
            guest = self._start(ending, NO_OPERATION, []).guest
            guest.write_line("go")
            guest.wait_for_success()
            return time.perf_counter() - started

    def _start(self, ending: ExitStack, argv: Sequence[str], options: Sequence[str]) -> Instance:
        """slirp4netns, ready, on a guest that executes `argv` once it is told to go."""
        _require("slirp4netns", "slirp4netns")
        unshare = ["unshare", "--user", "--map-root-user", "--net", "--"]
        wait_for_go = ["sh", "-c", 'echo unshared && read -r go && exec "$@"', "sh"]
        guest = _child(ending, [*unshare, *wait_for_go, *argv], self.user)
        guest.read_line()
        ready, says_ready = _pipe(ending)
        exits, keeps_running = _pipe(ending)
        fds = (says_ready.fileno(), exits.fileno())
        options = [f"--ready-fd={fds[0]}", f"--exit-fd={fds[1]}", *options]
        argv = ["slirp4netns", "--configure", *options, str(guest.pid), "tap0"]
        tool = _child(ending, argv, self.user, fds)
        ending.callback(keeps_running.close)
        says_ready.close()
        exits.close()
        if not wait_readable(ready, PATIENCE) or not ready.read(1):
            raise tool.failure("did not get ready")
        return Instance(guest, tool.pid)


def parse_launcher(text: str, user: User) -> Rootlessnet:
    """`NAME=COMMAND` or `COMMAND`: a version of rootlessnet to compare. Raises BenchError."""
    name, equals, command = text.partition("=")
    if not equals or not name.replace("-", "_").isidentifier():
        name, command = "rootlessnet", text
    try:
        launcher = tuple(shlex.split(command))
    except ValueError as error:
        raise BenchError(f"cannot read the command in {text!r}: {error}") from None
    if not launcher:
        raise BenchError(f"no command in {text!r}: write it like new='python3 -m rootlessnet'")
    return Rootlessnet(user, name, launcher)


def free_port() -> int:
    """A port of the host's loopback that nobody uses now."""
    with socket.create_server((LOOPBACK, 0)) as sock:
        port: int = sock.getsockname()[1]
    return port


def first_line(*commands: Sequence[str]) -> str:
    """What the first of `commands` that works says first."""
    for argv in commands:
        with suppress(OSError, subprocess.SubprocessError):
            said = subprocess.run(
                argv,
                check=True,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                stdin=subprocess.DEVNULL,
            ).stdout
            if said.strip():
                return said.splitlines()[0]
    return "unknown"


def _child(ending: ExitStack, argv: Sequence[str], user: User, fds: tuple[int, ...] = ()) -> Child:
    child = Child(argv, user, fds)
    ending.callback(child.close)
    return child


def _pipe(ending: ExitStack) -> tuple[io.FileIO, io.FileIO]:
    reader, writer = os.pipe()
    return (
        ending.enter_context(io.FileIO(reader, "r")),
        ending.enter_context(io.FileIO(writer, "w")),
    )


def _require(program: str, package: str) -> None:
    if shutil.which(program) is None:
        raise BenchError(f"{program} is not installed: apt-get install {package}")


def _publish(api_socket: str, host_port: int) -> None:
    request = {
        "execute": "add_hostfwd",
        "arguments": {
            "proto": "tcp",
            "host_addr": LOOPBACK,
            "host_port": host_port,
            "guest_port": GUEST_PORT,
        },
    }
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(api_socket)
            sock.sendall(json.dumps(request).encode())
            sock.shutdown(socket.SHUT_WR)
            answer = sock.recv(4096).decode()
    except OSError as error:
        raise BenchError(f"slirp4netns did not take a request: {error}") from None
    if "error" in answer:
        raise BenchError(f"slirp4netns did not publish port {host_port}: {answer}")
