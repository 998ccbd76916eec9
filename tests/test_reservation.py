"""Addresses that DHCP keeps: text to values, and what NetworkConfig makes of several."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rootlessnet.bounds import Bounds
from rootlessnet.config import NetworkConfig
from rootlessnet.errors import UsageError
from rootlessnet.network_plan import pools
from rootlessnet.reservation import Reservation, parse_reservation

MAC = bytes.fromhex("525400123456")
TEXT = "52:54:00:12:34:56"
FIFTY = IPv4Address("10.0.2.50")


def reserved(*texts: str, cidr: str = "10.0.2.0/24", dhcp: bool = True) -> NetworkConfig:
    reservations = tuple(parse_reservation(text) for text in texts)
    return NetworkConfig(cidr=IPv4Network(cidr), reservations=reservations, dhcp=dhcp)


@pytest.mark.parametrize(
    "text",
    [
        "52:54:00:12:34:56=10.0.2.50",
        "52-54-00-12-34-56=10.0.2.50",
        str(Reservation(MAC, FIFTY)),
    ],
)
def test_reads(text: str) -> None:
    assert parse_reservation(text) == Reservation(MAC, FIFTY)


def test_upper_case() -> None:
    assert parse_reservation("02:AB:cD:EF:00:01=10.0.2.50").mac == bytes.fromhex("02abcdef0001")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "reservation '' is not MAC=ADDRESS: write it like 52:54:00:12:34:56=10.0.2.50"),
        ("52:54:00:12:34:56", "is not MAC=ADDRESS"),
        ("52:54:00:12:34:56=fe80::1%eth0", "names an interface"),
        ("52:54:00:12:34:56=10.0.2.50=", "is not MAC=ADDRESS"),
        ("52:54:00:12:34=10.0.2.50", "'52:54:00:12:34' is not a MAC address"),
        ("52:54:00:12:34:5=10.0.2.50", "is not a MAC address"),
        ("52:54:00:12:34:5g=10.0.2.50", "is not a MAC address"),
        ("52:54:00:12:34: 5=10.0.2.50", "is not a MAC address"),
        ("00:00:00:00:00:00=10.0.2.50", "MAC address 00:00:00:00:00:00 is no interface's own"),
        ("53:54:00:12:34:56=10.0.2.50", "MAC address 53:54:00:12:34:56 is no interface's own"),
    ],
)
def test_refuses(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_reservation(text)
    assert said in str(caught.value)


@given(text=st.text(alphabet="0123456789abcdef:-=. \n\x00\u0663", max_size=40) | st.text())
def test_any_text_is_read_or_refused_in_one_printable_line(text: str) -> None:
    message = ""
    try:
        parse_reservation(text)
    except UsageError as error:
        message = str(error)
    assert message.isprintable()


@pytest.mark.parametrize(
    ("mac", "address", "said"),
    [
        (b"\2\0\0\0\0", FIFTY, "has 6 bytes, not 5"),
        ("52:54:00:12:34:56", FIFTY, "give 6 bytes"),
        (MAC, "10.0.2.50", "give ip_address('10.0.2.50')"),
    ],
)
def test_the_python_api_meets_the_same_rules(mac: bytes, address: IPv4Address, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Reservation(mac, address)
    assert said in str(caught.value)


def test_the_guest_s_own_address_can_be_given_to_another() -> None:
    config = reserved("52:54:00:12:34:56=10.0.2.100", "52:54:00:12:34:57=10.0.2.15")
    assert [one.address for one in config.reservations] == [config.guest, config.pool[0]]


@pytest.mark.parametrize("address", ["10.0.2.0", "10.0.2.2", "10.0.2.3", "10.0.2.255"])
def test_an_address_that_is_taken(address: str) -> None:
    with pytest.raises(UsageError, match=f"{address} is no node's, take another"):
        reserved(f"52:54:00:12:34:56={address}")


def test_an_address_of_another_network() -> None:
    with pytest.raises(UsageError, match=r"take an address of the guest's network 10.9.0.0/16"):
        reserved("52:54:00:12:34:56=10.0.2.50", cidr="10.9.0.0/16")


def test_an_address_of_each_family() -> None:
    cidr = IPv6Network("fd00::/64")
    two = parse_reservation(f"{TEXT}=10.0.2.50"), parse_reservation(f"{TEXT}=fd00::50")
    assert NetworkConfig(cidr6=cidr, reservations=two).reservations == two
    for address in ("fd00::", "fd00::2", "fd00::3"):
        bad = (parse_reservation(f"{TEXT}={address}"),)
        with pytest.raises(UsageError, match=f"{address} is no node's, take another"):
            NetworkConfig(cidr6=cidr, reservations=bad)


def test_an_address_of_ipv6_waits_for_its_network() -> None:
    """Which network it is, the host may decide."""
    config = NetworkConfig(reservations=(parse_reservation(f"{TEXT}=fd00::50"),))
    assert replace(config, cidr6=IPv6Network("fd00::/64")).reservations == config.reservations
    with pytest.raises(UsageError, match="take an address of the guest's network fd01::/64"):
        replace(config, cidr6=IPv6Network("fd01::/64"))
    with pytest.raises(UsageError, match="the guest has no IPv6"):
        replace(config, ipv6=False)


@pytest.mark.parametrize("second", ["52:54:00:12:34:57=10.0.2.50", "52:54:00:12:34:56=10.0.2.51"])
def test_two_that_contradict_each_other(second: str) -> None:
    with pytest.raises(UsageError, match="contradict each other"):
        reserved("52:54:00:12:34:56=10.0.2.50", second)


def test_a_reservation_without_dhcp() -> None:
    with pytest.raises(UsageError, match="of no use without DHCP"):
        reserved("52:54:00:12:34:56=10.0.2.50", dhcp=False)


def test_each_server_keeps_the_addresses_of_its_family() -> None:
    two = parse_reservation(f"{TEXT}=10.0.2.50"), parse_reservation(f"{TEXT}=fd00::50")
    config = NetworkConfig(cidr6=IPv6Network("fd00::/64"), reservations=two)
    four, six = pools(config)
    assert (four.reserved, six.reserved) == ({MAC: FIFTY.packed}, {MAC: two[1].address.packed})
    assert (four.free[0], six.free[0]) == (config.pool[0].packed, b"\xfd" + bytes(14) + b"\x15")
    assert pools(replace(config, reservations=(), dhcp=False)) == []


def test_as_many_leases_as_the_bound_allows() -> None:
    config = NetworkConfig(cidr6=IPv6Network("fd00::/64"))
    assert [len(one.free) for one in pools(config)] == [16, 28]
    few = pools(replace(config, bounds=Bounds(leases=2)))
    assert [one.free for one in few] == [one.free[:2] for one in pools(config)]
