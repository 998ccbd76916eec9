"""The entry: subcommands, and how every end becomes a line and an exit status."""

import subprocess
import sys
from pathlib import Path

import pytest

import rootlessnet
from rootlessnet.cli.main import main
from rootlessnet.errors import CommandError, RootlessnetError
from tests.cli.conftest import Rooms

HEAVY = {"asyncio", "uvloop", "pytun", "shutil", "subprocess"}


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr() == (f"rootlessnet {rootlessnet.__version__}\n", "")


@pytest.mark.parametrize(
    "subcommand",
    [[], ["run"], ["attach"], ["ps"], ["port"], ["stop"], ["doctor"]],
)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_goes_to_standard_output_in_80_columns(
    subcommand: list[str], option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*subcommand, option]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"usage: {' '.join(['rootlessnet', *subcommand])} ")
    assert max(map(len, out.splitlines())) <= 80
    assert err == ""


@pytest.mark.parametrize("subcommand", ["run", "attach", "ps", "port", "stop", "doctor"])
def test_the_help_names_every_subcommand(
    subcommand: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--help"])
    assert f"\n  {subcommand} " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "no subcommand given: see rootlessnet --help"),
        (["-p", "1:2"], "option '-p' needs a subcommand before it: see rootlessnet --help"),
        (
            ["ls"],
            (
                "unknown subcommand 'ls': to run a command of that name, write "
                "rootlessnet run -- ls, or see rootlessnet --help"
            ),
        ),
    ],
)
def test_a_usage_error_is_one_line_and_status_2(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert capsys.readouterr() == ("", f"rootlessnet: {line}\n")


@pytest.mark.parametrize("subcommand", ["run", "attach"])
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RootlessnetError("no /dev/net/tun: as root: modprobe tun"), 1),
        (CommandError("no such command: install it", 127), 127),
        (CommandError("not executable: chmod it", 126), 126),
    ],
)
@pytest.mark.parametrize("moment", ["start", "serve"])
def test_an_error_of_the_rooms_below_is_one_line_and_its_status(
    subcommand: str,
    error: RootlessnetError,
    status: int,
    moment: str,
    rooms: Rooms,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> int:
        raise error

    monkeypatch.setattr(rooms, moment, fail)
    assert main([subcommand, "1"]) == status
    assert capsys.readouterr() == ("", f"rootlessnet: {error}\n")
    assert rooms.calls == (["start"] if moment == "start" else ["start", "serve", "close"])


def test_control_characters_never_reach_the_terminal(
    rooms: Rooms, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise RootlessnetError("cannot run 'a\nb\x1b[2J\u2028\udcff é'")

    rooms.start = fail
    assert main(["run", "ls"]) == 1
    line = "rootlessnet: cannot run 'a\\nb\\x1b[2J\\u2028\\udcff é'\n"
    assert capsys.readouterr().err == line


@pytest.mark.parametrize("words", [["run"], ["attach", "123"]])
def test_the_process_is_hardened_unless_told_otherwise(rooms: Rooms, words: list[str]) -> None:
    main(words)
    assert rooms.hardened
    main([words[0], "--no-hardening", *words[1:]])
    assert not rooms.hardened


def test_a_defect_is_not_hidden(rooms: Rooms) -> None:
    rooms.serve = lambda: 1 // 0
    with pytest.raises(ZeroDivisionError):
        main(["run", "ls"])
    assert rooms.calls[-1] == "close"


def test_nothing_heavy_is_imported_before_the_fork() -> None:
    program = (
        "import sys; before = set(sys.modules)\n"
        "from rootlessnet.cli import main, run\n"
        "run.parse(['-p', '1:2', '--mtu', '1500', 'ls'])\n"
        "print(*(set(sys.modules) - before))"
    )
    imported = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(rootlessnet.__file__).parent.parent,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        timeout=60,
    ).stdout.split()
    rooms = {"app", "host", "netns", "stack", "tcp", "wire", "control", "hardening", "cli.doctor"}
    assert "rootlessnet.cli.run" in imported
    assert not (HEAVY | {f"rootlessnet.{room}" for room in rooms}) & set(imported)
