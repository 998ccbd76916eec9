"""Against scapy in both directions."""

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dhcp6 import (
    DUID_LL,
    DHCP6_Advertise,
    DHCP6_Confirm,
    DHCP6_Decline,
    DHCP6_InfoRequest,
    DHCP6_Rebind,
    DHCP6_Release,
    DHCP6_Renew,
    DHCP6_Reply,
    DHCP6_Request,
    DHCP6_Solicit,
    DHCP6OptClientId,
    DHCP6OptDNSDomains,
    DHCP6OptDNSServers,
    DHCP6OptElapsedTime,
    DHCP6OptIA_NA,
    DHCP6OptIAAddress,
    DHCP6OptInfoRefreshTime,
    DHCP6OptOptReq,
    DHCP6OptRapidCommit,
    DHCP6OptServerId,
    DHCP6OptStatusCode,
    DHCP6OptVendorSpecificInfo,
)
from scapy.packet import Packet, Raw
from scapy.utils import mac2str

from rootlessnet.wire import MalformedError, dhcpv6, domain_names
from tests.wire.oracle import patient, u32

MAC = "02:00:00:00:00:64"
DUID = DUID_LL(lladdr=MAC)
CLIENT, SERVER = DHCP6OptClientId(duid=DUID), DHCP6OptServerId(duid=DUID)
ONE = IPv6Address("fd00::15")

addresses = st.binary(min_size=16, max_size=16)


def parsed(packet: Packet) -> dhcpv6.Message:
    return dhcpv6.parse(memoryview(bytes(packet)))


@given(st.integers(0, 0xFFFFFF), u32, st.lists(addresses, max_size=8), st.sets(st.integers(0, 99)))
@patient
def test_a_message(transaction: int, iaid: int, known: list[bytes], wanted: set[int]) -> None:
    inner = [DHCP6OptIAAddress(addr=str(IPv6Address(address))) for address in known]
    packet = (
        DHCP6_Solicit(trid=transaction)
        / CLIENT
        / DHCP6OptElapsedTime()
        / DHCP6OptIA_NA(iaid=iaid, ianaopts=inner)
        / DHCP6OptVendorSpecificInfo(enterprisenum=1)
        / DHCP6OptVendorSpecificInfo(enterprisenum=2)
        / DHCP6OptOptReq(reqopts=sorted(wanted))
        / DHCP6OptRapidCommit()
        / DHCP6OptIA_NA(iaid=5)
    )
    assert parsed(packet) == dhcpv6.Message(
        dhcpv6.SOLICIT,
        transaction.to_bytes(3, "big"),
        dhcpv6.link_layer_identifier(mac2str(MAC)),
        b"",
        (
            dhcpv6.Association(iaid.to_bytes(4, "big"), tuple(known)),
            dhcpv6.Association(b"\0\0\0\5", ()),
        ),
        frozenset(wanted),
        True,
    )


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (dhcpv6.SOLICIT, DHCP6_Solicit() / CLIENT),
        (dhcpv6.REQUEST, DHCP6_Request() / CLIENT / SERVER),
        (dhcpv6.CONFIRM, DHCP6_Confirm() / CLIENT),
        (dhcpv6.RENEW, DHCP6_Renew() / CLIENT / SERVER),
        (dhcpv6.REBIND, DHCP6_Rebind() / CLIENT),
        (dhcpv6.RELEASE, DHCP6_Release() / CLIENT / SERVER),
        (dhcpv6.DECLINE, DHCP6_Decline() / CLIENT / SERVER),
        (dhcpv6.INFORMATION_REQUEST, DHCP6_InfoRequest()),
        (dhcpv6.INFORMATION_REQUEST, DHCP6_InfoRequest() / CLIENT / SERVER),
    ],
)
def test_kinds(kind: int, message: Packet) -> None:
    found = parsed(message)
    assert found.kind == kind
    assert bool(found.client) == (DHCP6OptClientId in message)
    assert bool(found.server) == (DHCP6OptServerId in message)
    assert found[4:] == ((), frozenset(), False)


