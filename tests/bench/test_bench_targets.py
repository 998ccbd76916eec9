"""What is compared with what, to say whether a target is met."""

import pytest

from bench.rows import BY_NAME
from bench.targets import BEST, TARGETS, Measured, Target, verdicts


def measured(values: dict[tuple[str, str], float]) -> Measured:
    return Measured("us", {(1500, row, peer): value for (row, peer), value in values.items()})


def judged(target: Target, values: dict[tuple[str, str], float]) -> list[tuple[float, bool]]:
    return [(one.value, one.is_met) for one in target.judge(measured(values))]


def test_the_best_program_counts_and_the_bare_host_is_none() -> None:
    values = {
        ("tcp-rr", "us"): 12.0,
        ("tcp-rr", "pasta"): 10.0,
        ("tcp-rr", "slirp4netns"): 8.0,
        ("tcp-rr", "loopback"): 90.0,
    }
    assert judged(Target(2, ("tcp-rr",), 1, BEST), values) == [(1.2, True)]


def test_less_is_better_for_costs() -> None:
    target = Target(4, ("cpu-out",), 0.15, "slirp4netns")
    assert judged(target, {("cpu-out", "us"): 1.0, ("cpu-out", "slirp4netns"): 10.0}) == [
        (0.1, True)
    ]
    assert judged(target, {("cpu-out", "us"): 2.0, ("cpu-out", "slirp4netns"): 10.0}) == [
        (0.2, False)
    ]


def test_the_best_of_several_rows_of_a_peer() -> None:
    target = Target(1, ("tcp-out",), 0.9, "pasta", ("tcp-out", "tcp-out-8"))
    values = {("tcp-out", "us"): 10.0, ("tcp-out", "pasta"): 1.0, ("tcp-out-8", "pasta"): 20.0}
    assert judged(target, values) == [(0.5, False)]


def test_a_row_against_another_of_our_own() -> None:
    target = Target(7, ("latency-out",), 3, own_row="latency")
    assert judged(target, {("latency-out", "us"): 5.0, ("latency", "us"): 2.0}) == [(2.5, True)]


@pytest.mark.parametrize("values", [{}, {("tcp-rr", "us"): 1.0}, {("tcp-rr", "pasta"): 1.0}])
def test_what_was_not_measured_is_not_judged(values: dict[tuple[str, str], float]) -> None:
    assert judged(Target(2, ("tcp-rr",), 1, BEST), values) == []


def test_the_targets_are_about_rows_that_there_are() -> None:
    names = {name for target in TARGETS for name in (*target.rows, *target.peer_rows)}
    assert names <= BY_NAME.keys()
    assert {target.own_row for target in TARGETS} - {None} <= BY_NAME.keys()
    assert {target.number for target in TARGETS} == set(range(1, 8))
    assert verdicts(measured({})) == []
