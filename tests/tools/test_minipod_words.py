"""The command line of tools/minipod, and that it needs nothing but the public API."""

import ast
from pathlib import Path

import pytest

import rootlessnet
from rootlessnet import Forward, UsageError
from tools import minipod
from tools.minipod import Volume, parse

RUN = ("run", "--rootfs=root")


def test_what_a_container_is_like() -> None:
    options = ("-p", "8080:80", "-p", "53/udp", "-e", "A=b=c", "-e", "EMPTY=", "-w", "/srv")
    volumes = ("-v", "data:/data", "-v", "/etc:/host/etc:ro")
    found = parse([*RUN, *options, *volumes, "--", "sh", "-c", "--", "exit"])
    assert found.publish == [(Forward(8080, 80),), (Forward(0, 53, "udp"),)]
    assert found.env == [("A", "b=c"), ("EMPTY", "")]
    assert found.volume == [
        Volume("data", "/data", read_only=False),
        Volume("/etc", "/host/etc", read_only=True),
    ]
    assert (found.workdir, found.rootfs) == ("/srv", "root")
    assert found.command == ["sh", "-c", "--", "exit"]


def test_each_container_has_a_name_of_its_own() -> None:
    first, second = (parse([*RUN, "true"]).name for _ in range(2))
    assert first != second
    assert parse([*RUN, "--name=web", "true"]).name == "web"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "SUBCOMMAND"),
        (["run", "--", "true"], "--rootfs"),
        ([*RUN], "no command given"),
        ([*RUN, "--"], "no command given"),
        (["exec", "web"], "no command given"),
        ([*RUN, "-e", "A", "true"], "write NAME=VALUE"),
        ([*RUN, "-e", "=b", "true"], "write NAME=VALUE"),
        ([*RUN, "-v", "/etc", "true"], "write HOST:GUEST"),
        ([*RUN, "-v", "/etc:etc", "true"], "write HOST:GUEST"),
        ([*RUN, "-v", ":/etc", "true"], "write HOST:GUEST"),
        ([*RUN, "-v", "/etc:/etc:rw", "true"], "write HOST:GUEST"),
        (["stop", "-t", "soon", "web"], "invalid float value"),
    ],
)
def test_words_without_sense(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(words)
    assert said in capsys.readouterr().err


def test_ports_are_read_as_rootlessnet_reads_them() -> None:
    with pytest.raises(UsageError, match="from 1 to 65535"):
        parse([*RUN, "-p", "80:0", "true"])


def test_the_public_api_is_enough() -> None:
    tree = ast.parse(Path(minipod.__file__).read_text())
    modules = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not {name for name in modules if name.startswith("rootlessnet.")}
    ours = [node for node in froms if (node.module or "").startswith("rootlessnet")]
    assert {node.module for node in ours} == {"rootlessnet"}
    assert {alias.name for node in ours for alias in node.names} <= set(rootlessnet.__all__)
