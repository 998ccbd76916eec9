"""The resolv.conf parser, on what is found in the wild and on anything else."""

import os
from ipaddress import IPv4Address, ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rootlessnet import resolv_conf
from rootlessnet.resolv_conf import ResolvConf

SYSTEMD = """\
# This is /run/systemd/resolve/stub-resolv.conf managed by man:systemd-resolved(8).

nameserver 127.0.0.53
options edns0 trust-ad
search lan example.org
"""


def test_systemd_resolved() -> None:
    assert resolv_conf.parse(SYSTEMD) == ResolvConf(
        (IPv4Address("127.0.0.53"),), ("lan", "example.org"), ("edns0", "trust-ad")
    )


def test_nameservers_of_both_families_keep_their_order_and_scope() -> None:
    text = "nameserver 192.0.2.1\nnameserver fe80::1%eth0 # router\nnameserver 2001:db8::1\n"
    expected = tuple(map(ip_address, ("192.0.2.1", "fe80::1%eth0", "2001:db8::1")))
    assert resolv_conf.parse(text).nameservers == expected


def test_last_search_or_domain_counts() -> None:
    assert resolv_conf.parse("search a b\ndomain c\n").search == ("c",)
    assert resolv_conf.parse("domain c\nsearch a b\n").search == ("a", "b")


def test_options_add_up() -> None:
    assert resolv_conf.parse("options a\noptions b:2 c\n").options == ("a", "b:2", "c")


def test_what_makes_no_sense_is_skipped() -> None:
    text = "nameserver\nnameserver example.org\n;nameserver 192.0.2.1\n#nameserver 192.0.2.2\nx y\n"
    assert resolv_conf.parse(text) == ResolvConf()


def test_replacing_the_nameservers_keeps_the_rest() -> None:
    conf = resolv_conf.parse(SYSTEMD)._replace(nameservers=(IPv4Address("10.0.2.3"),))
    assert str(conf) == "nameserver 10.0.2.3\nsearch lan example.org\noptions edns0 trust-ad\n"


def test_missing_file_says_nothing(tmp_path: Path) -> None:
    assert resolv_conf.read(str(tmp_path / "none")) == ResolvConf()


def test_file_in_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_bytes(b"# caf\xe9\nnameserver 192.0.2.1\n")
    assert resolv_conf.read(str(path)).nameservers == (IPv4Address("192.0.2.1"),)


@pytest.mark.timeout(10)
def test_a_fifo_says_nothing_and_nobody_waits(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    os.mkfifo(path)
    assert resolv_conf.read(str(path)) == ResolvConf()


@given(st.text())
def test_what_is_written_reads_the_same(text: str) -> None:
    once = resolv_conf.parse(text)
    assert resolv_conf.parse(str(once)) == once
