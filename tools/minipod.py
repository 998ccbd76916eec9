"""minipod: containers in a few hundred lines, as an example of rootlessnet's Python API.

`minipod run` has rootlessnet start a command in namespaces of its own (user, network, mount, PID):
this program again, as `inside` and with the same words. That one adds namespaces (mount, UTS, IPC),
makes DIR the root of its file system, and becomes the command of the container. Which containers
there are is known from rootlessnet's instances; nothing is written down anywhere else.

All sources of mounts are opened before the root changes, and all targets are looked up after that,
so that no symlink of the container's leads out of it.

Read: pivot_root(2), namespaces(7), mount_setattr(2), nsenter(1).
"""

import argparse
import ctypes
import os
import secrets
import select
import shlex
import shutil
import signal
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for a start in a checkout

import rootlessnet
from rootlessnet import Forward, InstanceDescription, NetworkConfig, RootlessnetError, RunConfig

INSIDE = (sys.executable, "-I", str(Path(__file__).resolve()), "inside")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEVICES = ("full", "null", "random", "tty", "urandom", "zero")
DESCRIPTORS = {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}
NOT_MADE, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127  # exit statuses, as podman has them

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 0x1000, 0x4000, 0x40000, 2
SYS_MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE = 442, -100, 0x8000
MOUNT_ATTRIBUTES = struct.pack("4Q", 1, 0, 0, 0)  # MOUNT_ATTR_RDONLY is to be set

libc = ctypes.CDLL(None, use_errno=True)


class Volume(NamedTuple):
    """A file or directory of the host, and its path in the container."""

    source: str
    target: str
    read_only: bool


class Words(argparse.Namespace):
    """The command line. What follows the name is for `run`, and `inside`, alone."""

    subcommand: str
    command: list[str]
    seconds: float
    name: str

    env: list[tuple[str, str]]
    publish: list[tuple[Forward, ...]]
    rootfs: str
    volume: list[Volume]
    workdir: str


# Outside


def run(container: Words, words: list[str]) -> int:
    """Run a container to its end; its exit status. `words` are all those behind `run`."""
    ports = tuple(port for several in container.publish for port in several)
    inside = (*INSIDE, "--name", container.name, *words)  # a name among the words is the same
    config = RunConfig(inside, NetworkConfig(forwards=ports), name=container.name)
    status = rootlessnet.run(config, published=tell)
    if status.signal is not None:  # of the keyboard: a shell wants to see us die of it too
        signal.signal(status.signal, signal.SIG_DFL)
        os.kill(os.getpid(), status.signal)
    return status


def tell(port: Forward) -> None:
    print(f"minipod: published {port}", file=sys.stderr, flush=True)


def containers() -> Iterator[tuple[InstanceDescription, Words]]:
    """What rootlessnet runs for us."""
    for instance in rootlessnet.instances():
        words = instance.command or ()
        if words[: len(INSIDE)] == INSIDE:
            yield instance, parse(words[len(INSIDE) - 1 :])


def find(name: str) -> InstanceDescription:
    for instance, _ in containers():
        if instance.name == name:
            return instance
    raise RootlessnetError(f"no container {name!r} runs: minipod ps shows those that do")


def execute(name: str, command: list[str]) -> NoReturn:
    """Become a command beside the container's, with the same environment."""
    instance = find(name)
    init = children(instance.pid)[0]
    process = Path(f"/proc/{children(init)[0]}")
    words = [os.fsdecode(word) for word in (process / "cmdline").read_bytes().split(b"\0")]
    if tuple(words[: len(INSIDE)]) == INSIDE:
        raise RootlessnetError(f"container {name!r} does not run yet: try again")
    settings = os.fsdecode((process / "environ").read_bytes()).split("\0")
    environment = dict(setting.split("=", 1) for setting in settings if "=" in setting)
    namespaces = ("--user", "--mount", "--uts", "--ipc", "--net", "--pid")
    enter = ("nsenter", f"--target={process.name}", "--preserve-credentials", *namespaces, "--")
    program = shutil.which("nsenter")
    if program is None:
        raise RootlessnetError("nsenter is not installed: apt-get install util-linux")
    os.execve(program, (*enter, *command), environment)


def children(process: int) -> list[int]:
    """A process's children, each thread's oldest first. Raises RootlessnetError for none."""
    files = Path(f"/proc/{process}/task").glob("*/children")
    found = [int(child) for file in files for child in file.read_text().split()]
    if not found:
        raise RootlessnetError("the container has ended")
    return found


def stop(name: str, seconds: float) -> None:
    """Send the container's command SIGTERM; end it by force after so many seconds."""
    with open(os.pidfd_open(find(name).pid)) as process:
        for number in (signal.SIGTERM, signal.SIGKILL):
            signal.pidfd_send_signal(process.fileno(), number)
            if select.select([process], [], [], seconds)[0]:
                break


# Inside


def inside(container: Words) -> NoReturn:
    """Become the container's command."""
    try:
        call("unshare", CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC)
        socket.sethostname(container.name)
        change_root(container)
        os.chdir(container.workdir)
    except OSError as error:
        about = "" if error.filename is None else f" {os.fsdecode(error.filename)}"
        fail(f"cannot make the container:{about}: {error.strerror}", NOT_MADE)
    environment = {"PATH": PATH, "HOME": "/", "TERM": os.environ.get("TERM", "dumb")}
    environment |= container.env
    try:
        os.execvpe(container.command[0], container.command, environment)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        status = NOT_FOUND if missing else NOT_EXECUTABLE
        fail(f"command {container.command[0]!r} in {container.rootfs}: {error.strerror}", status)


