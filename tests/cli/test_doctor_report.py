"""`doctor`: its report and its exit status, from checks made up here."""

import pytest

from rootlessnet.cli import doctor
from rootlessnet.cli.main import main
from rootlessnet.netns.prerequisites import Check

PASSED = Check("user namespaces", True, "this user can make them")
MISSING = Check("tun", False, "cannot open it (Permission denied)", "as root: chmod 0666 tun")
OPTIONAL = Check("ping", False, "no group", "as root: sysctl -w range", required=False)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Check]:
    """The checks that are made, to be filled by the test."""
    made: list[Check] = []
    monkeypatch.setattr(doctor, "checks", lambda: iter(made))
    return made


def test_all_passed(given: list[Check], capsys: pytest.CaptureFixture[str]) -> None:
    given.append(PASSED)
    assert main(["doctor"]) == 0
    assert capsys.readouterr() == (
        "pass  user namespaces  this user can make them\n\nrootlessnet can run here.\n",
        "",
    )


def test_a_required_one_failed(given: list[Check], capsys: pytest.CaptureFixture[str]) -> None:
    given += [PASSED, MISSING, OPTIONAL]
    assert main(["doctor"]) == 1
    assert capsys.readouterr().out == (
        "pass  user namespaces  this user can make them\n"
        "fail  tun              cannot open it (Permission denied)\n"
        "                       -> as root: chmod 0666 tun\n"
        "fail  ping (optional)  no group\n"
        "                       -> as root: sysctl -w range\n"
        "\n"
        "rootlessnet cannot run here yet: mend what fails and is not optional.\n"
    )


def test_only_an_optional_one_failed(
    given: list[Check], capsys: pytest.CaptureFixture[str]
) -> None:
    given += [PASSED, OPTIONAL]
    assert main(["doctor"]) == 0
    assert "\nrootlessnet can run here, without the optional" in capsys.readouterr().out


def test_colour_tells_the_three_apart_and_moves_nothing() -> None:
    plain = doctor.report([PASSED, MISSING, OPTIONAL], colour=False)
    coloured = doctor.report([PASSED, MISSING, OPTIONAL], colour=True)
    assert [line[:9] for line in coloured.splitlines() if line.startswith("\x1b")] == [
        "\x1b[32mpass",
        "\x1b[31mfail",
        "\x1b[33mfail",
    ]
    for code in ("\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[m"):
        coloured = coloured.replace(code, "")
    assert coloured == plain


def test_what_a_check_found_cannot_break_the_lines() -> None:
    odd = Check("a\nb", False, "c\x1b[2J", "d\re")
    report = doctor.report([odd], colour=False)
    assert report.splitlines()[:2] == ["fail  a\\nb  c\\x1b[2J", "            -> d\\re"]


def test_it_takes_no_operand(given: list[Check], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "me"]) == 2
    assert capsys.readouterr().err == (
        "rootlessnet: unknown argument 'me': see rootlessnet doctor --help\n"
    )


def test_what_is_in_force() -> None:
    assert doctor.check_seccomp(available=True).passed
    assert doctor.check_landlock(1).passed
    for check in (doctor.check_seccomp(available=False), doctor.check_landlock(0)):
        assert not check.passed
        assert not check.required
        assert "works without" in check.remedy


def test_the_kernel_is_asked_too() -> None:
    names = [check.name for check in doctor.checks()]
    assert names[-2:] == ["seccomp", "Landlock"]
