"""What the process outside gives up, as /proc shows it, and what becomes of one that wants it back.

That all the rest still works is seen in every other file here: their programs are hardened too.

Read: proc(5), /proc/pid/status; docs/security.md.
"""

import os
import signal
import sys
from pathlib import Path

import pytest

from rootlessnet.hardening import landlock
from tests.e2e.conftest import ROOTLESSNET, Program, needs, wait_for
from tests.e2e.processes import child_of, status_of
from tests.e2e.target import make_target

pytestmark = pytest.mark.usefixtures("needs_namespaces")

WAIT = ("sh", "-c", "echo ready; exec sleep 1000")
BIND_SERVICE = 1 << 10  # CAP_NET_BIND_SERVICE
VIOLATION = 128 + signal.SIGSYS

HARDENED = """
import ctypes, mmap, os, signal, socket, sys, termios, threading
from rootlessnet.hardening.harden import harden, prepare

libc = ctypes.CDLL(None)
prepare()
harden(removable=sys.argv[1:])
"""


def await_hardened(pid: int) -> dict[str, str]:
    """It is hardened once its command runs: as soon as it has its second filter."""
    wait_for(lambda: status_of(pid)["Seccomp_filters"] == "2", "the filters")
    return status_of(pid)


def core_limits(pid: int) -> list[str]:
    limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(line.split()[4:6] for line in limits if line.startswith("Max core file size"))


def files_of(pid: int) -> set[str]:
    """What the descriptors of a process lead to."""
    return {str(one.readlink()) for one in Path(f"/proc/{pid}/fd").iterdir()}


def hardened(script: str, *removable: str) -> tuple[int, str, str]:
    """The end of a hardened process that does what the script says."""
    done = Program(sys.executable, "-c", HARDENED + script, *removable).run()
    return done.returncode, done.stdout, done.stderr


# As /proc shows it


@pytest.mark.parametrize("options", [(), ("--no-pid",)], ids=["pid", "no-pid"])
def test_the_process_outside(rootlessnet: Program, options: tuple[str, ...]) -> None:
    bare = status_of(os.getpid())
    with rootlessnet.serving("run", *options, "--", *WAIT) as process:
        status = await_hardened(process.pid)
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
        kept = int(bare["CapEff"], 16) & BIND_SERVICE  # root's
        assert [int(status[f"Cap{kind}"], 16) for kind in ("Prm", "Eff")] == [kept, kept]
        assert [int(status[f"Cap{kind}"], 16) for kind in ("Inh", "Amb")] == [0, 0]
        assert core_limits(process.pid) == ["1", "1"]
        init = child_of(process.pid)
        for guest in (init, child_of(init)):
            status = status_of(guest)
            assert (status["NoNewPrivs"], status["Seccomp"]) == (
                bare["NoNewPrivs"],
                bare["Seccomp"],
            )
            assert int(status["CapEff"], 16) == int(status["CapBnd"], 16)
            assert core_limits(guest) == core_limits(os.getpid())


def test_the_process_that_serves_a_namespace(rootlessnet: Program) -> None:
    with (
        make_target() as target,
        rootlessnet.started("attach", str(target.pid)) as process,
    ):
        status = await_hardened(process.pid)
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
        assert status_of(target.pid)["Seccomp"] == status_of(os.getpid())["Seccomp"]


def test_inherited_descriptors(rootlessnet: Program) -> None:
    """They are the command's, and nobody else's."""
    words = [*ROOTLESSNET, "run", "--", *WAIT]
    with Program("sh", "-c", 'exec 7</etc/passwd; exec "$@"', "sh", *words).serving() as process:
        await_hardened(process.pid)
        command = child_of(child_of(process.pid))
        assert "/etc/passwd" in files_of(command)
        assert "/etc/passwd" not in files_of(process.pid)


