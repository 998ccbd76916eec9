"""An exit status, and whether a signal that came to this process is behind it."""

import pytest

from rootlessnet.exit_status import ExitStatus


@pytest.mark.parametrize(
    ("status", "came", "signal"),
    [
        (0, (), None),
        (130, (), None),
        (130, (15,), None),
        (130, (2, 28), 2),
        (2, (2,), None),
    ],
)
def test_the_signal_behind_it(status: int, came: tuple[int, ...], signal: int | None) -> None:
    made = ExitStatus(status, frozenset(came))
    assert made == status
    assert made.signal == signal
