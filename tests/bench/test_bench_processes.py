"""What is read from /proc, and that what a benchmark starts is explained and ended."""

import time
from pathlib import Path

import pytest

from bench.processes import (
    TICK,
    BenchError,
    Child,
    Stat,
    User,
    descendants,
    parse_pss,
    parse_stat,
    run_to_end,
)

MYSELF = User.myself()


def test_stat_of_a_process_with_an_awkward_name() -> None:
    text = "42 (a) R 1 (b) S 7 42 42 0 -1 4194560 1 2 3 4 150 50 9 9 20 0 1 0 77"
    assert parse_stat(text) == Stat(parent=7, cpu=200 * TICK)


def test_pss_is_the_first_of_its_kind() -> None:
    assert parse_pss("55-7f ---p 0 [rollup]\nRss: 9 kB\nPss: 12 kB\nPss_Dirty: 5 kB\n") == 12288


def test_descendants_are_found_through_generations() -> None:
    parents = {1: 0, 5: 1, 6: 5, 7: 6, 8: 1}
    assert descendants(5, {pid: Stat(up, 0) for pid, up in parents.items()}) == [5, 6, 7]


def test_a_child_that_fails_is_explained_by_its_last_words() -> None:
    with pytest.raises(BenchError, match=r"^sh ended with status 3: no tea$"):
        run_to_end(["sh", "-c", "echo first >&2; echo no tea >&2; exit 3"], MYSELF)


def test_an_end_is_noticed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def sleep(seconds: float) -> None:
        raise AssertionError(f"it is looked for after {seconds} s")

    monkeypatch.setattr(time, "sleep", sleep)
    assert run_to_end(["sleep", "0.1"], MYSELF) > 0


def test_a_child_that_does_not_end_is_not_waited_for_for_ever() -> None:
    child = Child(["sleep", "1000"], MYSELF)
    with pytest.raises(BenchError, match=r"^sleep did not end within 0\.01 s$"):
        child.wait_for_success(0.01)
    child.close()


def test_a_child_that_ends_instead_of_answering_is_explained() -> None:
    child = Child(["sh", "-c", "printf half; echo no tea >&2"], MYSELF)
    try:
        with pytest.raises(BenchError, match=r"^sh ended with status 0: no tea$"):
            child.read_line()
    finally:
        child.close()


def test_a_child_that_is_killed_is_explained() -> None:
    with pytest.raises(BenchError, match=r"^sh ended by SIGKILL$"):
        run_to_end(["sh", "-c", "kill -KILL $$"], MYSELF)


def test_a_child_that_says_nothing_is_not_waited_for_for_ever() -> None:
    child = Child(["cat"], MYSELF)
    try:
        with pytest.raises(BenchError, match=r"cat said nothing for 0\.01 s"):
            child.read_line(timeout=0.01)
    finally:
        child.close()


def test_lines_that_come_at_once_are_read_one_by_one() -> None:
    child = Child(["cat"], MYSELF)
    try:
        child.write_line("one\ntwo")
        assert [child.read_line(), child.read_line()] == ["one", "two"]
    finally:
        child.close()


@pytest.mark.parametrize("then", ["wait", "exit"])
def test_close_leaves_nothing_of_a_child_and_its_children(then: str) -> None:
    child = Child(["sh", "-c", f"sleep 1000 & echo $!; {then}"], MYSELF)
    program = Path(f"/proc/{child.read_line()}/exe")
    child.close()
    deadline = time.monotonic() + 10
    while program.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not program.exists()  # gone, or a zombie of init's


def test_a_missing_program_is_named() -> None:
    with pytest.raises(BenchError, match=r"cannot run no-such-program as .*: (No such|Permission)"):
        run_to_end(["no-such-program"], MYSELF)


def test_a_missing_user_is_named() -> None:
    with pytest.raises(BenchError, match="no user 'no-such-user'"):
        User.named("no-such-user")
