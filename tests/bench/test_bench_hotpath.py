"""The costs of packets: what is measured happens, and what counts as a loss. Nothing is timed."""

import pytest

from bench.engine import ROUTES, DatagramOut, Route
from bench.hotpath import Cost, Measurement, load, losses
from rootlessnet.wire import families

STORED = {"route": {"relative": 4.0, "calls": 20.0}}


@pytest.mark.parametrize("family", [families.IPV4, families.IPV6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("name", ROUTES)
def test_every_packet_of_a_route_arrives(name: str, family: families.Family) -> None:
    route = ROUTES[name](family)
    before = route.done()
    route.prepare()
    route.run()
    first = route.done() - before
    assert first >= route.packets
    route.world.pass_time()
    route.prepare()
    route.run()
    assert route.done() - before == 2 * first


def test_a_route_that_loses_packets_is_not_measured() -> None:
    class Leaking(DatagramOut):
        def done(self) -> int:
            return self.world.link.frames  # nothing comes back

    route: Route = Leaking(families.IPV4)
    with pytest.raises(ValueError, match="packets are lost"):
        Measurement("leaking", route)


@pytest.mark.parametrize(
    ("cost", "why"),
    [
        (Cost(5.2, 1e-6, 20.0, 0.0), "costs 30% more than the 4.00 stored"),
        (Cost(4.0, 1e-6, 26.0, 0.0), "makes 26.0 calls, where 20.0 are stored"),
        (Cost(4.0, 1e-6, 20.0, 1.0), "leaves 1.0 blocks of memory behind"),
    ],
)
def test_a_loss_is_told_with_its_size(cost: Cost, why: str) -> None:
    assert losses({"route": cost}, STORED) == {"route": why}


def test_a_quarter_more_is_no_loss_yet() -> None:
    assert losses({"route": Cost(4.9, 1e-6, 24.9, 0.0)}, STORED) == {}


def test_a_route_that_nothing_is_stored_for_is_told() -> None:
    assert losses({"new": Cost(1.0, 1e-6, 1.0, 0.0)}, STORED) == {
        "new": "nothing is stored: --store"
    }


def test_what_is_stored_are_the_routes_that_there_are() -> None:
    names = {f"{title}, IPv{number}" for title in ROUTES for number in (4, 6)}
    assert all(set(stored) == names for stored in load().values())
