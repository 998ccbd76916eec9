"""The index that pip is set up for, from inside a guest."""

import os
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Program


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
    pip = (sys.executable, "-m", "pip", "download", "--no-cache-dir", "--no-deps")
    done = rootlessnet.run("run", "--", *pip, "--dest", str(tmp_path), "six", timeout=200)
    assert done.returncode == 0, done.stderr
    assert "Downloading" in done.stdout
    assert [path.name for path in tmp_path.glob("six-*")]
