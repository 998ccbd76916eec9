"""docs/compatibility.md names the versions that were tested."""

import re

import pytest

from tests.containers.machine import Machine
from tests.e2e.conftest import ROOT


@pytest.mark.parametrize("program", ["podman", "buildah", "rootlesskit"])
def test_the_version_is_named(machine: Machine, program: str) -> None:
    said = machine.program(program, "--version").run().stdout
    version = re.search(r"[0-9]+\.[0-9]+\.[0-9]+", said)
    assert version is not None, said
    document = (ROOT / "docs" / "compatibility.md").read_text(encoding="utf-8")
    assert f"\n| {program} {version.group()} |" in document
