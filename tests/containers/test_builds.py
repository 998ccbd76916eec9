"""Builders of images, which find the program by its name in PATH."""

from pathlib import Path

import pytest

from tests.containers.machine import Machine
from tests.containers.programs import NetworkProgram
from tests.containers.servers import FILE_PORT, NAME, NAMED, Servers
from tests.e2e.outside import ADDRESS


@pytest.mark.parametrize("builder", ["podman build", "buildah bud"])
def test_a_build_reaches_the_internet(
    builder: str,
    machine: Machine,
    program: NetworkProgram,
    image: str,
    servers: Servers,
    tmp_path: Path,
) -> None:
    """A step with a network for each of two instructions."""
    (tmp_path / "Containerfile").write_text(
        f"FROM {image}\n"
        f"RUN nslookup {NAME} 10.0.2.3\n"
        f"RUN wget -q -O - http://{ADDRESS}:{FILE_PORT}/ | sha256sum\n"
    )
    words = [*builder.split(), "--no-cache", "--file", str(tmp_path / "Containerfile")]
    done = machine.program(*words, str(tmp_path), path=program.directory).run()
    assert done.returncode == 0, done.stderr
    assert f"Address: {NAMED}" in done.stdout
    assert f"{servers.digest}  -" in done.stdout
    assert len(program.calls()) == 2
