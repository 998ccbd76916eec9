"""Options in the manner of GNU getopt_long, for a program whose callers know no other.

Options may follow the operands until a `--`; a long one may be cut short as long as it means one
option; its argument is the rest after `=`, or the next word; short ones may share a word, in which
the argument is what follows its letter, or the next word. Everything comes out in the order of the
words, so that whoever reads it can stop at `--help` before it meets an error further on.

It imports next to nothing: what calls it asks for `--help` and `--version` often.

Read: getopt_long(3); Program Argument Syntax Conventions in the GNU C Library's manual.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rootlessnet.errors import UsageError


class Option(NamedTuple):
    """`argument` is the name of the one that it takes, empty for none; `short` one letter."""

    name: str
    short: str = ""
    argument: str = ""
    help: str = ""


OPERAND = Option("")  # stands beside a word that is no option


def read(words: Iterable[str], options: Iterable[Option]) -> Iterator[tuple[Option, str]]:
    """Each option with its argument, empty for one that takes none, and each operand.

    Raises UsageError, in the words of the C library, when it comes to the word at fault.
    """
    table = tuple(options)
    rest = iter(words)
    for word in rest:
        if word == "--":
            yield from ((OPERAND, operand) for operand in rest)
        elif word.startswith("--"):
            yield _long(word, table, rest)
        elif word.startswith("-") and word != "-":
            yield from _short(word[1:], table, rest)
        else:
            yield OPERAND, word


def _long(word: str, table: tuple[Option, ...], rest: Iterator[str]) -> tuple[Option, str]:
    name, equals, argument = word[2:].partition("=")
    option = _named(name, table)
    if equals and not option.argument:
        raise UsageError(f"option '--{option.name}' doesn't allow an argument")
    if option.argument and not equals:
        following = next(rest, None)
        if following is None:
            raise UsageError(f"option '--{option.name}' requires an argument")
        argument = following
    return option, argument


def _named(name: str, table: tuple[Option, ...]) -> Option:
    found = [option for option in table if option.name.startswith(name)]
    exact = [option for option in found if option.name == name]
    match exact or found:
        case [option]:
            return option
        case []:
            raise UsageError(f"unrecognized option '--{name}'")
    possible = " ".join(f"'--{option.name}'" for option in found)
    raise UsageError(f"option '--{name}' is ambiguous; possibilities: {possible}")


def _short(
    letters: str, table: tuple[Option, ...], rest: Iterator[str]
) -> Iterator[tuple[Option, str]]:
    while letters:
        letter, letters = letters[0], letters[1:]
        option = next((option for option in table if option.short == letter), None)
        if option is None:
            raise UsageError(f"invalid option -- '{letter}'")
        if not option.argument:
            yield option, ""
            continue
        argument = letters or next(rest, None)
        if argument is None:
            raise UsageError(f"option requires an argument -- '{letter}'")
        yield option, argument
        return
