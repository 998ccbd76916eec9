"""Programs of others: socat, ssh, rsync, nginx and h2load, on either side of a guest's network.

Servers run as the tester, in a guest too (--map-user): as root they would want to become others.

Read: sshd_config(5), rsync(1), h2load(1), socat(1).
"""

import getpass
import hashlib
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.addresses import IPV4, IPV6, Addresses, bracketed
from tests.e2e.conftest import ROOTLESSNET, Program, needs
from tests.e2e.outside import Outside

End = Callable[[str], tuple[str, ...]]  # a command line, by the address


@contextmanager
def started(program: Program, ready: str) -> Iterator[subprocess.Popen[str]]:
    """While a server runs, once `ready` stands in a line of its errors."""
    with program.started() as server:
        assert server.stderr is not None
        said = []
        while ready not in (line := server.stderr.readline()):
            said.append(line)
            assert line, "".join(said)
        yield server


def run(program: Program) -> subprocess.CompletedProcess[str]:
    done = program.run(timeout=50)
    assert done.returncode == 0, done.stderr
    return done


def guest(outside: Outside, *command: str) -> Program:
    return outside.program(*ROOTLESSNET, "run", "--", *command)


def published(outside: Outside, *command: str) -> Program:
    """A server in a guest; its port 5000 is the host's port 8080."""
    return outside.program(*ROOTLESSNET, "run", "--map-user", "-p", "8080:5000", "--", *command)


# ── socat ────────────────────────────────────────────────────────────────────────────────────────

EARLY, LATE = 300_000, 400_000  # lines


def first(address: str) -> tuple[str, ...]:
    """socat that ends its direction with its input, and then hears the other."""
    return ("sh", "-c", f"seq {EARLY} | socat -d -d -t 20 '{address}' - | md5sum >&2")


def second(address: str) -> tuple[str, ...]:
    """socat whose program has nothing to say before it has heard all."""
    return ("socat", "-d", "-d", "-t", "20", address, f"SYSTEM:md5sum >&2; seq {LATE}")


def lines_of(count: int) -> str:
    """The digest of what seq(1) says."""
    return hashlib.md5("".join(f"{n}\n" for n in range(1, count + 1)).encode()).hexdigest()


def digests(said: str) -> list[str]:
    return re.findall(r"^([0-9a-f]{32}) ", said, re.MULTILINE)


def half_close(server: Program, client: Program) -> set[str]:
    """What the two have heard of each other."""
    with started(server, "listening on") as process:
        heard = digests(run(client).stderr)
        _, said = process.communicate(timeout=20)
    return {*heard, *digests(said)}


ENDS = [(first, second), (second, first)]


@needs("socat")
@pytest.mark.parametrize(("server", "client"), ENDS, ids=["server first", "client first"])
def test_socat_outbound(outside: Outside, ip: Addresses, server: End, client: End) -> None:
    heard = half_close(
        outside.program(*server(f"TCP{ip.version}-LISTEN:5000,bind={bracketed(ip.address)}")),
        guest(outside, *client(f"TCP:{ip.at(5000)}")),
    )
    assert heard == {lines_of(EARLY), lines_of(LATE)}


@needs("socat")
@pytest.mark.parametrize(("server", "client"), ENDS, ids=["server first", "client first"])
def test_socat_inbound(outside: Outside, ip: Addresses, server: End, client: End) -> None:
    heard = half_close(
        published(outside, *server(f"TCP{ip.version}-LISTEN:5000")),
        outside.program(*client(f"TCP:{ip.at(8080)}")),
    )
    assert heard == {lines_of(EARLY), lines_of(LATE)}


# ── ssh and rsync ────────────────────────────────────────────────────────────────────────────────


