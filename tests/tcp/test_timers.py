"""The deadlines against a model that looks at all of them."""

from math import inf
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from rootlessnet.tcp.timers import _FEW, Timed, Timers


class Item(Timed):
    """Notes when it was told, and sets its next deadline if it has one."""

    def __init__(self, timers: Timers) -> None:
        super().__init__()
        self.timers = timers
        self.told: list[float] = []
        self.again = 0.0

    def timer_expired(self, now: float) -> None:
        assert self.deadline == inf
        self.told.append(now)
        if self.again:
            self.timers.schedule(self, now + self.again)


def test_nothing_is_due_when_nothing_is_set() -> None:
    timers = Timers()
    assert timers.next_deadline() == inf
    timers.expire(1e9)


def test_an_item_is_told_once() -> None:
    timers = Timers()
    item = Item(timers)
    timers.schedule(item, 5.0)
    timers.expire(4.9)
    assert not item.told
    timers.expire(5.0)
    timers.expire(9.0)
    assert item.told == [5.0]


def test_items_of_one_moment_are_told_in_the_order_they_were_set() -> None:
    timers = Timers()
    items = [Item(timers) for _ in range(5)]
    order: list[Item] = []
    for item in items:
        timers.schedule(item, 1.0)
    for item in items:
        item.again = 1.0
    timers.expire(1.0)
    order = [item for item in items if item.told == [1.0]]
    assert order == items
    timers.expire(1.5)
    assert all(item.told == [1.0] for item in items)


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 3), st.integers(0, 30)),
        st.tuples(st.just("clear"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("pass"), st.just(0), st.integers(0, 12)),
    ),
    max_size=60,
)


@given(actions=ACTIONS, again=st.sampled_from([0, 3]), few=st.sampled_from([0, 1000]))
def test_every_item_is_told_at_its_last_deadline_and_at_no_other(
    actions: list[tuple[str, int, int]], again: int, few: int
) -> None:
    with patch("rootlessnet.tcp.timers._FEW", few):  # at 0 the heap is swept all the time
        compare_with_model(actions, again)


def compare_with_model(actions: list[tuple[str, int, int]], again: int) -> None:
    timers = Timers()
    items = [Item(timers) for _ in range(4)]
    items[0].again = again
    model: dict[int, float] = {}
    now = 0.0
    for name, which, amount in actions:
        match name:
            case "set":
                timers.schedule(items[which], now + amount)
                model[which] = now + amount
            case "clear":
                items[which].deadline = inf
                model.pop(which, None)
            case _:
                until = now + amount
                while timers.next_deadline() <= until:
                    now = max(now, timers.next_deadline())
                    due = {index for index, when in model.items() if when <= now}
                    before = [len(item.told) for item in items]
                    timers.expire(now)
                    told = {i for i, item in enumerate(items) if len(item.told) > before[i]}
                    assert told == due
                    for index in due:
                        assert len(items[index].told) == before[index] + 1
                        del model[index]
                    if 0 in due and again:
                        model[0] = now + again
                now = until
        earliest = min(model.values(), default=inf)
        assert timers.next_deadline() <= earliest, "early is allowed, late is not"
        for index, item in enumerate(items):
            assert item.deadline == model.get(index, inf)


def test_what_has_ended_is_not_kept() -> None:
    timers = Timers()
    lasting = Item(timers)
    timers.schedule(lasting, 50.0)
    for count in range(10_000):
        item = Item(timers)
        timers.schedule(item, 100.0)
        timers.schedule(item, 75.0 - count / 1000)  # a second entry
        item.deadline = inf
    assert len(timers._heap) <= _FEW
    timers.expire(50.0)
    assert lasting.told == [50.0]


def test_a_sweep_while_others_are_told() -> None:
    timers = Timers()
    items = [Item(timers) for _ in range(2 * _FEW)]
    for item in items:
        item.again = 1.0
        timers.schedule(item, 1.0)
    for item in items[::2]:
        item.deadline = inf
    timers.expire(1.0)
    timers.expire(2.0)
    assert [item.told for item in items[:2]] == [[], [1.0, 2.0]]
    assert all(item.told == items[at % 2].told for at, item in enumerate(items))
