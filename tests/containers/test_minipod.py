"""tools/minipod, and with it that the public Python API is enough for an engine."""

import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import pytest

from tests.containers.image import CLIENT_PATH, GREETING, HTTP_PORT, SERVER
from tests.e2e.conftest import PATIENCE, ROOT, needs, wait_for
from tests.e2e.outside import ADDRESS, OTHER_ADDRESS, Outside, peer

pytestmark = [pytest.mark.usefixtures("needs_namespaces"), needs("nsenter", "curl")]

MINIPOD = (sys.executable, f"{ROOT}/tools/minipod.py")
NAMESPACES = ("ipc", "mnt", "net", "pid", "user", "uts")


class Minipod:
    """minipod on a host, with containers of one root file system."""

    def __init__(self, outside: Outside, root: Path) -> None:
        self._minipod = outside.program(*MINIPOD)
        self._root = f"--rootfs={root}"

    def __call__(self, *words: str, status: int = 0) -> str:
        """What it says in the end, with this exit status."""
        done = self._minipod.run(*words)
        assert done.returncode == status, done.stderr
        return done.stdout if status == 0 else done.stderr

    def run(self, *words: str, status: int = 0) -> str:
        return self("run", self._root, *words, status=status)

    @contextmanager
    def running(self, *words: str) -> Iterator["Popen[str]"]:
        """While a container runs, which says so."""
        with self._minipod.serving("run", self._root, *words) as process:
            yield process


@pytest.fixture
def minipod(outside: Outside, root: Path) -> Minipod:
    return Minipod(outside, root)


def test_a_container_is_a_world_of_its_own(minipod: Minipod, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("from the host\n")
    script = f"""
    for kind in {" ".join(NAMESPACES)}; do readlink /proc/self/ns/$kind; done
    id -u; pwd; hostname; echo $A; cat /file; cat /volume/file
    ! echo > /volume/file; ls /volume /dev/pts /dev/shm; echo > /dev/null
    ls -d {tmp_path} || echo out of sight
    """
    options = ("-e", "A=b c", "-w", "/tmp", "-v", f"{tmp_path}:/volume:ro")
    file = ("-v", f"{tmp_path}/file:/file")
    said = minipod.run("--name=box", *options, *file, "--", "sh", "-euc", script).splitlines()
    namespaces, rest = said[: len(NAMESPACES)], said[len(NAMESPACES) :]
    assert not set(namespaces) & {
        str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in NAMESPACES
    }
    assert rest[:6] == ["0", "/tmp", "box", "b c", "from the host", "from the host"]
    assert "out of sight" in rest
    assert (tmp_path / "file").read_text() == "from the host\n"


def test_the_network_has_names(minipod: Minipod, outside: Outside) -> None:
    with outside.program(*peer("tcp", "tell_address", ADDRESS, 5000)).serving():
        script = f"""
        echo ? | socat - TCP:{ADDRESS}:5000; echo
        cat /etc/hosts /etc/resolv.conf
        ping -c 1 -W 5 box | grep received
        """
        said = minipod.run("--name=box", "--", "sh", "-euc", script).splitlines()
    assert said[0] == ADDRESS
    assert "nameserver 10.0.2.3" in said
    assert any("1 packets received" in line for line in said)


def test_a_container_from_beginning_to_end(minipod: Minipod, outside: Outside) -> None:
    serve = f'/{SERVER} "" & echo ready; wait'
    options = ("--name=web", "-p", f"{ADDRESS}:8080:{HTTP_PORT}", "-e", "A=b")
    curl = outside.program("curl", "--silent", "--interface", OTHER_ADDRESS)
    with minipod.running(*options, "--", "sh", "-euc", serve) as process:
        url = f"http://{ADDRESS}:8080/"
        assert wait_for(lambda: curl.run(url).stdout, "the server") == GREETING
        assert OTHER_ADDRESS in curl.run(url + CLIENT_PATH).stdout
        name, _, command = minipod("ps").rstrip().split("\t")
        assert (name, command.split()[:2]) == ("web", ["sh", "-euc"])
        assert minipod("port", "web") == f"{ADDRESS}:8080:{HTTP_PORT}/tcp\n"
        script = f"hostname; echo $A; wget -q -O - http://127.0.0.1:{HTTP_PORT}/"
        assert minipod("exec", "web", "--", "sh", "-c", script) == f"web\nb\n{GREETING}"
        assert minipod("exec", "web", "--", "sh", "-c", "exit 7", status=7) == ""
        assert not minipod("stop", "web")
        assert process.wait(PATIENCE) == 128 + signal.SIGTERM
    assert not minipod("ps")


def test_who_does_not_listen_is_ended_by_force(minipod: Minipod) -> None:
    deaf = "trap '' TERM; echo ready; while :; do sleep 1; done"
    with minipod.running("--name=deaf", "--", "sh", "-c", deaf) as process:
        assert not minipod("stop", "-t", "0.1", "deaf")
        assert process.wait(PATIENCE) != 0
    assert not minipod("ps")


def test_no_symlink_leads_out(minipod: Minipod, root: Path, tmp_path: Path) -> None:
    """Of the root file system: one to the host's directory is one to nowhere."""
    outside, within = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    shutil.copytree(root, within, symlinks=True)
    (within / "link").symlink_to(outside)
    options = (f"--rootfs={within}", "-v", f"{tmp_path}:/link/made")
    assert "/link" in minipod.run(*options, "--", "true", status=125)
    assert not list(outside.iterdir())


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--", "sh", "-c", "exit 7"], 7, ""),
        (["--", "/bin/none"], 127, "'/bin/none'"),
        (["--", "/www/index.html"], 126, "'/www/index.html'"),
        (["-v", "/none:/none", "--", "true"], 125, "/none: No such file"),
        (["-w", "/none", "--", "true"], 125, "/none: No such file"),
        (["--rootfs=/none", "--", "true"], 125, "/none: No such file"),
        (["--name=0", "--", "true"], 2, "name '0'"),
        (["-p", "192.0.2.200:80:80", "--", "true"], 1, "192.0.2.200"),
    ],
)
def test_exit_statuses(minipod: Minipod, words: list[str], status: int, said: str) -> None:
    assert said in minipod.run(*words, status=status)


@pytest.mark.parametrize("words", [["port", "none"], ["stop", "none"], ["exec", "none", "true"]])
def test_no_such_container(minipod: Minipod, words: list[str]) -> None:
    assert "no container 'none' runs" in minipod(*words, status=1)


def test_what_others_run_is_no_container(minipod: Minipod, outside: Outside) -> None:
    with outside.rootlessnet.serving("run", "--name=other", "--", "sh", "-c", "echo ready; cat"):
        assert not minipod("ps")
        assert "no container 'other' runs" in minipod("stop", "other", status=1)
