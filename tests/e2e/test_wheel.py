"""What is installed from here: a wheel, with everything that belongs to it, and a script.

The build tool comes from the package index, the packages that the program needs are the tester's.
"""

import sys
import zipfile
from pathlib import Path

import pytest

from rootlessnet import __version__
from tests.e2e.conftest import ROOT, Program

pytestmark = pytest.mark.usefixtures("needs_namespaces")


@pytest.mark.timeout(240)
def test_the_wheel_installs_a_program_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH")  # what is in this tree shall not help
    pip = (sys.executable, "-I", "-m", "pip", "--no-input")
    wheels, environment = tmp_path / "wheels", tmp_path / "environment"
    built = Program(*pip, "wheel", "--no-deps", "--wheel-dir").run(
        str(wheels), str(ROOT), timeout=200
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = wheels.iterdir()
    assert wheel.name == f"rootlessnet-{__version__}-py3-none-any.whl"
    sources = {str(path.relative_to(ROOT)) for path in ROOT.glob("rootlessnet/**/*.py")}
    with zipfile.ZipFile(wheel) as file:
        names = {name for name in file.namelist() if name.startswith("rootlessnet/")}
    assert names == sources | {"rootlessnet/py.typed"}

    made = Program(sys.executable, "-I", "-m", "venv", "--without-pip").run(str(environment))
    assert made.returncode == 0, made.stderr
    python = environment / "bin" / "python"
    installed = Program(*pip, "--python", str(python), "install", "--no-deps", "--no-index").run(
        str(wheel)
    )
    assert installed.returncode == 0, installed.stderr
    (packages,) = environment.glob("lib/python3*/site-packages")
    testers = next(path for path in sys.path if path.endswith("site-packages"))
    (packages / "testers.pth").write_text(testers)

    script = Program(str(environment / "bin" / "rootlessnet"))
    assert script.run("--version").stdout == f"rootlessnet {__version__}\n"
    slirp4netns = Program(str(environment / "bin" / "rootlessnet-slirp4netns"))
    assert "SLIRP_CONFIG_VERSION_MAX: " in slirp4netns.run("--version").stdout
    done = script.run("run", "--", "sh", "-c", "exit 5")
    assert (done.returncode, done.stderr) == (5, "")
