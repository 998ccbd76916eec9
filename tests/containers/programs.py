"""The programs that give containers their network, each under the name of slirp4netns.

An engine starts a script of this name, which writes down with what arguments and as which process,
and then becomes the program: the process that was started is the one that is watched and killed.
"""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.conftest import ROOT

PROGRAMS: dict[str, Sequence[str]] = {
    "slirp4netns": ("/usr/bin/slirp4netns",),
    "rootlessnet": (sys.executable, "-m", "rootlessnet", "slirp4netns"),
}
NAME = "slirp4netns"
MARK = "CONTAINERS_PROGRAM"  # which of them a process descends from: the directory
_QUESTIONS = {"--help", "--version", "-h", "-v"}


@dataclass(frozen=True, slots=True)
class Call:
    """A start of the program, as the process of this id of the machine's."""

    process: int
    arguments: tuple[str, ...]


class NetworkProgram:
    """One of PROGRAMS. The directory holds it and what has been written down."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.directory = directory / "bin"
        self.path = self.directory / NAME
        self._log = directory / "calls"
        self.directory.mkdir()
        self._log.touch()
        command = shlex.join(PROGRAMS[name])
        self.path.write_text(
            "#!/bin/sh\n"
            f'printf "%s " "$$" "$@" >> {shlex.quote(str(self._log))}\n'
            f"echo >> {shlex.quote(str(self._log))}\n"
            f"export {MARK}={shlex.quote(str(self.directory))}\n"
            f"export PYTHONPATH={shlex.quote(str(ROOT))} PYTHONSAFEPATH=1\n"
            f'exec {command} "$@"\n'
        )
        self.path.chmod(0o755)

    def calls(self) -> list[Call]:
        """Its starts so far, but for those that only asked for its version or its options."""
        calls = []
        for line in self._log.read_text().splitlines():
            process, *arguments = line.split()
            if not _QUESTIONS.intersection(arguments):
                calls.append(Call(int(process), tuple(arguments)))
        return calls
