"""An exit status, and whether a death by signal is behind it."""

import pytest

from rootlessnet.exit_status import ExitStatus


@pytest.mark.parametrize(
    ("code", "status", "signal"), [(0, 0, None), (130, 130, None), (-2, 130, 2), (-9, 137, 9)]
)
def test_the_signal_behind_it(code: int, status: int, signal: int | None) -> None:
    made = ExitStatus.of(code)
    assert (made, made.signal) == (status, signal)


def test_a_number_hides_nothing() -> None:
    assert ExitStatus(130).signal is None
