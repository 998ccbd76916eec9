"""Read: virtio 1.2 5.1.6, for the header's fields."""

from struct import pack

import pytest

from rootlessnet.wire import vnet


@pytest.mark.parametrize(
    ("gso_type", "size"),
    [
        (vnet.GSO_UDP_L4, 1200),
        (vnet.GSO_UDP_L4 | vnet.GSO_ECN, 1200),
        (vnet.GSO_TCPV4, 0),
        (vnet.GSO_TCPV6, 0),
        (vnet.GSO_NONE, 0),
    ],
)
def test_the_segment_of_a_udp_super_datagram(gso_type: int, size: int) -> None:
    frame = memoryview(pack("<BBHHHH", vnet.NEEDS_CSUM, gso_type, 42, 1200, 34, 6) + bytes(60))
    assert vnet.udp_segment(frame) == size


def test_no_offload_is_an_empty_header() -> None:
    assert vnet.HEADER.unpack(vnet.NO_OFFLOAD) == (0, vnet.GSO_NONE, 0, 0, 0, 0)
