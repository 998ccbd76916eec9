"""Guests of tests/netns/parent.py, which has no stack, and the processes that descend from them.

Every process of a guest carries a mark in its environment, and when a test ends, none may be left.
"""

import os
import subprocess
import sys
import uuid

from tests.e2e.conftest import ROOT, carriers, end_carriers

PARENT = ROOT / "tests" / "netns" / "parent.py"
PATIENCE = 8.0  # seconds for what takes a fraction of one


class Family:
    """The processes that descend from the parents started here."""

    def __init__(self) -> None:
        self.mark = f"ROOTLESSNET_TEST={uuid.uuid4()}"
        name, _, value = self.mark.partition("=")
        self.environment = os.environ | {name: value, "PYTHONPATH": str(ROOT)}
        self._parents: list[subprocess.Popen[str]] = []

    @staticmethod
    def words(*command: str, options: tuple[str, ...] = ()) -> list[str]:
        """The command line of a parent."""
        return [sys.executable, str(PARENT), *options, "--", *command]

    def run(self, *command: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """A guest from its beginning to its end."""
        return self.run_words(self.words(*command, options=options))

    def run_words(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        """Any program, with the mark."""
        return subprocess.run(
            words,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def start(self, *command: str, options: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
        """A guest whose command says a line when it runs; until then nothing is certain."""
        parent = subprocess.Popen(
            self.words(*command, options=options),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._parents.append(parent)
        return parent

    def members(self) -> set[int]:
        """Who carries the mark."""
        return set(carriers(self.mark))

    def end(self) -> set[int]:
        """Who is left after a moment; nobody is, after this."""
        left = set(end_carriers(self.mark))
        for parent in self._parents:
            parent.communicate()
        return left
