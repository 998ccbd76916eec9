"""`attach`: what names the namespace, and the options it shares with `run`."""

import pytest

from rootlessnet.cli.attach import parse
from rootlessnet.cli.main import main
from rootlessnet.config import AttachConfig, NetworkConfig
from rootlessnet.forward import Forward
from rootlessnet.publishing import PublishAll
from tests.cli.conftest import Rooms


@pytest.mark.parametrize(
    ("words", "config"),
    [
        (["123"], AttachConfig(123)),
        (["./123"], AttachConfig("./123")),
        (["/run/netns/x"], AttachConfig("/run/netns/x")),
        (["--", "-x"], AttachConfig("-x")),
        (["n", "--userns-path", "u"], AttachConfig("n", "u")),
        (["--userns-path=u", "n"], AttachConfig("n", "u")),
        (["--name", "web", "7"], AttachConfig(7, name="web")),
        (["--no-offload", "7"], AttachConfig(7, network=NetworkConfig(offload=False))),
        (["-P", "7"], AttachConfig(7, network=NetworkConfig(publish_all=PublishAll()))),
        (["7", "-P"], AttachConfig(7, network=NetworkConfig(publish_all=PublishAll()))),
        (
            ["-p", "1:2", "7", "--mtu", "1500"],
            AttachConfig(7, network=NetworkConfig(mtu=1500, forwards=(Forward(1, 2),))),
        ),
    ],
)
def test_options_stand_before_or_after_the_target(words: list[str], config: AttachConfig) -> None:
    assert parse(words) == config


def test_the_exit_status_is_that_of_the_attachment(rooms: Rooms) -> None:
    rooms.serve = lambda: 3
    assert main(["attach", "123"]) == 3
    assert rooms.calls == ["start", "serve", "close"]
    assert rooms.configs == [AttachConfig(123)]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            [],
            "the following arguments are required: PID|NETNS_PATH: see rootlessnet attach --help",
        ),
        (["1", "2"], "unknown argument '2': see rootlessnet attach --help"),
        (["1", "--no-pid"], "unknown option '--no-pid': see rootlessnet attach --help"),
        (["0"], "'0' is not a process id: a path to a file of that name is written ./0"),
        ([""], "the target is empty: name a process id or the path of a network namespace"),
    ],
)
def test_a_usage_error_is_one_line_and_starts_nothing(
    words: list[str], line: str, rooms: Rooms, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["attach", *words]) == 2
    assert capsys.readouterr() == ("", f"rootlessnet: {line}\n")
    assert rooms.calls == []
