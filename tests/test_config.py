"""What a user may ask for: each rule once as an example, all of them under random text."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rootlessnet.addressing import parse_cidr, parse_cidr6
from rootlessnet.bounds import Bounds
from rootlessnet.config import (
    AttachConfig,
    NetworkConfig,
    RunConfig,
    parse_mtu,
    parse_name,
    parse_nameserver,
    parse_tap_name,
)
from rootlessnet.errors import UsageError
from rootlessnet.forward import Forward
from rootlessnet.hardware_address import parse_mac
from rootlessnet.publishing import PublishAll, parse_host_ip, parse_publish_all
from rootlessnet.target import SOCKET_PATH_SIZE, FrameSocket, TapDescriptor, parse_target
from rootlessnet.to_host import ToHost

PARSERS: list[Callable[[str], object]] = [
    parse_cidr,
    parse_cidr6,
    parse_mac,
    parse_host_ip,
    parse_mtu,
    parse_name,
    parse_publish_all,
    parse_nameserver,
    parse_tap_name,
    parse_target,
]

# Text that comes close to what is accepted, so that every branch of the parsers is met.
nearly_right = st.text(alphabet="0123456789.:[]/%tcpudabf- \n\x00\u0663é\udc80", max_size=24)

PORTS: dict[str, object] = {"host_port": 80, "guest_port": 80}


def complaint(parse: Callable[[str], object], text: str) -> str:
    """The message with which `parse` refuses `text`."""
    with pytest.raises(UsageError) as caught:
        parse(text)
    return str(caught.value)


@pytest.mark.parametrize("parse", PARSERS)
@given(text=nearly_right | st.text())
def test_any_text_is_accepted_or_refused_in_one_printable_line(
    parse: Callable[[str], object], text: str
) -> None:
    message = ""
    try:
        parse(text)
    except UsageError as error:
        message = str(error)
    assert message.isprintable()


@pytest.mark.parametrize("parse", PARSERS)
def test_a_message_stays_readable_when_the_word_is_endless(
    parse: Callable[[str], object],
) -> None:
    assert len(complaint(parse, "9" * 100_000)) < 400


class TestCidr:
    @pytest.mark.parametrize(
        "text", ["10.0.2.0/24", "192.168.1.128/25", "32.0.0.0/3", "169.254.0.0/16"]
    )
    def test_reads(self, text: str) -> None:
        assert parse_cidr(text) == IPv4Network(text)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "10.0.2.0",
            "10.0.2.0/",
            "10.0.2.0/0",
            "10.0.2.0/26",
            "10.0.2.0/ 24",
            "10.0.2.0/٢٤",
            "10.0.2.0/255.255.255.0",
            "10.0.2/24",
            "fd00::/24",
            "/24",
        ],
    )
    def test_refuses_what_is_no_network_of_1_to_25_bits(self, text: str) -> None:
        assert complaint(parse_cidr, text).startswith(f"invalid CIDR {text!r}")

    def test_names_the_network_of_a_host_address(self) -> None:
        assert complaint(parse_cidr, "10.0.2.7/24") == (
            "CIDR needs to be a network address like 10.0.2.0/24, not like 10.0.2.7/24"
        )

    @pytest.mark.parametrize(
        ("text", "special"),
        [
            ("127.0.0.0/8", "127.0.0.0/8"),
            ("127.5.0.0/16", "127.0.0.0/8"),
            ("64.0.0.0/2", "127.0.0.0/8"),
            ("0.0.0.0/1", "0.0.0.0/8"),
            ("0.1.0.0/16", "0.0.0.0/8"),
            ("224.0.0.0/24", "224.0.0.0/3"),
            ("128.0.0.0/1", "224.0.0.0/3"),
            ("255.255.255.128/25", "224.0.0.0/3"),
        ],
    )
    def test_refuses_a_network_that_overlaps_a_special_one(self, text: str, special: str) -> None:
        assert f"it overlaps {special}" in complaint(parse_cidr, text)


class TestCidr6:
    @pytest.mark.parametrize("text", ["fd00::/64", "fc00::/8", "2001:db8::100:0/119"])
    def test_reads(self, text: str) -> None:
        assert parse_cidr6(text) == IPv6Network(text)

    @pytest.mark.parametrize(
        "text",
        [
            *("", "fd00::", "fd00::/", "fd00::/7", "fd00::/120", "fd00::/128", "fd00::/0x40"),
            *("10.0.2.0/24", "fd00::%eth0/64", "fd00::/64/64", "fd00:/64", "::10.0.2.0/24x"),
        ],
    )
    def test_refuses_what_is_no_network_of_8_to_119_bits(self, text: str) -> None:
        assert complaint(parse_cidr6, text).startswith(f"invalid IPv6 CIDR {text!r}")

    def test_names_the_network_of_a_host_address(self) -> None:
        assert complaint(parse_cidr6, "fd00::7/64") == (
            "IPv6 CIDR needs to be a network address like fd00::/64, not like fd00::7/64"
        )

    @pytest.mark.parametrize(
        ("text", "special"),
        [
            ("::/64", "::/8"),
            ("64:ff9b::/96", "::/8"),
            ("2002:c000:201::/48", "2002::/16"),
            ("2000::/8", "2002::/16"),
            ("fe80::/64", "fe80::/10"),
            ("ff02::/64", "ff00::/8"),
        ],
    )
    def test_refuses_a_network_that_overlaps_a_special_one(self, text: str, special: str) -> None:
        assert f"it overlaps {special}" in complaint(parse_cidr6, text)


class TestMtu:
    @pytest.mark.parametrize("mtu", [576, 1500, 65520, 65521])
    def test_reads(self, mtu: int) -> None:
        assert parse_mtu(str(mtu)) == mtu

    @pytest.mark.parametrize("text", ["575", "65522", "0", "4294968796"])
    def test_refuses_what_is_out_of_range(self, text: str) -> None:
        assert (
            complaint(parse_mtu, text) == f"MTU {text} is out of range: take 576 to 65521 (bytes)"
        )

    @pytest.mark.parametrize("text", ["", "1500 ", "1_500", "-1500", "0x5dc", "jumbo", "१५००"])
    def test_refuses_what_is_no_number(self, text: str) -> None:
        assert complaint(parse_mtu, text).startswith(f"MTU {text!r} is not a number")


class TestTapName:
    @pytest.mark.parametrize("text", ["tap0", "a", "exactly15bytes_", "br-0.1", "x[y]"])
    def test_reads(self, text: str) -> None:
        assert parse_tap_name(text) == text

    @pytest.mark.parametrize(
        "text",
        [
            *("", "16_bytes_is_long"),
            *(".", "..", "lo", "all", "default"),
            *("a/b", "a:b", "a%d", "a b", "a\tb", "a\0b", "tàp"),
        ],
    )
    def test_refuses_what_the_kernel_refuses(self, text: str) -> None:
        assert "is not possible" in complaint(parse_tap_name, text)


class TestNameserver:
    @pytest.mark.parametrize("text", ["127.0.0.53", "192.0.2.53", "::1", "fe80::1%eth0"])
    def test_reads(self, text: str) -> None:
        assert str(parse_nameserver(text)) == text

    @pytest.mark.parametrize("text", ["", "dns.example", "[::1]", "192.0.2.53:53", "192.0.2.53 "])
    def test_refuses_what_is_no_address(self, text: str) -> None:
        assert complaint(parse_nameserver, text).startswith(f"nameserver {text!r} is not an IP")

    @pytest.mark.parametrize("text", ["0.0.0.0", "::", "224.0.0.251", "ff02::fb%eth0", "fe80::1"])
    def test_refuses_an_address_nobody_answers_at(self, text: str) -> None:
        assert text in complaint(parse_nameserver, text)


class TestTarget:
    @pytest.mark.parametrize(
        ("text", "target"),
        [
            ("1", 1),
            ("2147483647", 2147483647),
            ("/proc/1/ns/net", "/proc/1/ns/net"),
            ("./123", "./123"),
            ("12a", "12a"),
            ("-5", "-5"),
            ("١٢", "١٢"),
        ],
    )
    def test_digits_are_a_process_and_all_else_a_path(self, text: str, target: int | str) -> None:
        assert parse_target(text) == target

    @pytest.mark.parametrize("text", ["0", "2147483648", "99999999999999999999"])
    def test_refuses_a_number_that_no_process_has(self, text: str) -> None:
        assert f"written ./{text}" in complaint(parse_target, text)

    def test_refuses_an_empty_word(self) -> None:
        assert "empty" in complaint(parse_target, "")


class TestName:
    @pytest.mark.parametrize("text", ["w", "7zip", "web-1", "a.b_c", "x" * 64])
    def test_what_can_be_one(self, text: str) -> None:
        assert parse_name(text) == text

    @pytest.mark.parametrize(
        "text",
        ["", "12", "-web", ".web", "_", "a/b", "..", "a b", "a\n", "é", "²a", "x" * 65, "a\0b"],
    )
    def test_what_cannot(self, text: str) -> None:
        with pytest.raises(UsageError, match="is not possible: take 1 to 64") as caught:
            parse_name(text)
        assert str(caught.value).isprintable()


class TestParseMac:
    @pytest.mark.parametrize("text", ["02:00:5e:10:00:01", "02:00:5E:10:00:01", "2:0:5e:10:0:1"])
    def test_reads(self, text: str) -> None:
        assert parse_mac(text) == bytes([2, 0, 0x5E, 0x10, 0, 1])

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "'' is not a MAC address: write 6 bytes in hexadecimal"),
            ("02:00:5e:10:00", "is not a MAC address"),
            ("02:00:5e:10:00:01:02", "is not a MAC address"),
            ("02:00:5e:10:00:zz", "is not a MAC address"),
            ("02:00:5e:10:00:001", "is not a MAC address"),
            ("02-00-5e-10-00-01", "is not a MAC address"),
            ("01:00:5e:10:00:01", "01:00:5e:10:00:01 is no interface's own"),
            ("00:00:00:00:00:00", "is no interface's own"),
        ],
    )
    def test_says_what_is_wrong_with(self, text: str, said: str) -> None:
        assert said in complaint(parse_mac, text)


class TestConfigs:
    def test_the_address_plan_is_that_of_slirp4netns(self) -> None:
        network = NetworkConfig()
        assert [str(a) for a in (network.gateway, network.dns_address, network.guest)] == [
            "10.0.2.2",
            "10.0.2.3",
            "10.0.2.100",
        ]

    @pytest.mark.parametrize(
        "address", ["10.0.3.1", "10.0.2.0", "10.0.2.2", "10.0.2.3", "10.0.2.255"]
    )
    def test_a_published_port_of_an_address_that_is_no_guest_s(self, address: str) -> None:
        with pytest.raises(UsageError) as caught:
            NetworkConfig(forwards=(Forward(1, 2, guest_address=IPv4Address(address)),))
        assert str(caught.value) == (
            f"{address} in 1:[{address}]:2/tcp is no address for a guest of 10.0.2.0/24: "
            "name one like 10.0.2.100"
        )

    def test_a_published_port_of_any_guest_s(self) -> None:
        forward = Forward(1, 2, guest_address=IPv4Address("10.0.2.254"))
        assert NetworkConfig(forwards=(forward,)).forwards == (forward,)

    def test_the_longest_prefix_has_room_for_the_guest(self) -> None:
        network = NetworkConfig(cidr=IPv4Network("192.0.2.128/25"))
        assert network.guest == IPv4Address("192.0.2.228")
        assert network.guest in network.cidr

    def test_the_address_plan_of_ipv6(self) -> None:
        plan = NetworkConfig(cidr6=IPv6Network("fd00::/64")).plan6
        assert plan is not None
        assert [str(a) for a in (plan.gateway, plan.dns_address, plan.guest)] == [
            "fd00::2",
            "fd00::3",
            "fd00::100",
        ]

    def test_the_longest_prefix_of_ipv6_has_room_for_the_guest(self) -> None:
        plan = NetworkConfig(cidr6=IPv6Network("2001:db8::200/119")).plan6
        assert plan is not None
        assert plan.guest in plan.cidr

    def test_a_guest_without_ipv6(self) -> None:
        assert NetworkConfig(ipv6=False, cidr6=IPv6Network("fd00::/64")).plan6 is None

    @pytest.mark.parametrize(
        "make",
        [
            lambda: NetworkConfig(cidr=IPv4Network("10.0.0.0/26")),
            lambda: NetworkConfig(cidr=IPv4Network("127.0.0.0/8")),
            lambda: NetworkConfig(cidr6=IPv6Network("fd00::/120")),
            lambda: NetworkConfig(cidr6=IPv6Network("fe80::/64")),
            lambda: NetworkConfig(ipv6=True, mtu=1279),
            lambda: NetworkConfig(cidr6=IPv6Network("fd00::/64"), mtu=1279),
            lambda: NetworkConfig(mtu=68),
            lambda: NetworkConfig(tap_name="lo"),
            lambda: NetworkConfig(dns=(IPv4Address("0.0.0.0"),)),
            lambda: PublishAll(IPv4Address("224.0.0.1")),
            lambda: NetworkConfig(publish_all=PublishAll(loopback=True), splice=False),
            lambda: AttachConfig(1, network=NetworkConfig(publish_all=PublishAll(loopback=True))),
            lambda: AttachConfig(TapDescriptor(3), network=NetworkConfig(publish_all=PublishAll())),
            lambda: NetworkConfig(host_ip=IPv4Address("224.0.0.1")),
            lambda: NetworkConfig(to_host=(ToHost(1, 2), ToHost(1, 3))),
            lambda: NetworkConfig(to_host=(ToHost(1, 2),), forwards=(Forward(3, 1),)),
            lambda: RunConfig(command=()),
            lambda: RunConfig(command=("echo", "a\0b")),
            lambda: AttachConfig(target=0),
            lambda: AttachConfig(target=""),
            lambda: AttachConfig(target="/proc/1\0"),
            lambda: AttachConfig(target=1, name="a b"),
            lambda: RunConfig(command=("true",), name=""),
            lambda: NetworkConfig(outbound_address=IPv4Address("224.0.0.1")),
            lambda: NetworkConfig(outbound_address_6=IPv6Address("fe80::1")),
            lambda: NetworkConfig(bounds=Bounds(tcp_flows=0)),
            lambda: TapDescriptor(-1),
            lambda: FrameSocket(""),
            lambda: FrameSocket("a\0b"),
            lambda: FrameSocket("\ud800"),
            lambda: FrameSocket("x" * (SOCKET_PATH_SIZE + 1)),
            lambda: AttachConfig(target=1, mac=bytes(5)),
            lambda: AttachConfig(target=1, mac=bytes(6)),
            lambda: AttachConfig(target=1, mac=b"\x01" + bytes(5)),
            lambda: AttachConfig(target=1, ready_fd=-1),
            lambda: AttachConfig(target=1, exit_fd=2**31),
            lambda: AttachConfig(target=1, api_socket="é" * 54),
        ],
    )
    def test_the_python_api_meets_the_rules_of_the_command_line(
        self, make: Callable[[], object]
    ) -> None:
        with pytest.raises(UsageError):
            make()

    @pytest.mark.parametrize(
        ("config", "values", "said"),
        [
            (Forward, {"host_port": "80", "guest_port": 80}, "port '80' is of type str"),
            (Forward, {"host_port": 80.0, "guest_port": 80}, "port 80.0 is of type float"),
            (Forward, {"host_port": True, "guest_port": 80}, "port True is of type bool"),
            (Forward, PORTS | {"host_port_end": "90"}, "end of the host ports '90' is of type str"),
            (Forward, PORTS | {"protocol": None}, "protocol None is of type NoneType"),
            (Forward, PORTS | {"host_address": "127.0.0.1"}, "give ip_address('127.0.0.1')"),
            (NetworkConfig, {"cidr": "10.0.2.0/24"}, "give IPv4Network('10.0.2.0/24')"),
            (NetworkConfig, {"cidr6": "fd00::/64"}, "give IPv6Network('fd72:6c6e:6574::/64')"),
            (NetworkConfig, {"ipv6": "yes"}, "give True, False or None"),
            (NetworkConfig, {"mtu": "1500"}, "MTU '1500' is of type str: give a number"),
            (NetworkConfig, {"tap_name": 0}, "interface name 0 is of type int"),
            (NetworkConfig, {"host_loopback": "no"}, "give True or False"),
            (NetworkConfig, {"metadata": 1}, "give True or False"),
            (NetworkConfig, {"host_addresses": ()}, "give True or False"),
            (NetworkConfig, {"bounds": {}}, "give Bounds(tcp_flows=1000)"),
            (NetworkConfig, {"bounds": Bounds(udp_flows=True)}, "udp_flows True is of type bool"),
            (NetworkConfig, {"offload": 1}, "give True or False"),
            (NetworkConfig, {"splice": "yes"}, "give True or False"),
            (NetworkConfig, {"dhcp": None}, "dhcp None is of type NoneType: give True or False"),
            (NetworkConfig, {"dns_forwarder": 0}, "dns_forwarder 0 is of type int"),
            (NetworkConfig, {"reservations": []}, "give a tuple of Reservation"),
            (NetworkConfig, {"reservations": ("",)}, "give a Reservation"),
            (NetworkConfig, {"publish_all": True}, "publish_all True is of type bool"),
            (NetworkConfig, {"host_ip": "127.0.0.2"}, "give ip_address('127.0.0.2') or 'auto'"),
            (NetworkConfig, {"to_host": [ToHost(1, 2)]}, "give a tuple of ToHost"),
            (NetworkConfig, {"to_host": (Forward(1, 2),)}, "give ToHost(5432, 5432)"),
            (PublishAll, {"address": "127.0.0.2"}, "give ip_address('127.0.0.2')"),
            (PublishAll, {"loopback": 1}, "give True or False"),
            (NetworkConfig, {"dns": "192.0.2.53"}, "give a tuple of addresses"),
            (NetworkConfig, {"dns": ("192.0.2.53",)}, "nameserver '192.0.2.53' is of type str"),
            (NetworkConfig, {"forwards": ("8080:80",)}, "give Forward(8080, 80)"),
            (NetworkConfig, {"forwards": [Forward(1, 2)]}, "give a tuple of Forward"),
            (RunConfig, {"command": "true"}, "command 'true' is of type str: give a tuple like"),
            (RunConfig, {"command": ("sleep", 5)}, "word of the command 5 is of type int"),
            (RunConfig, {"command": ("true",), "network": None}, "give a NetworkConfig"),
            (RunConfig, {"command": ("true",), "map_user": 1}, "give True or False"),
            (RunConfig, {"command": ("true",), "pid_namespace": None}, "give True or False"),
            (RunConfig, {"command": ("true",), "name": b"web"}, "give a text"),
            (AttachConfig, {"target": 1, "name": 1}, "name 1 is of type int: give a text"),
            (AttachConfig, {"target": None}, "give a process id or a path"),
            (AttachConfig, {"target": True}, "give a process id or a path"),
            (AttachConfig, {"target": 1, "userns_path": 1}, "give a path"),
            (AttachConfig, {"target": 1, "network": {}}, "give a NetworkConfig"),
            (AttachConfig, {"target": 1, "configure": 1}, "give True or False"),
            (AttachConfig, {"target": 1, "mac": "02:00:00:00:00:01"}, "give 6 bytes"),
            (AttachConfig, {"target": 1, "ready_fd": "3"}, "give the number of a descriptor"),
            (AttachConfig, {"target": 1, "exit_fd": True}, "give the number of a descriptor"),
            (AttachConfig, {"target": 1, "api_socket": b"/tmp/s"}, "give a path"),
            (TapDescriptor, {"number": "3"}, "give its number"),
            (FrameSocket, {"path": 3}, "path 3 is of type int"),
            (NetworkConfig, {"outbound_address": IPv6Address("::1")}, "IPv4Address('192.0.2.1')"),
            (NetworkConfig, {"outbound_address_6": "::1"}, "IPv6Address('2001:db8::1')"),
            (Forward, PORTS | {"guest_address": "10.0.2.101"}, "give ip_address('10.0.2.101')"),
        ],
    )
    def test_a_value_of_a_wrong_type_is_named(
        self, config: type, values: dict[str, object], said: str
    ) -> None:
        with pytest.raises(UsageError) as caught:
            config(**values)
        assert said in str(caught.value)

    @pytest.mark.parametrize(
        ("host_ip", "other", "fits"),
        [
            (None, "127.0.0.1", False),
            ("127.0.0.2", "127.0.0.1", True),
            ("127.0.0.2", "127.0.0.2", False),
            ("127.0.0.2", "0.0.0.0", False),
            ("auto", "127.0.0.1", True),
            ("auto", None, False),
        ],
    )
    def test_ports_overlap_where_they_are_published(
        self, host_ip: str | None, other: str | None, fits: bool
    ) -> None:
        address = None if other is None else IPv4Address(other)
        forwards = (Forward(8080, 80), Forward(8080, 81, "tcp", address))
        place = None if host_ip is None else parse_host_ip(host_ip)
        if fits:
            assert NetworkConfig(forwards=forwards, host_ip=place).forwards == forwards
        else:
            with pytest.raises(UsageError, match="port 8080/tcp of the host is published twice"):
                NetworkConfig(forwards=forwards, host_ip=place)

    def test_a_namespace_may_be_named_without_anything_else(self) -> None:
        assert AttachConfig(1).network == NetworkConfig()
