"""How each tool is started with a command inside: rootlessnet, slirp4netns, pasta and RootlessKit.

A `Tool` runs on the host that stands for the internet (tests/e2e/outside.py). Its guest has the
addresses of slirp4netns, 10.0.2.0/24, an MTU of 65520, and port 5000 published as 8080 where a test
asks for that. What a tool has no words for is `Inexpressible`; it says so itself where it can be
asked. Every tool is the leader of a session, in which nobody outlives it.

slirp4netns gives a network to a namespace and starts nothing: unshare(1) does. RootlessKit starts a
command and publishes ports, and gets its network from slirp4netns.

Read: slirp4netns(1), pasta(1), rootlesskit --help, nsenter(1).
"""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from tests.e2e.addresses import bracketed
from tests.e2e.conftest import PATIENCE, ROOTLESSNET, wait_for
from tests.e2e.outside import Outside
from tests.e2e.processes import line_of, tell

HOST_PORT, GUEST_PORT = 8080, 5000
GUEST, GATEWAY, DNS = "10.0.2.100", "10.0.2.2", "10.0.2.3"
MTU = "65520"

# Setuid programs have no effect in `outside`; these stand in for those of RootlessKit.
ID_MAPPERS = Path(__file__).parent / "id_mappers"


class Inexpressible(Exception):
    """There are no words for that in a tool's language: why."""


@dataclass(frozen=True, slots=True)
class Forward:
    """A published port, HOST_PORT for GUEST_PORT."""

    protocol: str
    host_address: str = "0.0.0.0"

    @property
    def is_ipv6(self) -> bool:
        return ":" in self.host_address


@dataclass(frozen=True, slots=True)
class Guest:
    """What is asked of a tool: a command, with ports published.

    `shut_loopback` says that the host's loopback shall be out of reach, where it is not.
    """

    command: Sequence[str]
    forwards: Sequence[Forward] = ()
    shut_loopback: bool = False


class Tool(Protocol):
    """A way to a guest with a network."""

    @property
    def name(self) -> str: ...

    @property
    def package(self) -> str:
        """The Debian package that has it; empty for what is tested in its own tree."""
        ...

    @property
    def program(self) -> str: ...

    def started(
        self, outside: Outside, guest: Guest
    ) -> AbstractContextManager["subprocess.Popen[str]"]:
        """While the command runs in a guest, which begins when all forwards are there.

        The process has the pipes of the command.
        """
        ...


class Rootlessnet:
    name = "rootlessnet"
    package = ""
    program = ROOTLESSNET[0]

    @contextmanager
    def started(self, outside: Outside, guest: Guest) -> Iterator["subprocess.Popen[str]"]:
        options = ["--mtu", MTU]
        for forward in guest.forwards:
            ports = f"{HOST_PORT}:{GUEST_PORT}/{forward.protocol}"
            options += ["-p", f"{bracketed(forward.host_address)}:{ports}"]
        with running(outside, *ROOTLESSNET, "run", *options, "--", *guest.command) as process:
            yield process


class Slirp4netns:
    name = "slirp4netns"
    package = "slirp4netns"
    program = "slirp4netns"

    @contextmanager
    def started(self, outside: Outside, guest: Guest) -> Iterator["subprocess.Popen[str]"]:
        unshare = ("unshare", "--user", "--map-root-user", "--net", "--")
        wait = ("sh", "-c", 'echo unshared && read -r go && exec "$@"', "sh")
        with (
            running(outside, *unshare, *wait, *guest.command) as process,
            tempfile.TemporaryDirectory(prefix="slirp4netns-") as directory,
        ):
            assert line_of(process) == "unshared"
            api_socket = f"{directory}/api"
            options = ["--configure", f"--mtu={MTU}", f"--api-socket={api_socket}"]
            if guest.shut_loopback:
                options.append("--disable-host-loopback")
            with self._attached(outside, options, process.pid):
                for forward in guest.forwards:
                    self._publish(api_socket, forward)
                tell(process)
                yield process

    @contextmanager
    def _attached(self, outside: Outside, options: Sequence[str], pid: int) -> Iterator[None]:
        """While it serves the namespace of a process, from when it is ready."""
        ready, says_ready = (io.FileIO(fd, mode) for fd, mode in zip(os.pipe(), "rw", strict=True))
        with ready, says_ready:
            words = ("slirp4netns", f"--ready-fd={says_ready.fileno()}", *options, str(pid), "tap0")
            with running(outside, *words, fds=(says_ready.fileno(),)) as process:
                says_ready.close()
                if ready.read(1) != b"1":
                    pytest.fail(f"slirp4netns did not get ready: {process.communicate()[1]}")
                yield

    def _publish(self, api_socket: str, forward: Forward) -> None:
        arguments = {
            "proto": forward.protocol,
            "host_addr": forward.host_address,
            "host_port": HOST_PORT,
            "guest_port": GUEST_PORT,
        }
        request = {"execute": "add_hostfwd", "arguments": arguments}
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(api_socket)
            connection.sendall(json.dumps(request).encode())
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(4096).decode()
        if "error" in answer:
            raise Inexpressible(answer)


