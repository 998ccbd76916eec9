"""What the fuzzer calls with each input: a schedule, played on a new gateway to its very end."""

from tests.fuzz.schedule import decode
from tests.stack.ordeal import Ordeal, small_bounds


def play(data: bytes, *, strict: bool = False) -> None:
    """Raises whatever is wrong with the gateway."""
    with small_bounds():
        ordeal = Ordeal(strict=strict)
        for step in decode(data):
            ordeal.play(step)
        ordeal.wind_down()


def explain(data: bytes) -> list[object]:
    """The steps of the schedule."""
    return [*decode(data)]
