"""pip(1) in a guest: from the index that it is set up for, and from one of either family."""

import os
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.e2e.addresses import Addresses
from tests.e2e.conftest import Program
from tests.e2e.outside import Outside

PIP = (sys.executable, "-m", "pip", "download", "--no-cache-dir", "--no-deps")
INDEX = "index.example"
WHEEL = "present-1.0-py3-none-any.whl"


@pytest.fixture
def only_networked_indexes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the indexes in pip's settings, those that are over a network."""
    for variable in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        places = os.environ.get(variable, "").split()
        monkeypatch.setenv(variable, " ".join(url for url in places if url.startswith("http")))


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("only_networked_indexes")
def test_pip_download(rootlessnet: Program, tmp_path: Path) -> None:
    """From over the network: neither from pip's cache nor from a directory of wheels."""
    done = rootlessnet.run("run", "--", *PIP, "--dest", str(tmp_path), "six", timeout=200)
    assert done.returncode == 0, done.stderr
    assert "Downloading" in done.stdout
    assert [path.name for path in tmp_path.glob("six-*")]


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """The directory of an index that has one wheel, of which pip reads the metadata alone."""
    project = tmp_path / "index" / "present"
    project.mkdir(parents=True)
    with ZipFile(project / WHEEL, "w") as wheel:
        directory = "present-1.0.dist-info"
        wheel.writestr(
            f"{directory}/METADATA", "Metadata-Version: 2.1\nName: present\nVersion: 1.0\n"
        )
        wheel.writestr(f"{directory}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{directory}/RECORD", "")
    return project.parent


def test_pip_download_from_either_family(
    outside: Outside, ip: Addresses, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From an index that has an address of one family alone."""
    for variable in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(variable)
    for variable in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.upper(), raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    words = (sys.executable, "-u", "-m", "http.server", "--directory", str(index))
    options = ("--index-url", f"http://{INDEX}:8000/", "--trusted-host", INDEX)
    destination = tmp_path / "downloaded"
    with outside.program(*words, "--bind", ip.address, "8000").started() as server:
        assert server.stdout is not None
        assert server.stdout.readline().startswith("Serving HTTP")
        done = outside.rootlessnet.run(
            *("run", "--add-host", f"{INDEX}:{ip.address}", "--"),
            *(*PIP, *options, "--dest", str(destination), "present"),
        )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in destination.iterdir()] == [WHEEL]
