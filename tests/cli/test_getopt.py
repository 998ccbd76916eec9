"""The manners of getopt_long(3), against a table of the test's own."""

import pytest

from rootlessnet.cli.getopt import OPERAND, Option, read
from rootlessnet.errors import UsageError

ALL = Option("all", "a")
BRIEF = Option("brief", "b")
COUNT = Option("count", "c", "N")
COLOUR = Option("colour", argument="WHEN")
COLOURLESS = Option("colourless")
TABLE = (ALL, BRIEF, COUNT, COLOUR, COLOURLESS)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], []),
        (["x", "y"], [(OPERAND, "x"), (OPERAND, "y")]),
        (["x", "-a", "y", "--brief"], [(OPERAND, "x"), (ALL, ""), (OPERAND, "y"), (BRIEF, "")]),
        (["--count=3"], [(COUNT, "3")]),
        (["--count", "3"], [(COUNT, "3")]),
        (["--count="], [(COUNT, "")]),
        (["--count=a=b"], [(COUNT, "a=b")]),
        (["--count", "--all"], [(COUNT, "--all")]),
        (["--cou", "3"], [(COUNT, "3")]),
        (["--cou=3"], [(COUNT, "3")]),
        (["--a"], [(ALL, "")]),
        (["--colour", "no"], [(COLOUR, "no")]),  # the whole name, though another begins with it
        (["--colourl"], [(COLOURLESS, "")]),
        (["-ab"], [(ALL, ""), (BRIEF, "")]),
        (["-abc3"], [(ALL, ""), (BRIEF, ""), (COUNT, "3")]),
        (["-abc", "3"], [(ALL, ""), (BRIEF, ""), (COUNT, "3")]),
        (["-c", "-a"], [(COUNT, "-a")]),
        (["-"], [(OPERAND, "-")]),
        (["--", "-a", "--", "x"], [(OPERAND, "-a"), (OPERAND, "--"), (OPERAND, "x")]),
        (["-c", "--", "-a"], [(COUNT, "--"), (ALL, "")]),
        ([""], [(OPERAND, "")]),
    ],
)
def test_what_is_read(words: list[str], found: list[tuple[Option, str]]) -> None:
    assert list(read(words, TABLE)) == found


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--nosuch"], "unrecognized option '--nosuch'"),
        (["--nosuch=1"], "unrecognized option '--nosuch'"),
        (
            ["--co"],
            "option '--co' is ambiguous; possibilities: '--count' '--colour' '--colourless'",
        ),
        (["--all=1"], "option '--all' doesn't allow an argument"),
        (["--al="], "option '--all' doesn't allow an argument"),
        (["--count"], "option '--count' requires an argument"),
        (["-c"], "option requires an argument -- 'c'"),
        (["-ac"], "option requires an argument -- 'c'"),
        (["-ax"], "invalid option -- 'x'"),
        (["-1"], "invalid option -- '1'"),
    ],
)
def test_what_is_none(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        list(read(words, TABLE))
    assert str(raised.value) == message


def test_what_stands_before_an_error_comes_out_first() -> None:
    found = read(["-a", "--nosuch"], TABLE)
    assert next(found) == (ALL, "")
    with pytest.raises(UsageError):
        next(found)
