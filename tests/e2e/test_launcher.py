"""tools/rootlessnet and tools/minipod, on copies of this checkout: the first use, and every use.

A first use installs from the package index, as a user's does.
"""

import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from rootlessnet import __version__
from tests.e2e.conftest import ROOT, wait_for

FIRST_USE_SECONDS = 240
MAKING = "rootlessnet: making a Python environment in "
SHOW_WHAT_CAME = """
import json, os, sys
json.dump([sys.argv[1:], os.getcwd(), dict(os.environ), sys.stdin.read()], sys.stdout)
sys.exit(7)
"""

pytestmark = pytest.mark.timeout(2 * FIRST_USE_SECONDS)


@dataclass(frozen=True)
class Checkout:
    """A copy of what the launcher needs, with a cache directory of its own."""

    directory: Path

    @property
    def path(self) -> Path:
        return self.directory / "a checkout"  # a blank in the path is no obstacle

    @property
    def launcher(self) -> Path:
        return self.path / "tools" / "rootlessnet"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the launcher is started with."""
        return os.environ | {"XDG_CACHE_HOME": str(self.directory / "cache")}

    @property
    def made(self) -> Path:
        """Where the launcher's Python environment stands once it is complete."""
        return Path(f"{self.directory}/cache/rootlessnet{self.path}/run")

    def start(self, **variables: str) -> "subprocess.Popen[str]":
        """The launcher with --version, as the leader of a process group."""
        return subprocess.Popen(
            [self.launcher, "--version"],
            env=self.environment | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )

    def use(self) -> str:
        """Start the launcher, which must work, and return what it said by itself."""
        return said_by(self.start())


def said_by(launcher: "subprocess.Popen[str]") -> str:
    with launcher:
        output, said = launcher.communicate(timeout=FIRST_USE_SECONDS)
    assert (launcher.returncode, output) == (0, f"rootlessnet {__version__}\n"), said
    return said


def refused_by(launcher: "subprocess.Popen[str]") -> str:
    """The one line that tells why it did not work."""
    with launcher:
        output, said = launcher.communicate(timeout=FIRST_USE_SECONDS)
    assert (launcher.returncode, output) == (1, "")
    line = said.splitlines()[-1]
    assert line.startswith("rootlessnet: ")
    assert "Traceback" not in said
    return line


def copy_checkout(directory: Path) -> Checkout:
    checkout = Checkout(directory)
    for name in ("rootlessnet", "tools"):
        unwanted = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, checkout.path / name, ignore=unwanted)
    shutil.copy2(ROOT / "pyproject.toml", checkout.path)
    return checkout


@pytest.fixture
def fresh(tmp_path: Path) -> Checkout:
    """Never used."""
    return copy_checkout(tmp_path)


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Used for the first time, by two at once."""
    checkout = copy_checkout(tmp_path_factory.mktemp("launcher"))
    launchers = [checkout.start(), checkout.start()]
    said = [said_by(launcher) for launcher in launchers]
    assert sum(text.count(MAKING) for text in said) == 1
    return checkout


def test_later_uses_say_nothing_and_leave_the_checkout_alone(used: Checkout) -> None:
    assert used.use() == ""
    assert not list(used.path.rglob("__pycache__"))
    assert {path.name for path in used.made.parent.iterdir()} == {"run", "run.lock"}


def test_minipod_has_the_same_environment(used: Checkout, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(used.path / "tools" / "minipod")
    ended = subprocess.run(
        [link, "ps"], env=used.environment, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert not list(used.path.rglob("__pycache__"))


def test_the_program_gets_what_the_launcher_got(used: Checkout, tmp_path: Path) -> None:
    """From any directory, whatever modules are in it, by way of a link, and CDPATH set."""
    program = used.path / "rootlessnet" / "__main__.py"
    original = program.read_text()
    program.write_text(SHOW_WHAT_CAME)
    for name in ("json", "socket", "rootlessnet"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(99)")
    link = tmp_path / "bin" / "link"
    link.parent.mkdir()
    link.symlink_to(used.launcher)
    arguments = ["run", "", "two words", "a\nb", "*", "--", "$HOME"]
    variables = used.environment | {"CDPATH": "/", "checkout": "mine", "PYTHONPATH": str(tmp_path)}
    try:
        ended = subprocess.run(
            ["bin/link", *arguments],
            cwd=tmp_path,
            env=variables,
            input="on standard input",
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        program.write_text(original)
    assert (ended.returncode, ended.stderr) == (7, "")
    seen_arguments, directory, seen_variables, stdin = json.loads(ended.stdout)
    for shells_own in ("PWD", "OLDPWD", "_"):
        variables.pop(shells_own, None)
        seen_variables.pop(shells_own, None)
    assert (seen_arguments, seen_variables) == (arguments, variables)
    assert (directory, stdin) == (str(tmp_path), "on standard input")


def test_only_other_dependencies_make_a_new_environment(used: Checkout) -> None:
    pyproject = used.path / "pyproject.toml"
    original = pyproject.read_text()
    inode = used.made.stat().st_ino
    pyproject.write_text(original + "\n# another comment\n")
    assert used.use() == ""
    assert used.made.stat().st_ino == inode
    pyproject.write_text(original.replace('    "dnspython', '    # "dnspython'))
    assert MAKING in used.use()
    assert "dnspython" not in (used.made / "requirements.txt").read_text()
    assert used.use() == ""


def test_a_first_use_that_was_killed_is_no_obstacle_to_the_next(fresh: Checkout) -> None:
    with fresh.start() as launcher:
        wait_for(fresh.made.with_name("run.new").exists, "the environment to be begun")
        os.killpg(launcher.pid, signal.SIGKILL)
        launcher.communicate()
    assert not fresh.made.exists()
    assert fresh.use().count(MAKING) == 1
    assert fresh.use() == ""


def test_no_packages_to_be_had(fresh: Checkout) -> None:
    line = refused_by(fresh.start(PIP_NO_INDEX="1", PIP_FIND_LINKS=""))
    log = fresh.made.with_name("run.log")
    assert str(log) in line
    assert "No matching distribution" in line
    assert not fresh.made.exists()


def test_a_cache_that_cannot_be_written_to(fresh: Checkout) -> None:
    assert "set XDG_CACHE_HOME" in refused_by(fresh.start(XDG_CACHE_HOME="/proc/cache"))


def test_nowhere_to_put_a_cache(fresh: Checkout) -> None:
    assert "HOME is not set" in refused_by(fresh.start(XDG_CACHE_HOME="", HOME=""))
