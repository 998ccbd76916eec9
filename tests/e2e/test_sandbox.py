"""A root with only what is read: for a process without rights, and for one with all.

Read: proc(5), /proc/pid/mountinfo; mount_namespaces(7).
"""

import os
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Program
from tests.e2e.target import make_target
from tests.e2e.test_hardening import await_hardened

pytestmark = pytest.mark.usefixtures("needs_namespaces")

SANDBOXED = """
import os, sys
from rootlessnet.hardening.harden import prepare, readable
from rootlessnet.netns import sandbox

shut, writable = sys.argv[1:2], sys.argv[2:]
prepare()
sandbox.enter(readable=[*readable(), *shut], writable=writable)
"""
ROOT = ("unshare", "--user", "--map-root-user")


def sandboxed(script: str, *words: str, program: tuple[str, ...] = ()) -> list[str]:
    """The lines that a sandboxed process says."""
    done = Program(*program, sys.executable, "-c", SANDBOXED + script, *words).run()
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("program", [(), ROOT], ids=["user", "root"])
def test_what_is_there(program: tuple[str, ...], tmp_path: Path) -> None:
    shut, ours = tmp_path / "shut", tmp_path / "ours"
    shut.mkdir()
    ours.mkdir()
    script = f"""
def tried(name):
    try:
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT))
        return "done"
    except OSError as error:
        return os.strerror(error.errno)

print(os.getcwd(), os.getuid())
print(*sorted({{"etc", "proc", "bin", "boot", "dev", "sys"}} & set(os.listdir("/"))))
print(tried("/new"), tried("{shut}/new"), tried("{ours}/new"), sep=", ")
print([line.split()[5].split(",")[0] for line in open("/proc/self/mountinfo")].count("rw"))
import json, wave
"""
    assert sandboxed(script, str(shut), str(ours), program=program) == [
        f"/ {0 if program else os.getuid()}",
        "etc proc",
        "Read-only file system, Read-only file system, done",
        "1",
    ]
    assert (ours / "new").exists()


def test_the_host_does_not_notice(tmp_path: Path) -> None:
    """Even where it shares its mounts and the process has every right."""
    script = f"""
mount --make-rshared /
cat /proc/self/mountinfo > {tmp_path}/before
{sys.executable} -c "$1"
cat /proc/self/mountinfo > {tmp_path}/after
"""
    done = Program(*ROOT, "--mount", "sh", "-euc", script, "sh", SANDBOXED).run()
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "before").read_text() == (tmp_path / "after").read_text()


SERVES = """
import sys
from rootlessnet import AttachConfig, serve

serve(AttachConfig(int(sys.argv[1]), name="ns"), hardening=True, sandbox=True)
"""


def test_a_network_from_a_sandbox(rootlessnet: Program) -> None:
    """It works, can be changed, and leaves nothing."""
    folder = Path(os.environ["XDG_RUNTIME_DIR"]) / "rootlessnet"
    with (
        make_target() as target,
        Program(sys.executable, "-c", SERVES).started(str(target.pid)) as process,
    ):
        await_hardened(process.pid)
        root = Path(f"/proc/{process.pid}/root")
        assert "bin" not in {one.name for one in root.iterdir()}
        assert "1 received" in target.inside("ping", "-nc1", "10.0.2.2")
        added = rootlessnet.run("port", "add", "ns", "127.0.0.1::80")
        assert (added.returncode, added.stderr) == (0, "")
        assert (folder / "ns.sock").exists()
        assert rootlessnet.run("stop", "ns").returncode == 0
        assert process.wait(10) == 0
        assert not (folder / "ns.sock").exists()


WATCHES = """
for line in sys.stdin:
    try:
        print(open("/etc/resolv.conf").read(), end="", flush=True)
    except OSError as error:
        print(error, flush=True)
"""
ELSEWHERE = """
mount -t tmpfs tmpfs /etc
ln -s "$1/near/file" /etc/resolv.conf
shift
exec "$@"
"""


def test_a_nameserver_that_changes(tmp_path: Path) -> None:
    """Behind two symlinks, in a folder that is nowhere else."""
    folder = tmp_path / "far" / "away"
    folder.mkdir(parents=True)
    (tmp_path / "near").symlink_to("far/away")
    (folder / "file").write_text("first\n")
    words = (*ROOT, "--mount", "sh", "-euc", ELSEWHERE, "sh", str(tmp_path), sys.executable, "-c")
    with Program(*words).started(SANDBOXED + WATCHES) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def asked() -> str:
            print(file=process.stdin, flush=True)
            return process.stdout.readline() if process.stdout is not None else ""

        assert asked() == "first\n"
        (folder / "new").write_text("second\n")
        (folder / "new").rename(folder / "file")
        assert asked() == "second\n"