def test_a_descriptor_that_is_kept() -> None:
    script = """
import os
from rootlessnet.hardening.harden import harden

harden(keep=(7,))
print(sorted({int(name) for name in os.listdir("/proc/self/fd")} & {7, 8}))
"""
    words = (sys.executable, "-c", script)
    shell = 'exec 7</etc/passwd 8</etc/passwd; exec "$@"'
    done = Program("sh", "-c", shell, "sh", *words).run()
    assert (done.stdout, done.stderr) == ("[7]\n", "")


def test_without_hardening(rootlessnet: Program) -> None:
    bare = status_of(os.getpid())
    with rootlessnet.serving("run", "--no-hardening", "--", *WAIT) as process:
        status = status_of(process.pid)
        for line in ("NoNewPrivs", "Seccomp", "Seccomp_filters", "CapBnd"):
            assert status[line] == bare[line]


@needs("unshare")
def test_capabilities_are_dropped() -> None:
    """All but the one for low ports; root has some to drop."""
    script = HARDENED + "print(open('/proc/self/status').read())"
    root = Program("unshare", "--user", "--map-root-user", "--keep-caps", sys.executable, "-c")
    done = root.run(script)
    assert done.returncode == 0, done.stderr
    lines = (line.split() for line in done.stdout.splitlines() if line.startswith("Cap"))
    assert {name: int(value, 16) for name, value in lines} == {
        "CapInh:": 0,
        "CapPrm:": BIND_SERVICE,
        "CapEff:": BIND_SERVICE,
        "CapBnd:": BIND_SERVICE,
        "CapAmb:": 0,
    }


# What is not allowed


@pytest.mark.parametrize(
    ("script", "call"),
    [
        ("os.open('/tmp/x', os.O_WRONLY | os.O_CREAT)", "openat"),
        ("open('/dev/null', 'w')", "openat"),
        ("os.execv('/bin/true', ['true'])", "execve"),
        ("os.fork()", "clone"),
        ("socket.socket(socket.AF_PACKET, socket.SOCK_RAW)", "socket"),
        ("socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)", "socket"),
        ("libc.ptrace(0, 0, 0, 0)", "ptrace"),
        ("libc.unshare(0x10000000)", "unshare"),
        ("libc.prctl(4, 1, 0, 0, 0)", "prctl"),
        ("mmap.mmap(-1, 4096, prot=7)", "mmap"),
        ("os.kill(os.getppid(), signal.SIGCONT)", "kill"),
        ("os.rename('/tmp/x', '/tmp/y')", "rename"),
        ("os.memfd_create('x')", "memfd_create"),
        ("libc.ioctl(0, 0x5412, b'x')", "ioctl"),  # TIOCSTI
        ("t = threading.Thread(target=os.chroot, args='/')\nt.start()\nt.join()", "chroot"),
    ],
)
def test_a_call_that_is_not_allowed(script: str, call: str) -> None:
    """The process ends at it, with one line that says which it was."""
    status, output, error = hardened(f"{script}\nprint('survived')")
    assert (status, output) == (VIOLATION, ""), error
    assert error.count("\n") == 1, error
    assert error.startswith("rootlessnet: system call ")
    assert f"({call}) is not allowed" in error
    assert "--no-hardening" in error


def test_a_violation_where_its_signal_was_blocked() -> None:
    block = "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGSYS})\n"
    done = Program(sys.executable, "-c", block + HARDENED + "os.fork()").run()
    assert done.returncode == VIOLATION
    assert "(clone) is not allowed" in done.stderr


@pytest.mark.parametrize(
    "script",
    [
        "signal.signal(signal.SIGSYS, signal.SIG_IGN)\nos.execv('/bin/true', ['true'])",
        "os.posix_spawn('/bin/true', ['true'], {})",  # which blocks signals
    ],
)
def test_a_violation_that_is_not_handled(script: str) -> None:
    """The kernel ends the process."""
    assert hardened(script) == (-signal.SIGSYS, "", "")


