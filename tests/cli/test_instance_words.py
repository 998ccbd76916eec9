"""`ps`, `port` and `stop`: their words, what they print, and whom they ask for what."""

import json
from ipaddress import ip_address

import pytest

from rootlessnet.cli.main import main
from rootlessnet.cli.ps import table
from rootlessnet.config import AttachConfig, NetworkConfig, RunConfig
from rootlessnet.control import client
from rootlessnet.control.description import InstanceDescription, describe
from rootlessnet.to_host import ToHost

WEB = describe(
    RunConfig(("sh", "-c", "echo \x1b[2J a")), "web", 1234, 100.0, ("8080:80/tcp", "53:53/udp")
)

WAY_BACK = RunConfig(("psql",), NetworkConfig(to_host=(ToHost(6543, 5432),)))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What the client was asked for."""
    calls: list[tuple[object, ...]] = []

    def show(*arguments: object) -> tuple[str, ...]:
        calls.append(("ports", *arguments))
        return WEB.ports

    def publish(*arguments: object) -> tuple[str, ...]:
        calls.append(("publish", *arguments))
        return ("8080:80/tcp",)

    monkeypatch.setattr(client, "ports", show)
    monkeypatch.setattr(client, "publish", publish)
    monkeypatch.setattr(client, "withdraw", lambda *those: calls.append(("withdraw", *those)))
    monkeypatch.setattr(client, "stop", lambda *those: calls.append(("stop", *those)))
    return calls


@pytest.mark.parametrize(
    ("words", "call", "output"),
    [
        (["port", "ls", "web"], ("ports", "web"), "8080:80/tcp\n53:53/udp\n"),
        (
            ["port", "add", "web", "8080:80", "[::1]:1:2"],
            ("publish", "web", ("8080:80", "[::1]:1:2")),
            "8080:80/tcp\n",
        ),
        (["port", "rm", "web", "8080:80"], ("withdraw", "web", ("8080:80",)), ""),
        (["stop", "web"], ("stop", "web", 10.0), ""),
        (["stop", "--time", "0", "1234"], ("stop", "1234", 0.0), ""),
        (["stop", "web", "--time=2.5"], ("stop", "web", 2.5), ""),
    ],
)
def test_what_is_asked_for(
    words: list[str],
    call: tuple[object, ...],
    output: str,
    asked: list[tuple[object, ...]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(words) == 0
    assert asked == [call]
    assert capsys.readouterr() == (output, "")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["ps", "web"], "unknown argument 'web': see rootlessnet ps --help"),
        (["ps", "--all"], "unknown option '--all': see rootlessnet ps --help"),
        (["port"], "no action given: see rootlessnet port --help"),
        (["port", "list"], "unknown action 'list': see rootlessnet port --help"),
        (["port", "--x", "ls"], "unknown action '--x': see rootlessnet port --help"),
        (
            ["port", "ls"],
            "the following arguments are required: ID: see rootlessnet port --help",
        ),
        (["port", "ls", "web", "x"], "unknown argument 'x': see rootlessnet port --help"),
        (
            ["port", "rm", "web"],
            "the following arguments are required: PORTS: see rootlessnet port --help",
        ),
        (
            ["port", "add", "web", "http:80"],
            "port 'http' in 'http:80' is not a number from 1 to 65535",
        ),
        (["stop"], "the following arguments are required: ID: see rootlessnet stop --help"),
        (
            ["stop", "--time", "soon", "web"],
            "time 'soon' is not a number of seconds from 0 to 86400",
        ),
        (
            ["stop", "--time", "86401", "web"],
            "time '86401' is not a number of seconds from 0 to 86400",
        ),
    ],
)
def test_a_usage_error_is_one_line_and_asks_nobody(
    words: list[str],
    line: str,
    asked: list[tuple[object, ...]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(words) == 2
    assert capsys.readouterr() == ("", f"rootlessnet: {line}\n")
    assert asked == []


@pytest.mark.parametrize("action", ["ls", "add", "rm"])
def test_the_help_of_an_action(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["port", action, "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: rootlessnet port ")


def test_the_table() -> None:
    """Nothing of a command reaches the terminal as it is."""
    found = [
        WEB,
        describe(AttachConfig(77), "ns", 5, 3700.0, (), ip_address("127.0.0.2")),
        describe(WAY_BACK, "db", 6, 3760.5, ("80:80/tcp",)),
        InstanceDescription("z", 0, 3760.0, answers=False),
    ]
    assert table(found, 3761.0).splitlines() == [
        "NAME  PID   AGE  HOST-IP    PORTS                            COMMAND",
        "web   1234  1h   -          8080:80/tcp 53:53/udp            sh -c 'echo \\x1b[2J a'",
        "ns    5     1m   127.0.0.2  -                                (attached to 77)",
        "db    6     0s   -          80:80/tcp to-host=6543:5432/tcp  psql",
        "z     ?     1s   -          -                                (does not answer: stopped?)",
    ]


def test_the_clock_was_set_back() -> None:
    assert table([WEB], 0.0).splitlines()[1].split()[2] == "0s"


def test_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("rootlessnet.cli.ps.instances", lambda: [WEB])
    assert main(["ps", "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert (shown["name"], shown["pid"], shown["ports"]) == ("web", 1234, list(WEB.ports))
    assert shown["command"] == list(WEB.command or ())
    assert shown["network"]["guest"] == "10.0.2.100"
