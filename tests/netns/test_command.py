"""What is said of a command that cannot be executed."""

import errno
from pathlib import Path

import pytest

from rootlessnet.netns import command


@pytest.mark.parametrize(
    ("number", "content", "status", "word"),
    [
        (errno.ENOENT, None, 127, "not found"),
        (errno.ENOTDIR, None, 127, "not found"),
        (errno.ENOENT, "#!/none\n", 126, "interpreter"),
        (errno.EACCES, "", 126, "chmod"),
        (errno.ENOEXEC, "", 126, "#!/bin/sh"),
        (errno.E2BIG, "", 126, "too long"),
    ],
)
def test_explain_path(
    tmp_path: Path, number: int, content: str | None, status: int, word: str
) -> None:
    program = tmp_path / "program"
    if content is not None:
        program.write_text(content)
    error = command.explain(number, str(program))
    assert error.exit_status == status
    assert word in str(error)
    assert str(program) in str(error)


def test_an_endless_name_is_cut() -> None:
    assert len(str(command.explain(errno.ENOENT, "x" * 100_000))) < 400


def test_explain_directory(tmp_path: Path) -> None:
    error = command.explain(errno.EACCES, str(tmp_path))
    assert error.exit_status == 126
    assert "directory" in str(error)


def test_path_with_a_closed_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The kernel's answer is "permission denied", but the command may be nowhere."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command.explain(errno.EACCES, "program").exit_status == 127
    (tmp_path / "program").touch()
    assert command.explain(errno.EACCES, "program").exit_status == 126
