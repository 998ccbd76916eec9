"""The rooms below the command line, faked: they write down what they are asked for."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType

import pytest

from rootlessnet.config import AttachConfig, RunConfig
from rootlessnet.forward import Forward
from rootlessnet.log import Log


@dataclass
class Rooms:
    """Stands for netns and app: `calls` says what happened, the test sets what shall happen."""

    calls: list[str] = field(default_factory=list)
    configs: list[RunConfig | AttachConfig] = field(default_factory=list)
    start: Callable[[], None] = lambda: None
    serve: Callable[[], int] = lambda: 0
    published: tuple[Forward, ...] = ()  # those whose host port is found
    news: tuple[str, ...] = ()  # for the user
    hardened: bool = False

    def close(self) -> None:
        """As a Guest and an Attachment have it."""
        self.calls.append("close")


@pytest.fixture
def rooms(monkeypatch: pytest.MonkeyPatch) -> Rooms:
    """Fakes in place of launch and attach in `rootlessnet.netns`, and of `rootlessnet.running`; the
    host has no say in a config.

    The fake app can be imported only once the child has been forked, as start-up time demands.
    """
    rooms = Rooms()

    def start(config: RunConfig | AttachConfig) -> Rooms:
        rooms.calls.append("start")
        rooms.configs.append(config)
        rooms.start()
        monkeypatch.setitem(sys.modules, app.__name__, app)
        return rooms

    def serve(
        guest: Rooms,
        config: RunConfig | AttachConfig,
        published: Callable[[Forward], None],
        log: Log,
        hardening: bool,
        sandbox: bool = False,
    ) -> int:
        assert guest is rooms
        assert config is rooms.configs[-1]
        for forward in rooms.published:
            published(forward)
        for line in rooms.news:
            log.info(line)
        rooms.hardened = hardening
        rooms.calls.append("serve")
        return rooms.serve()

    def fake(name: str, **attributes: object) -> ModuleType:
        module = ModuleType(name)
        for attribute, value in attributes.items():
            setattr(module, attribute, value)
        return module

    app = fake("rootlessnet.running", run_guest=serve, run_attachment=serve)
    monkeypatch.setitem(sys.modules, app.__name__, None)  # importing it now raises ImportError
    for module in (
        fake("rootlessnet.netns.launch", launch=start),
        fake("rootlessnet.netns.attach", attach=start),
        fake("rootlessnet.ipv6_default", settled=lambda config: config),
    ):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return rooms
