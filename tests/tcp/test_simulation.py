"""Whole connections between two engines over a bad link, with slow and with silent users.

ROOTLESSNET_SCHEDULES says how many schedules are tried (default: 2,000, in half a minute).
"""

import os

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rootlessnet.tcp.state import State
from tests.tcp.simulation import Conditions, Habits, Simulation

SCHEDULES = int(os.environ.get("ROOTLESSNET_SCHEDULES", "2000"))
PROBABILITY = st.sampled_from([0.0, 0.02, 0.1, 0.3])
HABITS = st.builds(
    Habits,
    sends=st.sampled_from([0, 1, 1400, 5000, 40_000, 150_000]),
    piece=st.sampled_from([100, 3000, 65_536]).flatmap(lambda most: st.integers(most // 2, most)),
    thinks=st.sampled_from([0.0, 0.0, 0.0005, 0.05]),
    takes=st.sampled_from([None, None, 700, 20_000]),
    rests=st.sampled_from([0.001, 0.05]),
    closes_last=st.just(False),
)
CONDITIONS = st.builds(
    Conditions,
    loss=PROBABILITY,
    repetition=PROBABILITY,
    reordering=PROBABILITY,
    shrinking=PROBABILITY,
    jitter=st.sampled_from([0.001, 0.05, 0.5]),
)


LONGEST = 300.0  # virtual seconds of a schedule, beyond what its users take for themselves


def complete(world: Simulation) -> None:
    """Play it, and demand a perfect end."""
    took = world.run()
    for peer, other in ((world.active, world.passive), (world.passive, world.active)):
        assert peer.received == peer.other.sent
        assert (peer.closed_count, peer.finished_count, peer.abort_count) == (1, 1, 0)
        assert peer.connection.state is State.CLOSED
        assert other.closing
    assert took < LONGEST + world.active.idle + world.passive.idle


@given(
    seed=st.integers(0, 2**32),
    conditions=CONDITIONS,
    active=HABITS,
    passive=HABITS,
    mss=st.sampled_from([536, 1460, 65_480]),
    patience=st.sampled_from([0.0, 0.3]),
)
@settings(
    max_examples=SCHEDULES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
)
@example(
    # 6,000 pieces with a thought before each: five minutes that are the user's own.
    seed=0,
    conditions=Conditions(jitter=0.001),
    active=Habits(sends=0, piece=50),
    passive=Habits(sends=150_000, piece=50, thinks=0.05),
    mss=536,
    patience=0.0,
)
@pytest.mark.timeout(60 + SCHEDULES)
def test_every_byte_arrives_once_and_in_order_and_both_sides_close(
    seed: int,
    conditions: Conditions,
    active: Habits,
    passive: Habits,
    mss: int,
    patience: float,
) -> None:
    complete(Simulation(seed, conditions, active, passive, mss, patience))
