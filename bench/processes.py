"""The processes of a benchmark: started as an ordinary user, bounded in time, ended for certain.

Everything that a benchmark starts is a `Child`, in a session of its own and with a file in memory
as stderr, so that a failure can be explained by the last thing that the program said. What a
program costs is read from /proc: time from stat, memory from smaps_rollup.

Read: proc(5).
"""

import io
import os
import pwd
import resource
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

TICK = 1 / os.sysconf("SC_CLK_TCK")  # seconds
PATIENCE = 10.0  # seconds for a program to start, or to say something that it should say at once
LONGEST_STDERR = 1 << 20  # bytes of it that are read
END_PATIENCE = 2.0  # seconds from SIGTERM to SIGKILL


class BenchError(Exception):
    """A measurement or a set-up that failed: one line that says why."""


@dataclass(frozen=True, slots=True)
class User:
    """Whom the programs run as: `uid` None means whoever runs the benchmark."""

    name: str
    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] | None = None
    home: str = "/"

    @classmethod
    def named(cls, name: str) -> "User":
        """Another user, to become from root. Raises BenchError when there is none of this name."""
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise BenchError(
                f"no user {name!r}: create it with: useradd --create-home {name}"
            ) from None
        groups = tuple(os.getgrouplist(name, entry.pw_gid))
        return cls(name, entry.pw_uid, entry.pw_gid, groups, entry.pw_dir)

    @classmethod
    def myself(cls) -> "User":
        return cls(pwd.getpwuid(os.getuid()).pw_name)

    def give(self, path: str) -> None:
        """Make them the owner of a file that we made."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def environment(self) -> dict[str, str]:
        """Ours, with a home of theirs."""
        environment = dict(os.environ)
        if self.uid is not None:
            environment |= {"HOME": self.home, "USER": self.name, "LOGNAME": self.name}
            environment.pop("XDG_RUNTIME_DIR", None)
        return environment


def wait_readable(file: IO[bytes] | int, timeout: float) -> bool:
    return bool(select.select([file], [], [], max(0.0, timeout))[0])


class Child:
    """A program that was started, with pipes to its stdin and from its stdout."""

    def __init__(self, argv: Sequence[str], user: User, pass_fds: Iterable[int] = ()) -> None:
        """Start it. Raises BenchError when the program is missing or not for this user."""
        self.argv = list(argv)
        self._stderr = io.FileIO(os.memfd_create("stderr"), "r+")
        self._unread = b""
        try:
            self._process = subprocess.Popen(
                self.argv,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                start_new_session=True,
                user=user.uid,
                group=user.gid,
                extra_groups=user.groups,
                env=user.environment(),
                pass_fds=tuple(pass_fds),
            )
        except OSError as error:
            self._stderr.close()
            reason = error.strerror or str(error)
            raise BenchError(f"cannot run {self.argv[0]} as {user.name}: {reason}") from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    @property
    def pid(self) -> int:
        return self._process.pid

    def write_line(self, text: str) -> None:
        try:
            self._stdin.write(text.encode() + b"\n")
        except BrokenPipeError:
            raise self._ended() from None

    def read_line(self, timeout: float = PATIENCE) -> str:
        """One line of its stdout. Raises BenchError when none comes within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while b"\n" not in self._unread:
            if not wait_readable(self._stdout, deadline - time.monotonic()):
                raise self.failure(f"said nothing for {timeout:g} s")
            if not (data := self._stdout.read(65536)):
                raise self._ended()
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def wait_for_success(self, timeout: float = PATIENCE) -> None:
        """Wait for its end. Raises BenchError when that is a failure, or does not come in time."""
        # With a limit, Popen.wait looks at ever longer intervals, up to 50 ms: as much too late.
        process = os.pidfd_open(self.pid)
        try:
            if not wait_readable(process, timeout):
                raise self.failure(f"did not end within {timeout:g} s")
        finally:
            os.close(process)
        if self._process.wait() != 0:
            raise self._ended()

    def _ended(self) -> BenchError:
        """That it ended, and how."""
        try:
            status = self._process.wait(END_PATIENCE)
        except subprocess.TimeoutExpired:
            return self.failure("closed its output")
        how = f"with status {status}" if status >= 0 else f"by {signal.Signals(-status).name}"
        return self.failure(f"ended {how}")

    def failure(self, what: str) -> BenchError:
        """What happened, with the last line of the program's stderr as the likely reason."""
        stderr = os.pread(self._stderr.fileno(), LONGEST_STDERR, 0).decode(errors="replace")
        said = [line.strip() for line in stderr.splitlines() if line.strip()]
        return BenchError(f"{Path(self.argv[0]).name} {what}" + (f": {said[-1]}" if said else ""))

    def close(self) -> None:
        """End it if the end of its input does not, reap it, kill what it left. Idempotent."""
        if self._stdin.closed:
            return
        self._stdin.close()
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                self._process.wait(END_PATIENCE)
                break
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, number)
        self._process.wait()
        with suppress(ProcessLookupError):  # its group is empty, as it should be
            os.killpg(self.pid, signal.SIGKILL)
        self._stdout.close()
        self._stderr.close()