def change_root(container: Words) -> None:
    """Make the container's file system all there is."""
    hidden = MS_NOSUID | MS_NODEV | MS_NOEXEC
    sources = {f"/dev/{name}": os.open(f"/dev/{name}", os.O_PATH) for name in DEVICES}
    sources["/etc/resolv.conf"] = os.open("/etc/resolv.conf", os.O_PATH)
    volumes = [(os.open(one.source, os.O_PATH), one) for one in container.volume]

    mount(None, "/", flags=MS_REC | MS_PRIVATE)
    mount(container.rootfs, container.rootfs, flags=MS_BIND | MS_REC)
    os.chdir(container.rootfs)
    call("pivot_root", b".", b".")  # the old root lies over the new one now, where we are
    for directory in ("/proc", "/sys", "/dev", "/etc"):
        os.makedirs(directory, exist_ok=True)
    mount("proc", "/proc", "proc", hidden)
    mount("sysfs", "/sys", "sysfs", hidden | MS_RDONLY)
    mount("tmpfs", "/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755")
    for directory, kind, options in (
        ("/dev/pts", "devpts", "newinstance,ptmxmode=0666,mode=620"),
        ("/dev/shm", "tmpfs", "mode=1777"),
    ):
        os.mkdir(directory)
        mount(kind, directory, kind, MS_NOSUID | MS_NOEXEC, options)
    for name, descriptor in DESCRIPTORS.items():
        os.symlink(f"/proc/self/fd{descriptor}", f"/dev/{name}")
    os.symlink("pts/ptmx", "/dev/ptmx")
    Path("/dev/hosts").write_text(f"127.0.0.1 localhost {container.name}\n::1 localhost\n")
    sources["/etc/hosts"] = os.open("/dev/hosts", os.O_PATH)
    for target, source in sources.items():
        bind(source, target)
    os.unlink("/dev/hosts")  # its other name stays
    for source, volume in volumes:
        bind(source, volume.target, read_only=volume.read_only)
    call("umount2", b".", MNT_DETACH)


def bind(source: int, target: str, *, read_only: bool = False) -> None:
    """Show a file or a directory, which is made where it is missing, as another."""
    path = f"/proc/self/fd/{source}"
    if Path(path).is_dir():
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(target, os.O_CREAT | os.O_EXCL, 0o644))
    mount(path, target, flags=MS_BIND | MS_REC)
    if read_only:
        way = (AT_FDCWD, os.fsencode(target), AT_RECURSIVE)
        call("syscall", SYS_MOUNT_SETATTR, *way, MOUNT_ATTRIBUTES, len(MOUNT_ATTRIBUTES))


def mount(
    source: str | None, target: str, kind: str = "", flags: int = 0, options: str = ""
) -> None:
    what = None if source is None else os.fsencode(source)
    call("mount", what, os.fsencode(target), kind.encode(), flags, options.encode(), about=target)


def call(name: str, *arguments: int | bytes | None, about: str | None = None) -> None:
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    if getattr(libc, name)(*words) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), about or name)


# Words


def parse(words: Sequence[str]) -> Words:
    parser = argparse.ArgumentParser("minipod", description="Containers for everybody.")
    subcommands = parser.add_subparsers(dest="subcommand", required=True, metavar="SUBCOMMAND")
    for name in ("run", "inside"):
        add = subcommands.add_parser(name, help="run a command in a container").add_argument
        add("--name", default=f"pod-{secrets.token_hex(4)}", help="default: a random one")
        published = "[ADDRESS:][HOST_PORT:]PORT[/udp]"
        add(
            "-p",
            "--publish",
            action="append",
            default=[],
            metavar=published,
            type=rootlessnet.parse_forwards,
        )
        add("-e", "--env", action="append", default=[], metavar="NAME=VALUE", type=setting)
        add("-v", "--volume", action="append", default=[], metavar="HOST:GUEST[:ro]", type=volume)
        add("-w", "--workdir", default="/", metavar="DIR", help="default: /")
        add("--rootfs", required=True, metavar="DIR", help="the root of the file system")
        add("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    subcommands.add_parser("ps", help="list the containers: name, process, command")
    for name, text in (
        ("port", "list the ports that a container publishes"),
        ("exec", "run a command beside that of a container"),
        ("stop", "end a container"),
    ):
        add = subcommands.add_parser(name, help=text).add_argument
        add("name", metavar="NAME")
        if name == "exec":
            add("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
        if name == "stop":
            add("-t", dest="seconds", type=float, default=10, help="before SIGKILL; 10")
    found = parser.parse_args(words, Words())
    if found.subcommand in ("run", "inside", "exec"):
        found.command = found.command[found.command[:1] == ["--"] :]
        if not found.command:
            parser.error("no command given: name it after --")
    return found


def setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r}: write NAME=VALUE")
    return name, value


def volume(text: str) -> Volume:
    match text.split(":"):
        case [source, target] | [source, target, "ro"] if source and target.startswith("/"):
            return Volume(source, target, read_only=text.endswith(":ro"))
    raise argparse.ArgumentTypeError(f"{text!r}: write HOST:GUEST or HOST:GUEST:ro")


def main(words: list[str]) -> int:
    try:
        found = parse(words)
        match found.subcommand:
            case "run":
                return run(found, words[1:])
            case "inside":
                inside(found)
            case "exec":
                execute(found.name, found.command)
            case "ps":
                for instance, container in containers():
                    print(instance.name, instance.pid, shlex.join(container.command), sep="\t")
            case "port":
                print(*find(found.name).ports, sep="\n")
            case "stop":
                stop(found.name, found.seconds)
    except RootlessnetError as error:
        print(f"minipod: {error}", file=sys.stderr)
        return error.exit_status
    return 0


def fail(message: str, status: int) -> NoReturn:
    print(f"minipod: {message}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
