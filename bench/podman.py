"""Podman with a peer in the place of slirp4netns: how soon a container has run, what it downloads.

An engine has a home of its own in a temporary directory of the user's, with containers of one root
file system, whose only program is busybox. The engine leaves a process behind that holds its
namespaces; the end of the block ends that.

Read: containers.conf(5), podman-run(1), podman-system-migrate(1).
"""

import io
import os
import shlex
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.processes import PATIENCE, BenchError, Child, User, run_to_end

PROGRAM = "podman"
DOWNLOAD = 500_000_000  # bytes
GATEWAY = "10.0.2.2"  # where a container reaches the host's loopback

_LOOPBACK = "127.0.0.1"
_BUSYBOX = "/bin/busybox"
_HYBRID = Path("/sys/fs/cgroup/unified")  # both versions of cgroups, which crun refuses
_DOWNLOAD_PATIENCE = 60.0  # seconds
_HEAD = f"HTTP/1.0 200 OK\r\nContent-Length: {DOWNLOAD}\r\n\r\n".encode()


class Podman:
    """An engine whose containers run one command each. Made by `engine`."""

    def __init__(self, words: Sequence[str], user: User, home: Path) -> None:
        """`words` start the program that gives containers their network."""
        self._user = user
        self._root = home / "root"
        for directory in (home / "run", self._root, self._root / "bin", self._root / "etc"):
            directory.mkdir()
            user.give(str(directory))
        program = shutil.which("busybox")
        if program is None:
            raise BenchError("busybox is not installed: apt-get install busybox-static")
        shutil.copy(program, self._root / _BUSYBOX.lstrip("/"))
        network = home / "slirp4netns"
        network.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        network.chmod(0o755)
        runtime = 'runtime = "runc"\n' if _HYBRID.exists() else ""
        configuration = home / "containers.conf"
        configuration.write_text(f'[engine]\nnetwork_cmd_path = "{network}"\n{runtime}')
        settings = {"HOME": home, "XDG_RUNTIME_DIR": home / "run", "CONTAINERS_CONF": configuration}
        self._podman = ["env", *(f"{name}={value}" for name, value in settings.items()), PROGRAM]

    def run(self, mtu: int, *command: str) -> list[str]:
        """The words that run a command of busybox in a container."""
        network = f"--network=slirp4netns:mtu={mtu},allow_host_loopback=true"
        options = ["--rm", network, "--rootfs", str(self._root)]
        return [*self._podman, "run", *options, _BUSYBOX, *command]

    def start_up(self, mtu: int) -> float:
        """Seconds from nothing to the end of `true` in a container. Raises BenchError."""
        return run_to_end(self.run(mtu, "true"), self._user)

    def download(self, mtu: int) -> float:
        """Bytes a second of one HTTP download. Raises BenchError."""
        with socket.create_server((_LOOPBACK, 0)) as server:
            url = f"http://{GATEWAY}:{server.getsockname()[1]}/"
            child = Child(self.run(mtu, "wget", "-q", "-O", "/dev/null", url), self._user)
            try:
                seconds = serve(server)
                child.wait_for_success()
            except OSError as error:
                raise child.failure(f"did not download: {error}") from None
            finally:
                child.close()
        return DOWNLOAD / seconds

    def end(self) -> None:
        """End all that runs."""
        with suppress(BenchError):  # it has said so already
            run_to_end([*self._podman, "system", "migrate"], self._user)


def serve(server: socket.socket) -> float:
    """Send one client the file; seconds from its request to the end of it. Raises OSError."""
    server.settimeout(PATIENCE)
    client, _ = server.accept()
    with client, io.FileIO(os.memfd_create("file"), "r+") as file:
        file.truncate(DOWNLOAD)
        client.settimeout(_DOWNLOAD_PATIENCE)
        client.recv(1 << 16)
        started = time.perf_counter()
        client.sendall(_HEAD)
        client.sendfile(file)
        client.shutdown(socket.SHUT_WR)
        while client.recv(1 << 16):
            pass
        return time.perf_counter() - started


@contextmanager
def engine(words: Sequence[str], user: User) -> Iterator[Podman]:
    """An engine until the end of the block. Raises BenchError."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        user.give(directory)
        podman = Podman(words, user, Path(directory))
        try:
            yield podman
        finally:
            podman.end()
