"""What a test sees of a running process: what it says and is told, and what /proc shows of it.

Read: proc(5), /proc/pid/status and /proc/pid/fd.
"""

import subprocess
from pathlib import Path

from tests.e2e.conftest import wait_for

LOOKS = 100  # at a process; one that spins is caught long before


def line_of(process: subprocess.Popen[str]) -> str:
    """The next thing that a program says."""
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def tell(process: subprocess.Popen[str], line: str = "go on") -> None:
    """Give it a line to read."""
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def children_of(pid: int) -> list[int]:
    """None where the process has ended itself."""
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(child) for child in found.stdout.split()]


def child_of(pid: int) -> int:
    """The one child of a process, once what helped it to start has ended."""

    def only_one() -> list[int]:
        found = children_of(pid)
        return found if len(found) == 1 else []

    return wait_for(only_one, f"the one child of process {pid}")[0]


def status_of(pid: int) -> dict[str, str]:
    """/proc/pid/status, by the names of its lines."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def resident(pid: int) -> int:
    """The bytes of memory that a process has in use."""
    return int(status_of(pid)["VmRSS"].removesuffix(" kB")) << 10


def most_memory(pid: int) -> int:
    """The most bytes of memory that it ever had in use at a time."""
    return int(status_of(pid)["VmHWM"].removesuffix(" kB")) << 10


def descriptors(pid: int) -> set[int]:
    """Those that a process has open."""
    return {int(one.name) for one in Path(f"/proc/{pid}/fd").iterdir()}


def is_at_rest(pid: int) -> bool:
    """Whether a process waits for something, however often it is looked at."""
    return all(status_of(pid)["State"].startswith("S") for _ in range(LOOKS))
