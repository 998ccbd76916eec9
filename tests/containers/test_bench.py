"""The benchmark of podman, with podman."""

import json
import sys
from pathlib import Path

from tests.containers.machine import Machine
from tests.e2e.conftest import ROOT, wait_for


def test_podman_is_measured(machine: Machine, tmp_path: Path) -> None:
    """And nothing of it goes on."""
    report = tmp_path / "report.json"
    options = ("--rows=podman-start,podman-download", "--mtu=65520", f"--json={report}")
    words = (sys.executable, f"{ROOT}/bench/compare.py", "--peers=slirp4netns,loopback", *options)

    def processes() -> int:
        return len(machine.program("ps", "-eo", "pid=").run().stdout.splitlines())

    before = processes()
    done = machine.program(*words, "--rounds=1").run(timeout=60)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: processes() == before, "the end of what was started")
    for row in json.loads(report.read_text())["rows"]:
        measured = row["peers"]["slirp4netns"]
        assert measured["median"] > 0, measured["failures"]
        assert row["peers"]["loopback"] == {"median": None, "rounds": [], "failures": []}
