"""Against scapy in both directions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.l2 import ARP, Ether
from scapy.utils import inet_aton, mac2str, str2mac

from rootlessnet.wire import MalformedError, arp, ethernet
from rootlessnet.wire.arp import Arp
from tests.wire.oracle import NO_OFFLOAD, addresses, from_guest, patient

macs = st.binary(min_size=6, max_size=6).map(str2mac)


@given(st.sampled_from([arp.REQUEST, arp.REPLY]), macs, addresses, macs, addresses)
@patient
def test_both_directions(operation: int, mac: str, sender: str, to: str, target: str) -> None:
    theirs = ARP(op=operation, hwsrc=mac, psrc=sender, hwdst=to, pdst=target)
    message = arp.parse(from_guest(theirs))
    assert message == Arp(
        operation, mac2str(mac), inet_aton(sender), mac2str(to), inet_aton(target)
    )
    assert arp.build(message) == NO_OFFLOAD + bytes(Ether(src=mac, dst=to) / theirs)


def test_padding_is_no_harm() -> None:
    frame = bytes(from_guest(ARP(psrc="10.0.2.100", pdst="10.0.2.2"))) + bytes(18)
    assert arp.parse(memoryview(frame)).target == inet_aton("10.0.2.2")


@pytest.mark.parametrize("message", [ARP(hwtype=6), ARP(ptype=0x86DD), ARP(hwlen=8), ARP(plen=16)])
def test_other_networks(message: ARP) -> None:
    with pytest.raises(MalformedError):
        arp.parse(from_guest(message))


def test_too_short() -> None:
    with pytest.raises(MalformedError):
        arp.parse(from_guest(ARP())[:-1])


def test_the_stack_s_own_hardware_addresses() -> None:
    assert str2mac(ethernet.gateway_mac(inet_aton("10.0.2.2"))) == "52:55:0a:00:02:02"
