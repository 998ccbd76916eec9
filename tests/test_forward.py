"""Published ports as users write them: each form as an example, all of them under random text."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rootlessnet.config import NetworkConfig
from rootlessnet.errors import UsageError
from rootlessnet.forward import Forward, parse_forwards
from rootlessnet.words import HostAddress

ANY_4, ANY_6 = IPv4Address("0.0.0.0"), IPv6Address("::")
LOOPBACK = IPv4Address("127.0.0.1")
OTHER = IPv4Address("10.0.2.101")


def is_that_of_one_host(address: HostAddress) -> bool:
    """Left to `link_local`: the addresses that need a scope."""
    if isinstance(address, IPv4Address):
        return not address.is_multicast and address != IPv4Address("255.255.255.255")
    return not (address.is_multicast or address.is_link_local or address.ipv4_mapped)


ports = st.integers(1, 65535)
link_local = st.builds(
    lambda host, scope: IPv6Address(f"{IPv6Address(0xFE80 << 112 | host)}%{scope}"),
    st.integers(0, 2**64 - 1),
    st.sampled_from(["eth0", "2", "wlp0s20f3", "br-0.1"]),
)
host_addresses = st.ip_addresses().filter(is_that_of_one_host) | link_local
protocols = st.sampled_from(["tcp", "udp"])
settled = st.builds(
    Forward,
    host_port=ports,
    guest_port=ports,
    protocol=protocols,
    host_address=st.none() | host_addresses,
    guest_address=st.none() | host_addresses,
)
any_free = settled.map(lambda forward: replace(forward, host_port=0))
first_free = st.builds(
    lambda forward, ends: replace(forward, host_port=min(ends), host_port_end=max(ends)),
    settled,
    st.lists(ports, min_size=2, max_size=2, unique=True),
)
forwards = settled | any_free | first_free
# Text that comes close to what is accepted, so that every branch of the parser is met.
nearly_right = st.text(alphabet="0123456789.:[]/%tcpudabfunix46- \n\x00\u0663é\udc80", max_size=24)


def complaint(text: str) -> str:
    """The message with which a text is refused."""
    with pytest.raises(UsageError) as caught:
        parse_forwards(text)
    return str(caught.value)


@given(forwards)
def test_a_forward_is_read_back_from_its_own_writing(forward: Forward) -> None:
    assert parse_forwards(str(forward)) == (forward,)


@given(settled, st.integers(1, 50), st.booleans())
def test_a_range_is_its_ports_pair_by_pair(first: Forward, further: int, host_too: bool) -> None:
    further = min(further, 65535 - max(first.host_port, first.guest_port))
    if not host_too:
        first = replace(first, host_port=0)
    wanted = tuple(
        replace(
            first,
            host_port=first.host_port + offset if host_too else 0,
            guest_port=first.guest_port + offset,
        )
        for offset in range(further + 1)
    )
    host, guest = "", f"{first.guest_port}-{first.guest_port + further}"
    if first.host_address is not None:
        bare = str(first.host_address)
        host = f"[{bare}]:" if ":" in bare else f"{bare}:"
    if first.guest_address is not None:
        guest = f"[{first.guest_address}]:{guest}"
        host += "" if host_too else "0"
    if host_too:
        host += f"{first.host_port}-{first.host_port + further}"
    assert parse_forwards(f"{host}:{guest}/{first.protocol}") == wanted


@given(nearly_right | st.text())
def test_any_text_is_accepted_or_refused_in_one_printable_line(text: str) -> None:
    message = ""
    read: tuple[Forward, ...] = ()
    try:
        read = parse_forwards(text)
    except UsageError as error:
        message = str(error)
    assert message.isprintable()
    assert tuple(one for forward in read for one in parse_forwards(str(forward))) == read


def test_a_message_stays_readable_when_the_word_is_endless() -> None:
    assert len(complaint("9" * 100_000)) < 400


@pytest.mark.parametrize(
    ("text", "forward"),
    [
        ("8080:80", Forward(8080, 80)),
        ("8080:80/tcp", Forward(8080, 80)),
        ("8080:80/TCP", Forward(8080, 80)),
        ("5353:53/udp", Forward(5353, 53, "udp")),
        ("127.0.0.1:8080:80", Forward(8080, 80, "tcp", LOOPBACK)),
        ("0.0.0.0:8080:80", Forward(8080, 80, "tcp", ANY_4)),
        ("[::1]:8080:80/udp", Forward(8080, 80, "udp", IPv6Address("::1"))),
        ("[fe80::1%eth0]:1:65535", Forward(1, 65535, "tcp", IPv6Address("fe80::1%eth0"))),
        # A free port of the host.
        ("80", Forward(0, 80)),
        (":80", Forward(0, 80)),
        ("0:80", Forward(0, 80)),
        ("127.0.0.1:0:80", Forward(0, 80, "tcp", LOOPBACK)),
        ("53/udp", Forward(0, 53, "udp")),
        ("127.0.0.1::80", Forward(0, 80, "tcp", LOOPBACK)),
        ("[::1]::80", Forward(0, 80, "tcp", IPv6Address("::1"))),
        # One family of the host.
        ("8080:80/tcp4", Forward(8080, 80, "tcp", ANY_4)),
        ("8080:80/tcp6", Forward(8080, 80, "tcp", ANY_6)),
        ("53:53/udp4", Forward(53, 53, "udp", ANY_4)),
        ("53/udp6", Forward(0, 53, "udp", ANY_6)),
        ("127.0.0.1:8080:80/tcp4", Forward(8080, 80, "tcp", LOOPBACK)),
        ("[::1]:8080:80/udp6", Forward(8080, 80, "udp", IPv6Address("::1"))),
        # The first free one of several.
        ("8000-8010:80", Forward(8000, 80, host_port_end=8010)),
        ("127.0.0.1:8000-8010:80/udp", Forward(8000, 80, "udp", LOOPBACK, 8010)),
        ("8000-8000:80", Forward(8000, 80)),
        # Another address of the guest's.
        ("8080:[10.0.2.101]:80", Forward(8080, 80, guest_address=OTHER)),
        ("0:[10.0.2.101]:53/udp", Forward(0, 53, "udp", guest_address=OTHER)),
        ("[::1]:1:[10.0.2.101]:2", Forward(1, 2, "tcp", IPv6Address("::1"), guest_address=OTHER)),
        ("127.0.0.1:1-2:[10.0.2.101]:3", Forward(1, 3, "tcp", LOOPBACK, 2, OTHER)),
    ],
)
def test_reads(text: str, forward: Forward) -> None:
    assert parse_forwards(text) == (forward,)


@pytest.mark.parametrize(
    ("text", "several"),
    [
        ("8000-8002:80-82", ("8000:80", "8001:81", "8002:82")),
        ("[::1]:8000-8001:80-81/udp", ("[::1]:8000:80/udp", "[::1]:8001:81/udp")),
        ("80-82", ("80", "81", "82")),
        ("127.0.0.1::80-81", ("127.0.0.1::80", "127.0.0.1::81")),
        ("8000-8001:80-81/tcp6", ("[::]:8000:80", "[::]:8001:81")),
    ],
)
def test_reads_ranges(text: str, several: tuple[str, ...]) -> None:
    assert parse_forwards(text) == tuple(one for word in several for one in parse_forwards(word))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "write it as [HOST_IP:][HOST_PORT:]GUEST_PORT[/tcp|/udp]"),
        ("http:80", "port 'http' in 'http:80' is not a number from 1 to 65535"),
        ("http", "port 'http' in 'http' is not a number"),
        ("8080:", "port '' in '8080:'"),
        ("80:0", "port '0'"),
        ("00:80", "port '00'"),
        ("0", "port '0'"),
        ("8080:65536", "port '65536'"),
        ("-1:80", "port '-1'"),
        ("8000-:80", "port '8000-'"),
        ("8000-8010-8020:80", "port '8000-8010-8020'"),
        ("8000-65536:80", "port '8000-65536'"),
        ("0-10:80", "port '0-10'"),
        ("+80:80", "port '+80'"),
        (" 8080:80", "port ' 8080'"),
        ("8080:80\n", r"port '80\n'"),
        ("٨٠٨٠:80", "port '٨٠٨٠'"),
        ("8010-8000:80", "range '8010-8000' in '8010-8000:80' runs backwards: write 8000-8010"),
        ("8000-8001:80-82", "pairs ports of the host with ports of the guest, 2 with 3: make both"),
        ("8000:80-82", "1 with 3"),
        ("127.0.0.1:80", "write 127.0.0.1:80:80, or 127.0.0.1::80 for a free port of the host"),
        ("[::1]:80", "write [::1]:80:80, or [::1]::80 for a free port of the host"),
        ("8080:80/", "protocol ''"),
        ("8080:80/sctp", "protocol 'sctp' in '8080:80/sctp' is not known: write /tcp or /udp"),
        ("8080:80/tcp/udp", "protocol 'tcp/udp'"),
        ("[::1]:1:2/tcp4", "::1 in '[::1]:1:2/tcp4' is an IPv6 address: write /tcp or /tcp6"),
        ("127.0.0.1::2/udp6", "is an IPv4 address: write /udp or /udp4"),
        ("localhost:8080:80", "'localhost' in 'localhost:8080:80' is not an IP address"),
        (":8080:80", "leave it out for every address"),
        ("127.0.0.256:1:2", "'127.0.0.256'"),
        ("::1:8080:80", "an IPv6 address goes in brackets"),
        ("[::1:8080:80", "is not closed"),
        ("[::1]8080:80", "write it as"),
        ("[::1]:8080:", "port ''"),
        ("[127.0.0.1]:1:2", "127.0.0.1 in '[127.0.0.1]:1:2' is IPv4: write it without brackets"),
        ("[]:1:2", "'' in '[]:1:2' is not an IPv6 address"),
        ("[fe80::1%a b]:1:2", "is not an IPv6 address"),
        ("[fe80::1]:1:2", "fe80::1 is link-local: add its interface, like fe80::1%eth0"),
        ("[::1%lo]:1:2", "::1%lo is not link-local: write it without interface, as ::1"),
        ("[::ffff:10.0.0.1]:1:2", "write it as 10.0.0.1"),
        ("224.0.0.1:1:2", "224.0.0.1 is a multicast or broadcast address"),
        ("255.255.255.255:1:2", "multicast or broadcast"),
        ("[ff02::1%eth0]:1:2", "multicast or broadcast"),
        ("8080:[10.0.2.101:80", "'10.0.2.101:80' in '8080:[10.0.2.101:80' is not an address and"),
        ("8080:[10.0.2]:80", "write them like 8080:[10.0.2.101]:80"),
        ("8080:[224.0.0.1]:80", "multicast or broadcast"),
    ],
)
def test_says_what_is_wrong_with(text: str, said: str) -> None:
    assert said in complaint(text)


@pytest.mark.parametrize(
    "text",
    ["8080:unix:/run/app.sock", "8080:/run/app.sock", "/run/app.sock:80", "unix:/a", "8080:./a"],
)
def test_a_unix_socket_is_no_port(text: str) -> None:
    assert complaint(text) == (
        f"{text!r} names a unix socket, and only TCP and UDP ports can be published: "
        "have the program listen on a port"
    )


@pytest.mark.parametrize(
    ("host_port", "guest_port", "end"),
    [(80, 65536, None), (-1, 80, None), (80, 0, None), (80, 80, 0), (80, 80, 65536)],
)
def test_made_from_numbers_obeys_the_same_range(
    host_port: int, guest_port: int, end: int | None
) -> None:
    with pytest.raises(UsageError, match="from 1 to 65535"):
        Forward(host_port, guest_port, host_port_end=end)


@pytest.mark.parametrize(("host_port", "end"), [(80, 80), (80, 79), (0, 80)])
def test_a_range_of_numbers_has_a_smaller_one_to_begin_with(host_port: int, end: int) -> None:
    with pytest.raises(UsageError, match="begin with the smaller one"):
        Forward(host_port, 80, host_port_end=end)


def test_made_with_another_protocol_is_refused() -> None:
    with pytest.raises(UsageError, match="protocol 'sctp' is not known: take tcp or udp"):
        Forward(80, 80, "sctp")  # type: ignore[arg-type]  # as a caller without types may


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("8080:80", "8080:80", True),
        ("8080:80", "8080:81", True),
        ("8080:80", "8081:80", False),
        ("8080:80", "8080:80/udp", False),
        ("8080:80", "127.0.0.1:8080:80", True),
        ("8080:80", "[::1]:8080:80", True),
        ("8080:80", "8080:80/tcp6", True),
        ("127.0.0.1:8080:80", "127.0.0.2:8080:80", False),
        ("127.0.0.1:8080:80", "0.0.0.0:8080:80", True),
        ("[::1]:8080:80", "[::]:8080:80", True),
        ("8080:80/tcp4", "8080:80/tcp6", False),
        ("[fe80::1%eth0]:1:2", "[fe80::1%eth1]:1:2", False),
        ("80", "80", False),
        ("8000-8010:80", "8000:81", False),
        ("8000-8010:80", "8000-8010:81", False),
    ],
)
def test_overlaps_when_both_need_one_port(one: str, other: str, expected: bool) -> None:
    (left,), (right,) = parse_forwards(one), parse_forwards(other)
    assert left.overlaps(right) is expected
    assert right.overlaps(left) is expected


class TestSeveral:
    def test_a_port_published_twice_is_refused_with_both_names(self) -> None:
        with pytest.raises(UsageError) as caught:
            NetworkConfig(forwards=(Forward(1, 2), Forward(3, 4), Forward(3, 5, "tcp")))
        assert str(caught.value) == (
            "port 3/tcp of the host is published twice, by 3:4/tcp and 3:5/tcp: keep one of them"
        )

    @pytest.mark.parametrize(
        "words",
        [
            ("53:53/tcp", "53:53/udp", "127.0.0.1:80:80", "127.0.0.2:80:81"),
            ("53:53/tcp4", "53:53/tcp6"),
            ("80", "80", "80/udp"),
            ("8000-8010:80", "8000-8010:80", "8000:81"),
        ],
    )
    def test_what_can_stand_together_is_fine(self, words: tuple[str, ...]) -> None:
        forwards = tuple(one for word in words for one in parse_forwards(word))
        assert NetworkConfig(forwards=forwards).forwards == forwards

    def test_all_ports_at_once_are_compared_in_no_time(self) -> None:
        """Not each one with each other: that would be two thousand million times."""
        every = parse_forwards("1-65535:1-65535")
        assert len(NetworkConfig(forwards=every).forwards) == 65535