@pytest.mark.parametrize(
    "bad",
    [
        Raw(b"\1\0\0"),
        DHCP6_Advertise() / CLIENT / SERVER,
        DHCP6_Reply() / CLIENT / SERVER,
        Raw(b"\x0c" + bytes(33)),
        DHCP6_Solicit(),
        DHCP6_Solicit() / CLIENT / SERVER,
        DHCP6_Confirm() / CLIENT / SERVER,
        DHCP6_Rebind() / SERVER,
        DHCP6_Request() / CLIENT,
        DHCP6_Renew() / SERVER,
        DHCP6_Release() / CLIENT,
        DHCP6_Decline() / CLIENT,
        DHCP6_InfoRequest() / DHCP6OptIA_NA(),
        DHCP6_Solicit() / CLIENT / CLIENT,
        DHCP6_Solicit() / Raw(b"\0\1\0\0"),
        DHCP6_Solicit() / Raw(b"\0\1\0\2ab"),
        DHCP6_Solicit() / Raw(b"\0\1\0\x83" + bytes(131)),
        DHCP6_Solicit() / CLIENT / Raw(b"\0"),
        DHCP6_Solicit() / CLIENT / Raw(b"\0\x63\0\1"),
        DHCP6_Solicit() / CLIENT / Raw(b"\0\6\0\1\0"),
        DHCP6_Solicit() / CLIENT / Raw(b"\0\3\0\x0b" + bytes(11)),
        DHCP6_Solicit() / CLIENT / Raw(b"\0\3\0\x0d" + bytes(13)),
        DHCP6_Solicit() / CLIENT / Raw(b"\0\3\0\x14" + bytes(12) + b"\0\5\0\4" + bytes(4)),
        DHCP6_Solicit() / CLIENT / DHCP6OptIA_NA(ianaopts=[DHCP6OptIAAddress()] * 9),
        DHCP6_Solicit() / CLIENT / Raw(bytes(DHCP6OptIA_NA()) * 9),
    ],
)
def test_malformed(bad: Packet) -> None:
    with pytest.raises(MalformedError):
        parsed(bad)


@given(data=st.binary(max_size=200), kind=st.sampled_from(dhcpv6.KINDS), keep=st.integers(0, 40))
@patient
def test_any_bytes(data: bytes, kind: int, keep: int) -> None:
    """They are read, or refused as malformed."""
    options = bytes(CLIENT / DHCP6OptIA_NA(ianaopts=[DHCP6OptIAAddress()]))[:keep]
    try:
        found = dhcpv6.parse(memoryview(bytes((kind, 1, 2, 3)) + options + data))
    except MalformedError:
        return
    assert found.kind == kind


def test_an_answer() -> None:
    question = parsed(DHCP6_Solicit(trid=77) / CLIENT)
    options = [
        dhcpv6.encode_option(dhcpv6.CLIENT_IDENTIFIER, question.client),
        dhcpv6.encode_option(dhcpv6.RAPID_COMMIT, b""),
        dhcpv6.encode_association(b"\0\0\0\7", 10, 20, dhcpv6.encode_address(ONE.packed, 30, 40)),
        dhcpv6.encode_status(dhcpv6.NO_BINDING),
        dhcpv6.encode_option(dhcpv6.NAMESERVERS, ONE.packed),
        dhcpv6.encode_option(dhcpv6.DOMAIN_SEARCH, domain_names.encode_list(["a.example"])),
        dhcpv6.encode_seconds(dhcpv6.INFORMATION_REFRESH_TIME, 600),
    ]
    packet = DHCP6_Reply(dhcpv6.build_reply(question, dhcpv6.REPLY, options))
    assert (packet.msgtype, packet.trid) == (7, 77)
    assert packet[DUID_LL].lladdr == MAC
    assert DHCP6OptRapidCommit in packet
    association = packet[DHCP6OptIA_NA]
    assert (association.iaid, association.T1, association.T2) == (7, 10, 20)
    (address,) = association.ianaopts
    assert (address.addr, address.preflft, address.validlft) == (str(ONE), 30, 40)
    assert packet[DHCP6OptStatusCode].statuscode == 3
    assert packet[DHCP6OptDNSServers].dnsservers == [str(ONE)]
    assert packet[DHCP6OptDNSDomains].dnsdomains == ["a.example."]
    assert packet[DHCP6OptInfoRefreshTime].reftime == 600