class Ssh:
    """A host key, a user's key that opens it, and the command lines of both sides."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        for name in ("host", "user"):
            words = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name))
            subprocess.run(words, check=True, timeout=20)

    def server(self, address: str) -> tuple[str, ...]:
        configuration = self._directory / "sshd_config"
        configuration.write_text(
            f"ListenAddress {bracketed(address)}:5000\n"
            f"HostKey {self._directory / 'host'}\n"
            f"AuthorizedKeysFile {self._directory / 'user.pub'}\n"
            "PidFile none\nUsePAM no\nStrictModes no\n"
        )
        program = shutil.which("sshd")
        assert program is not None
        return (program, "-D", "-e", "-f", str(configuration))

    def client(self, port: int) -> tuple[str, ...]:
        options = ("BatchMode=yes", "StrictHostKeyChecking=accept-new", "LogLevel=ERROR")
        files = ("UserKnownHostsFile", "GlobalKnownHostsFile")
        known = str(self._directory / "known_hosts")
        words = [*options, *(f"{name}={known}" for name in files)]
        return (
            *("ssh", "-F", "none", "-p", str(port), "-l", getpass.getuser()),
            *("-i", str(self._directory / "user"), *(f"-o{word}" for word in words)),
        )


def make_tree(top: Path) -> None:
    """Files of all sizes, of random bytes, in some directories, with links."""
    source = random.Random(3)
    for number in range(200):
        directory = top / f"directory {number % 10}"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"file {number}").write_bytes(source.randbytes(number * number))
    (top / "large").write_bytes(source.randbytes(30_000_000))
    (top / "link").symlink_to("large")


def contents(top: Path) -> dict[str, str]:
    """What each file of a tree holds, or where it leads."""
    found = {}
    for path in top.rglob("*"):
        if path.is_symlink():
            found[str(path.relative_to(top))] = str(path.readlink())
        elif path.is_file():
            found[str(path.relative_to(top))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def copies(tmp_path: Path, there: Ssh, ip: Addresses, port: int) -> tuple[str, ...]:
    """A command that copies a tree to the server by rsync, and from there back by ssh and tar."""
    shell = " ".join(there.client(port))
    host = bracketed(ip.address)
    script = f"""
        set -eu
        cd '{tmp_path}'
        rsync --recursive --links --times --rsh '{shell}' tree/ {host}:'{tmp_path}/sent'
        rsync --recursive --links --times --rsh '{shell}' {host}:'{tmp_path}/sent/' fetched
        mkdir piped
        tar --create --directory fetched . |
            {shell} {ip.address} cat |
            tar --extract --no-same-owner --directory piped
    """
    return ("sh", "-c", script)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    make_tree(tmp_path / "tree")
    return tmp_path


def assert_copied(tree: Path) -> None:
    wanted = contents(tree / "tree")
    assert len(wanted) == 202
    assert [contents(tree / copy) == wanted for copy in ("sent", "fetched", "piped")] == [True] * 3


@needs("sshd", "ssh", "rsync")
def test_ssh_and_rsync_outbound(outside: Outside, ip: Addresses, tree: Path) -> None:
    ssh = Ssh(tree)
    with started(outside.program(*ssh.server(ip.address)), "listening on"):
        run(guest(outside, *copies(tree, ssh, ip, 5000)))
    assert_copied(tree)


@needs("sshd", "ssh", "rsync")
def test_ssh_and_rsync_inbound(outside: Outside, ip: Addresses, tree: Path) -> None:
    ssh = Ssh(tree)
    with started(published(outside, *ssh.server(ip.every)), "listening on"):
        run(outside.program(*copies(tree, ssh, ip, 8080)))
    assert_copied(tree)


# ── nginx and h2load ─────────────────────────────────────────────────────────────────────────────

REQUESTS = 20_000
SERVED = 10_000  # bytes
LOADS = [
    (IPV4, "", "--h1"),
    (IPV4, "keepalive_timeout 0;", "--h1"),  # the server closes each connection after its answer
    (IPV4, "", "--no-tls-proto=h2c"),
    (IPV6, "", "--h1"),
]
LOAD_NAMES = ["keep-alive", "churn", "http2", "IPv6"]


def nginx(directory: Path, address: str, keep: str, load: str) -> tuple[str, ...]:
    """A web server of one file, with everything that it writes in `directory`."""
    (directory / "file").write_bytes(random.Random(4).randbytes(SERVED))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = " ".join(f"{kind}_temp_path {kind};" for kind in kinds)
    listen = f"{bracketed(address)}:5000" + (" http2" if "h2c" in load else "")
    (directory / "nginx.conf").write_text(
        "daemon off; pid nginx.pid; worker_processes 1; error_log stderr notice;\n"
        "events { worker_connections 1024; }\n"
        f"http {{ access_log off; {paths} keepalive_requests {REQUESTS};\n"
        f"    server {{ listen {listen}; root {directory}; {keep} }} }}\n"
    )
    program = shutil.which("nginx")
    assert program is not None
    return (program, "-e", "stderr", "-p", str(directory), "-c", str(directory / "nginx.conf"))


def h2load(ip: Addresses, port: int, load: str) -> tuple[str, ...]:
    amount = ("--requests", str(REQUESTS), "--clients", "200")
    return ("h2load", load, *amount, f"http://{ip.at(port)}/file")


def assert_loaded(said: str) -> None:
    everything = f"{REQUESTS} total, {REQUESTS} started, {REQUESTS} done, {REQUESTS} succeeded"
    assert f"requests: {everything}, 0 failed, 0 errored, 0 timeout\n" in said
    assert f"status codes: {REQUESTS} 2xx, 0 3xx, 0 4xx, 0 5xx\n" in said
    assert f"({REQUESTS * SERVED}) data\n" in said


@needs("nginx", "h2load")
@pytest.mark.parametrize(("ip", "keep", "load"), LOADS, ids=LOAD_NAMES)
def test_nginx_outbound(
    outside: Outside, ip: Addresses, tmp_path: Path, keep: str, load: str
) -> None:
    server = outside.program(*nginx(tmp_path, ip.address, keep, load))
    with started(server, "start worker process "):
        assert_loaded(run(guest(outside, *h2load(ip, 5000, load))).stdout)


@needs("nginx", "h2load")
@pytest.mark.parametrize(("ip", "keep", "load"), LOADS, ids=LOAD_NAMES)
def test_nginx_inbound(
    outside: Outside, ip: Addresses, tmp_path: Path, keep: str, load: str
) -> None:
    server = published(outside, *nginx(tmp_path, ip.every, keep, load))
    with started(server, "start worker process "):
        assert_loaded(run(outside.program(*h2load(ip, 8080, load))).stdout)