def test_a_violation_ends_the_guest_too(rootlessnet: Program) -> None:
    """Somebody makes the running program do what it may not, as a debugger could."""
    script = """
import sys
from rootlessnet import app, RunConfig, run
from rootlessnet.host.signals import Signals

def passed(self):
    open("/tmp/x", "w")

Signals._readable = passed
run(RunConfig(("sh", "-c", "echo ready; exec sleep 1000")), hardening=True)
"""
    with Program(sys.executable, "-c", script).serving() as process:
        await_hardened(process.pid)
        process.send_signal(signal.SIGUSR1)
        assert process.wait(10) == VIOLATION
        assert process.stderr is not None
        assert "(openat) is not allowed" in process.stderr.read()


@pytest.mark.parametrize("name", ["io_uring_setup", "clone3", "openat2"])
def test_a_call_that_seems_to_be_missing(name: str) -> None:
    number = {"io_uring_setup": 425, "clone3": 435, "openat2": 437}[name]
    script = (
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        f"print(libc.syscall({number}, 0, 0, 0), os.strerror(ctypes.get_errno()))"
    )
    assert hardened(script) == (0, "-1 Function not implemented\n", "")


# Files


@pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")
def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is imported late is read, though its compiled form may not be written."""
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path / "cache"))
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    ours, others = tmp_path / "ours", tmp_path / "others"
    for folder in (ours, others):
        folder.mkdir()
        (folder / "file").write_text("text")
    script = f"""
def tried(what, *arguments):
    try:
        what(*arguments)
        return "done"
    except OSError as error:
        return type(error).__name__

for folder in {str(ours)!r}, {str(others)!r}:
    file = folder + "/file"
    print(tried(os.listdir, folder), tried(open, file), tried(os.unlink, file))
print(tried(open, "/etc/resolv.conf"), tried(open, "/proc/net/tcp"), tried(os.listdir, "/etc"))
print(tried(os.listdir, "/"), tried(os.listdir, "/usr/share"), tried(open, "/bin/sh"))
import json, stringprep, wave
"""
    status, output, error = hardened(script, str(ours))
    assert (status, error) == (0, "")
    assert output.splitlines() == [
        "done PermissionError done",
        "PermissionError PermissionError PermissionError",
        "done done done",
        "PermissionError PermissionError PermissionError",
    ]
    assert not (ours / "file").exists()
    assert (others / "file").exists()


@pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")
def test_other_processes() -> None:
    """What they have open and their environments are not shown, though they are the same user's."""
    script = """
for look, name in (open, "environ"), (os.readlink, "fd/0"), (os.stat, "ns/user"):
    try:
        print(look(f"/proc/{os.getppid()}/{name}"))
    except PermissionError:
        print("refused")
"""
    assert hardened(script) == (0, "refused\n" * 3, "")


# What the guest sees of running instances


@pytest.mark.parametrize("options", [(), ("--map-user",), ("--no-pid",)])
def test_a_guest_sees_no_instances(rootlessnet: Program, options: tuple[str, ...]) -> None:
    """Not even its own; and it can start others, by the same name."""
    words = " ".join(ROOTLESSNET)
    script = f"{words} ps; ls -A $XDG_RUNTIME_DIR/rootlessnet; {words} run --name web -- echo works"
    done = rootlessnet.run("run", "--name", "web", *options, "--", "sh", "-c", script)
    assert (done.returncode, done.stderr) == (0, "")
    heading, *others = done.stdout.splitlines()
    assert (heading.split()[0], others) == ("NAME", ["works"])


TAKE = """
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
process = os.pidfd_open(os.getppid())
taken = [one for one in range(64) if libc.syscall(438, process, one, 0) >= 0]  # pidfd_getfd
print(taken, errno.errorcode[ctypes.get_errno()])
"""


@pytest.mark.parametrize("options", [(), ("--no-pid",)])
def test_the_init_keeps_its_descriptors(rootlessnet: Program, options: tuple[str, ...]) -> None:
    """Root in the guest has its pid namespace's first process beside it, or its parent."""
    done = rootlessnet.run("run", *options, "--", sys.executable, "-c", TAKE)
    assert (done.stdout, done.stderr) == ("[] EPERM\n", "")