def most_descriptors() -> int:
    """That a program may have, if it asks for them."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def allow_most_descriptors() -> None:
    """Programs that are started from now on need not ask."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_descriptors(), most_descriptors()))


def run_to_end(argv: Sequence[str], user: User) -> float:
    """Seconds from the start of a program to its end. Raises BenchError when it fails."""
    started = time.perf_counter()
    child = Child(argv, user)
    try:
        child.wait_for_success()
        return time.perf_counter() - started
    finally:
        child.close()


@dataclass(frozen=True, slots=True)
class Stat:
    """From /proc/PID/stat: the parent, and user and system time so far in seconds."""

    parent: int
    cpu: float


def parse_stat(text: str) -> Stat:
    """Skip the name of the process: it is in parentheses, and may hold any itself."""
    fields = text[text.rindex(")") + 2 :].split()
    return Stat(parent=int(fields[1]), cpu=(int(fields[11]) + int(fields[12])) * TICK)


def parse_pss(text: str) -> int:
    """The proportional share of memory in bytes from /proc/PID/smaps_rollup."""
    return next(
        int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:")
    )


def all_stats() -> dict[int, Stat]:
    """Of every process, by its id."""
    stats = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stats[int(entry.name)] = parse_stat((entry / "stat").read_text())
            except OSError:
                continue  # it ended since
    return stats


def descendants(root: int, stats: dict[int, Stat]) -> list[int]:
    """`root` and all its descendants."""
    family = [root]
    for parent in family:  # grows while we walk
        family += [pid for pid, stat in stats.items() if stat.parent == parent]
    return family


def tool_processes(root: int, guest_argv: Sequence[str]) -> list[int]:
    """`root` and its descendants without the command that it runs in a guest."""
    guest = "\0".join(guest_argv) + "\0"
    found = []
    for pid in descendants(root, all_stats()):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
        except OSError:
            continue
        if command != guest:
            found.append(pid)
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time, user and system, that these processes have used so far."""
    stats = all_stats()
    return sum(stats[pid].cpu for pid in pids if pid in stats)


def memory(pids: Iterable[int]) -> int:
    """Bytes, shared pages divided by their users. Raises BenchError when the kernel hides it."""
    total = 0
    for pid in pids:
        try:
            total += parse_pss(Path(f"/proc/{pid}/smaps_rollup").read_text())
        except PermissionError:
            raise BenchError(
                "it hides its memory from its own user: run as root with --user"
            ) from None
        except OSError as error:
            raise BenchError(
                f"the memory of process {pid} cannot be read: {error.strerror}"
            ) from None
    return total