class Pasta:
    """With no forwards but those asked for; it makes some by itself otherwise."""

    name = "pasta"
    package = "passt"
    program = "pasta"

    @contextmanager
    def started(self, outside: Outside, guest: Guest) -> Iterator["subprocess.Popen[str]"]:
        addresses = ["-a", GUEST, "-n", "24", "-g", GATEWAY, "--dns-forward", DNS]
        published = {"tcp": ["-t", "none"], "udp": ["-u", "none"]}
        for forward in guest.forwards:
            value = f"{forward.host_address}/{HOST_PORT}:{GUEST_PORT}"
            published[forward.protocol][1] = value
        options = [*addresses, *published["tcp"], *published["udp"], "-T", "none", "-U", "none"]
        if guest.shut_loopback:
            options.append("--no-map-gw")
        words = ("pasta", "--quiet", "--foreground", "--config-net", "--mtu", MTU, *options)
        with running(outside, *words, "--", *guest.command) as process:
            yield process


class RootlessKit:
    name = "RootlessKit"
    package = "rootlesskit"
    program = "rootlesskit"

    @contextmanager
    def started(self, outside: Outside, guest: Guest) -> Iterator["subprocess.Popen[str]"]:
        with tempfile.TemporaryDirectory(prefix="rootlesskit-") as directory:
            state = f"{directory}/state"  # which it removes itself
            options = ["--net=slirp4netns", "--port-driver=builtin", "--copy-up=/etc"]
            options += [f"--state-dir={state}", f"--mtu={MTU}"]
            for forward in guest.forwards:
                family = "6" if forward.is_ipv6 else ""
                ports = f"{HOST_PORT}:{GUEST_PORT}/{forward.protocol}{family}"
                options.append(f"--publish={bracketed(forward.host_address)}:{ports}")
            if guest.shut_loopback:
                options.append("--disable-host-loopback")
            path = f"PATH={ID_MAPPERS}:{os.environ['PATH']}"
            wait = ("sh", "-c", 'read -r go && exec "$@"', "sh")
            words = ("env", path, "rootlesskit", *options, *wait, *guest.command)
            with running(outside, *words) as process:
                wait_for(lambda: self._count(state) == len(guest.forwards), "RootlessKit's ports")
                tell(process)
                yield process

    def _count(self, state: str) -> int | None:
        """How many ports are published, once one may ask."""
        with socket.socket(socket.AF_UNIX) as connection, suppress(OSError):
            connection.settimeout(PATIENCE)
            connection.connect(f"{state}/api.sock")
            connection.sendall(b"GET /v1/ports HTTP/1.0\r\n\r\n")
            with connection.makefile("rb") as answer:
                body = answer.read().partition(b"\r\n\r\n")[2]
            return body.count(b'"id"')
        return None


_ALL: tuple[Tool, ...] = (Rootlessnet(), Slirp4netns(), Pasta(), RootlessKit())
TOOLS = {tool.name: tool for tool in _ALL}


@contextmanager
def running(
    outside: Outside, *words: str, fds: Sequence[int] = ()
) -> Iterator["subprocess.Popen[str]"]:
    """While a program runs on a host, in a session of its own that the end of the block ends."""
    with subprocess.Popen(
        outside.program(*words).words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        pass_fds=fds,
    ) as process:
        try:
            yield process
        finally:
            for number in (signal.SIGTERM, signal.SIGKILL):
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(1)
            process.communicate(timeout=PATIENCE)


def installed_version(tool: Tool) -> str:
    """That of the Debian package; empty where there is none."""
    if not tool.package or shutil.which("dpkg-query") is None:
        return ""
    query = ["dpkg-query", "--show", "--showformat=${Version}", tool.package]
    return subprocess.run(query, capture_output=True, text=True, check=False).stdout
