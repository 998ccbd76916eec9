"""A state folder of the test's own, and a loop on which a server answers."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop

from rootlessnet.state_folder import folder_path


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What XDG_RUNTIME_DIR names. pytest's own folders have paths too long for a socket."""
    with tempfile.TemporaryDirectory(prefix="rn-") as made:
        monkeypatch.setenv("XDG_RUNTIME_DIR", made)
        yield Path(made)


@pytest.fixture
def folder(runtime: Path) -> Path:
    """The state folder, which is not there yet."""
    return Path(folder_path())


@pytest.fixture(params=["uvloop", "asyncio"])
def loop(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop]:
    """An exception in a callback fails the test."""
    failures: list[object] = []
    made = uvloop.new_event_loop() if request.param == "uvloop" else asyncio.new_event_loop()
    made.set_exception_handler(lambda _loop, context: failures.append(context))
    yield made
    made.close()
    assert failures == []
