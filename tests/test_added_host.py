"""Names that the user adds: text to values."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest

from rootlessnet.added_host import AddedHost, parse_added_host
from rootlessnet.config import GATEWAY_NAME, NetworkConfig
from rootlessnet.errors import UsageError
from rootlessnet.words import HostAddress

V4, V6 = IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1")
GATEWAY = IPv4Address("10.0.2.2")


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("db:192.0.2.1", "db", V4),
        ("db:2001:db8::1", "db", V6),
        ("db:[2001:db8::1]", "db", V6),
        ("db:host-gateway", "db", None),
        ("Db.Example.:192.0.2.1", "db.example", V4),
        ("my_db-1.example:0.0.0.0", "my_db-1.example", IPv4Address("0.0.0.0")),
        ("1:::", "1", IPv6Address("::")),
        (f"{'a' * 63}.b:192.0.2.1", f"{'a' * 63}.b", V4),
    ],
)
def test_what_is_understood(text: str, name: str, address: HostAddress | None) -> None:
    assert parse_added_host(text) == AddedHost(name, address)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("db", "'db' has no address: write NAME:ADDRESS"),
        ("", "'' has no address"),
        ("db:", "'' is not an IP address"),
        ("db:example.org", "'example.org' is not an IP address"),
        ("db:[192.0.2.1]", "'[192.0.2.1]' is not an IP address"),
        ("db:[2001:db8::1", "'[2001:db8::1' is not an IP address"),
        ("db:fe80::1%eth0", "names an interface"),
        (":192.0.2.1", "host name '' is not possible"),
        (".:192.0.2.1", "host name '' is not possible"),
        ("a..b:192.0.2.1", "host name 'a..b' is not possible"),
        ("-a:192.0.2.1", "host name '-a' is not possible"),
        ("a b:192.0.2.1", "host name 'a b' is not possible"),
        ("a\nb:192.0.2.1", r"host name 'a\nb' is not possible"),
        ("caf\xe9:192.0.2.1", "is not possible"),
        (f"{'a' * 64}:192.0.2.1", "is not possible"),
        (f"{'a.' * 127}a:192.0.2.1", "is not possible"),
    ],
)
def test_what_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_added_host(text)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_value_is_judged_like_a_text() -> None:
    with pytest.raises(UsageError):
        AddedHost("DB", V4)
    with pytest.raises(UsageError):
        AddedHost("db", "192.0.2.1")  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        NetworkConfig(hosts=("db",))  # type: ignore[arg-type]


def test_the_names_of_a_network() -> None:
    assert NetworkConfig().own_names == {GATEWAY_NAME: (GATEWAY,)}
    hosts = (AddedHost("db", V4), AddedHost("me"), AddedHost("db", V6))
    names = NetworkConfig(hosts=hosts).own_names
    assert names == {GATEWAY_NAME: (GATEWAY,), "db": (V4, V6), "me": (GATEWAY,)}


def test_the_gateway_has_its_name_in_each_family_of_the_guest() -> None:
    config = NetworkConfig(ipv6=True, cidr6=IPv6Network("fd00::/64"))
    assert config.own_names == {GATEWAY_NAME: (GATEWAY, IPv6Address("fd00::2"))}
    assert replace(config, ipv6=False).own_names == {GATEWAY_NAME: (GATEWAY,)}


def test_the_gateway_s_name_may_be_given_to_another() -> None:
    assert NetworkConfig(hosts=(AddedHost(GATEWAY_NAME, V6),)).own_names == {GATEWAY_NAME: (V6,)}
