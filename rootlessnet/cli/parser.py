"""argparse with this program's manners: a usage error is one line, help has 80 columns.

Read: the argparse page of the Python library reference, and its section on exiting methods.
"""

import argparse
from typing import NoReturn, TypeVar

from rootlessnet.cli import output
from rootlessnet.errors import UsageError

Arguments = TypeVar("Arguments", bound=argparse.Namespace)


class Parser(argparse.ArgumentParser):
    """The parser of one subcommand, which raises `UsageError` instead of printing the usage."""

    def __init__(self, subcommand: str, operands: str, description: str, epilog: str) -> None:
        super().__init__(
            prog=f"rootlessnet {subcommand}",
            usage=f"%(prog)s {operands}",
            description=description,
            epilog=epilog,
            formatter_class=_HelpFormatter,
            allow_abbrev=False,  # a new option must not change the meaning of an old script
        )

    def parse(self, words: list[str], arguments: Arguments) -> Arguments:
        """Fill `arguments` from `words`. Ends the program when the help is asked for."""
        arguments, surplus = self.parse_known_args(self._closed(words), arguments)
        if surplus:
            kind = "option" if surplus[0].startswith("-") else "argument"
            self.error(f"unknown {kind} {surplus[0]!r}")
        return arguments

    def _closed(self, words: list[str]) -> list[str]:
        """`words` where an option whose value may be left out has the sign before it, so that
        argparse does not take the next word for it: `run -P true` becomes `run -P= true`.
        """
        closed = list(words)
        index = 0
        while index < len(words) and words[index].startswith("-") and words[index] != "--":
            action = self._option_string_actions.get(words[index])
            if action is not None and action.nargs == argparse.OPTIONAL:
                closed[index] += "="
            index += 2 if action is not None and action.nargs is None else 1
        return closed

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}: see {self.prog} --help")

    def print_help(self, file: object = None) -> None:
        """Show the help where all output goes; argparse itself never names a `file`."""
        output.write(self.format_help())


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        # argparse makes a formatter for each option added, to check its metavar, and each asks for
        # the terminal's width unless told: that alone imports shutil, at half the parser's price.
        super().__init__(prog, max_help_position=26, width=80)
