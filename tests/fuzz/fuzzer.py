"""libFuzzer on one target of ours: what the programs `fuzz_…` have in common.

Arguments are libFuzzer's. An input that fails is written to a file, which `--play FILE...` plays
again, step by step. Read: atheris' README, libFuzzer's -help=1.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Protocol


class Target(Protocol):
    """A module: what the fuzzer calls with each input, and what a person is shown of one."""

    play: Callable[[bytes], None]
    explain: Callable[[bytes], list[object]]


def fuzz(target: str) -> None:
    """Do what the command line says with the module of this name."""
    if sys.argv[1:2] == ["--play"]:
        _show(import_module(target), sys.argv[2:])
        return
    import atheris
    from atheris.import_hook import instrument_imports

    with instrument_imports(include=["rootlessnet"], enable_loader_override=False):
        module: Target = import_module(target)
    atheris.Setup(sys.argv, module.play)
    atheris.Fuzz()


def _show(target: Target, paths: list[str]) -> None:
    for path in paths:
        data = Path(path).read_bytes()
        print(path, *target.explain(data), sep="\n    ")
        target.play(data)
