"""What end-to-end tests share: the program as users start it, waiting, and no survivors.

Whatever a test starts inherits a mark in its environment. When the test has ended, with all its
fixtures, no process may carry it any more: what is left is killed, and the test fails. It inherits
a runtime directory of the test's own too, so that a test sees no instances but its own.

Read: proc(5), /proc/pid/environ.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from rootlessnet.netns import prerequisites
from tests.e2e.addresses import FAMILIES, Addresses

if TYPE_CHECKING:
    from tests.e2e.family import Family
    from tests.e2e.outside import Outside
    from tests.e2e.screen import OpenScreen
    from tests.e2e.target import Target

ROOT = Path(__file__).parents[2]
PATIENCE = 20.0  # seconds; what is waited for takes a fraction of one
MARK = "ROOTLESSNET_E2E"
ROOTLESSNET = (sys.executable, "-m", "rootlessnet")

T = TypeVar("T")


def wait_for(condition: Callable[[], T], what: str, timeout: float = PATIENCE) -> T:
    """What `condition` gives once it gives something true; it is asked every 10 ms.

    The test fails when that has not happened after `timeout` seconds; `what` tells the reader of
    the failure what was missing.
    """
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout} seconds for {what}")
        time.sleep(0.01)
    return value


def needs(*programs: str) -> pytest.MarkDecorator:
    """The mark of tests that are skipped where one of these programs is missing."""
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


class Program:
    """A program, by the first words of its command line."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def run(
        self, *arguments: str, stdin: str = "", timeout: float = PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """From its start to its end, which comes within `timeout` seconds or the test fails."""
        return subprocess.run(
            [*self.words, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    @contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """While it runs, with pipes; the end of the block terminates what still runs."""
        with subprocess.Popen(
            [*self.words, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.terminate()
                try:
                    process.communicate(timeout=PATIENCE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise

    @contextmanager
    def serving(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Like `started`, once it has said `ready` on a line of its own."""
        with self.started(*arguments) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            if line != "ready\n":
                process.terminate()
                _, error = process.communicate(timeout=PATIENCE)
                pytest.fail(f"it should say it is ready, and said {line!r}: {error}")
            yield process


@pytest.fixture(params=FAMILIES, ids=str)
def ip(request: pytest.FixtureRequest) -> Addresses:
    """The addresses of each family in turn."""
    addresses: Addresses = request.param
    return addresses


@pytest.fixture
def rootlessnet() -> Program:
    """`rootlessnet` of this tree, run by the Python that runs the tests."""
    return Program(*ROOTLESSNET)


@pytest.fixture
def outside() -> Iterator["Outside"]:
    """A host of the test's own."""
    from tests.e2e.outside import make_outside  # which needs this module

    with make_outside() as host:
        yield host


@pytest.fixture
def target() -> Iterator["Target"]:
    """A process in namespaces of its own, to attach to."""
    from tests.e2e.target import make_target  # which needs this module

    with make_target() as made:
        yield made


@pytest.fixture(scope="session")
def needs_namespaces() -> None:
    """Skips where a guest cannot be made, with the reason and the remedy."""
    for check in (prerequisites.check_namespaces(), prerequisites.check_tun()):
        if not check.passed:
            pytest.skip(f"{check.name}: {check.detail}: {check.remedy}")


@pytest.fixture
def family() -> Iterator["Family"]:
    """Guests without a stack, of whom no process may be left."""
    from tests.e2e.family import Family  # which needs this module

    family = Family()
    yield family
    assert not family.end(), "processes were left behind"


@pytest.fixture
def open_screen() -> Iterator["OpenScreen"]:
    """Opens terminals, which are closed when the test has ended."""
    from tests.e2e.screen import Screen

    screens: list[Screen] = []

    def open_one(words: list[str], term: str = "dumb") -> Screen:
        screens.append(Screen(words, term))
        return screens[-1]

    yield open_one
    for screen in screens:
        screen.close()


@pytest.fixture(autouse=True)
def nothing_left_behind(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    mark = str(uuid.uuid4())
    monkeypatch.setenv(MARK, mark)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    # pytest's own folders have paths too long for a socket.
    with tempfile.TemporaryDirectory(prefix="rn-") as runtime:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        yield
    left = end_carriers(f"{MARK}={mark}")
    assert not left, f"left behind: {', '.join(left.values())}"


def end_carriers(mark: str) -> dict[int, str]:
    """The carriers of `mark` that do not end by themselves: they are killed."""
    deadline = time.monotonic() + PATIENCE
    while (left := carriers(mark)) and time.monotonic() < deadline:
        time.sleep(0.01)
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return left


def carriers(mark: str) -> dict[int, str]:
    """The command lines, by process id, of those that have `mark` in their environment."""
    wanted = mark.encode()
    carriers = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError):  # another user's, or gone
            if entry.name.isdigit() and wanted in (entry / "environ").read_bytes().split(b"\0"):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                carriers[int(entry.name)] = b" ".join(words).decode(errors="replace")
    return carriers
