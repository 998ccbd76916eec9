"""Against scapy's reading of the same bytes."""

import pytest
from scapy.layers.inet6 import ICMPv6NDOptDNSSL

from rootlessnet.wire import domain_names


def test_names() -> None:
    encoded = domain_names.encode_list(["corp.example.", "a.b", "loc"])
    option = ICMPv6NDOptDNSSL(bytes(ICMPv6NDOptDNSSL(len=4))[:8] + encoded)
    assert option.searchlist == ["corp.example.", "a.b.", "loc."]


@pytest.mark.parametrize(
    "name", ["", ".", "a..b", ".a", "a..", "n" * 64, ".".join(["n" * 49] * 6), "bücher.example"]
)
def test_no_names(name: str) -> None:
    assert domain_names.encode(name) is None
    assert domain_names.encode_list(["a", name, "b"]) == b"\1a\0\1b\0"


def test_the_longest_name() -> None:
    name = ".".join(["n" * 63] * 3 + ["n" * 61])
    assert len(domain_names.encode(name) or b"") == 255
    assert domain_names.encode(name + "n") is None


def test_what_does_not_fit_is_left_out_with_all_behind_it() -> None:
    name = ".".join(["n" * 63] * 3)
    encoded = domain_names.encode(name) or b""
    most = "m" * (domain_names.LIST_SIZE - len(encoded) - 2)
    assert len(domain_names.encode_list([name, most])) == domain_names.LIST_SIZE
    assert domain_names.encode_list([name, most + "m", "c"]) == encoded
