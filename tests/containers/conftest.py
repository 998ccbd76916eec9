"""A machine with an image and servers for all tests, every program in turn, and no survivors."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.containers.engine import Client, Podman
from tests.containers.image import make_root, write_archive
from tests.containers.machine import Machine, make_machine
from tests.containers.programs import MARK, PROGRAMS, NetworkProgram
from tests.containers.servers import Servers, start_servers
from tests.e2e.conftest import needs_namespaces, nothing_left_behind, outside, wait_for

# Fixtures that are for tests here too.
__all__ = ["needs_namespaces", "nothing_left_behind", "outside"]

NEEDED = ("buildah", "busybox", "catatonit", "curl", "newuidmap", "podman", "rootlesskit", "socat")


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    require(*NEEDED)
    with make_machine() as made:
        yield made


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root file system of the containers."""
    require("busybox", "socat")
    directory = tmp_path_factory.mktemp("image") / "root"
    make_root(directory)
    return directory


def require(*programs: str) -> None:
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


@pytest.fixture(scope="session")
def image(machine: Machine, root: Path) -> str:
    """The name of the image, in the store of the machine's user."""
    archive = root.with_name("root.tar")
    write_archive(root, archive)
    name = "localhost/test"
    done = machine.program("podman", "import", "--quiet", str(archive), name).run()
    assert done.returncode == 0, done.stderr
    return name


@pytest.fixture(scope="session")
def servers(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """What there is to be reached on the machine, for programs inside and in builds."""
    with ExitStack() as stack:
        yield start_servers(machine, tmp_path_factory.mktemp("servers"), stack)


# Prints the processes that are there of those given, and those with this setting. The environment
# of one that has locked itself in cannot be read.
_LEFT = """
setting=$1; shift
for process; do [ ! -e /proc/$process ] || echo "$process"; done
grep --no-messages --null-data --line-regexp --fixed-strings --files-with-matches \\
    "$setting" /proc/[0-9]*/environ || :
"""


@pytest.fixture(params=PROGRAMS)
def program(
    request: pytest.FixtureRequest, machine: Machine, tmp_path: Path
) -> Iterator[NetworkProgram]:
    """A program that a test uses, and of which nothing runs any more when it has ended."""
    name = request.param
    assert isinstance(name, str)
    program = NetworkProgram(name, tmp_path)
    yield program
    started = [str(call.process) for call in program.calls()]
    assert started, "the program was not used"
    setting = f"{MARK}={program.directory}"
    left = machine.program("sh", "-c", _LEFT, "sh", setting, *started)
    wait_for(lambda: not left.run().stdout, "the end of the program")


@pytest.fixture
def podman(machine: Machine, program: NetworkProgram, image: str) -> Podman:
    return Podman(machine, program, image)


@pytest.fixture
def client(machine: Machine) -> Client:
    return Client(machine)
