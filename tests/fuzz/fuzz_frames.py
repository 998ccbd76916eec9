"""The coverage-guided fuzzer, frames → stack: `tools/fuzz`, or `python -m tests.fuzz.fuzz_frames`.

Arguments are libFuzzer's. An input that fails is written to a file, which `--play FILE...` plays
again step by step. Read: atheris' README, libFuzzer's -help=1.
"""

import sys
from pathlib import Path


def main() -> None:
    if sys.argv[1:2] == ["--play"]:
        _show(sys.argv[2:])
        return
    import atheris
    from atheris.import_hook import instrument_imports

    with instrument_imports(include=["rootlessnet"], enable_loader_override=False):
        from tests.fuzz.target import play
    atheris.Setup(sys.argv, play)
    atheris.Fuzz()


def _show(paths: list[str]) -> None:
    from tests.fuzz.schedule import decode
    from tests.fuzz.target import play

    for path in paths:
        data = Path(path).read_bytes()
        print(path, *decode(data), sep="\n    ")
        play(data)


if __name__ == "__main__":
    main()
