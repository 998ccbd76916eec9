"""`run`: which words are options, which are COMMAND's, and what config they make."""

import os
import pwd
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest

from rootlessnet.added_host import AddedHost
from rootlessnet.bounds import Bounds
from rootlessnet.cli.main import main
from rootlessnet.cli.run import parse
from rootlessnet.config import NetworkConfig, RunConfig
from rootlessnet.forward import Forward
from rootlessnet.publishing import PublishAll
from rootlessnet.reservation import Reservation
from rootlessnet.to_host import ToHost
from tests.cli.conftest import Rooms

PUBLISHED = NetworkConfig(forwards=(Forward(1, 2),))


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["ls"], ["ls"]),
        (["ls", "-l"], ["ls", "-l"]),
        (["ls", "-h", "--help", "--mtu", "x", "-p"], ["ls", "-h", "--help", "--mtu", "x", "-p"]),
        (["ls", "--c"], ["ls", "--c"]),
        (["ls", "--"], ["ls", "--"]),
        (["ls", "--", "-x"], ["ls", "--", "-x"]),
        (["ls", "", "-"], ["ls", "", "-"]),
        (["--", "ls", "-l"], ["ls", "-l"]),
        (["--", "-x"], ["-x"]),
        (["--", "-p", "3:4"], ["-p", "3:4"]),
        (["--", "--", "x"], ["--", "x"]),
        (["--", "ls", "--", "x"], ["ls", "--", "x"]),
        (["--", "sh", "-c", "a -- b"], ["sh", "-c", "a -- b"]),
        (["--", "sh", "-c", "-- b", "--"], ["sh", "-c", "-- b", "--"]),
        (["", "x"], ["", "x"]),
        (["a b", "-x"], ["a b", "-x"]),
    ],
)
@pytest.mark.parametrize(
    ("options", "network"),
    [
        ([], NetworkConfig()),
        (["-p", "1:2"], PUBLISHED),
        (["-p1:2"], PUBLISHED),
        (["--publish=1:2"], PUBLISHED),
        (
            ["--no-ipv6"],
            NetworkConfig(ipv6=False),
        ),
        (
            ["--host-loopback", "-p", "1:2"],
            NetworkConfig(forwards=(Forward(1, 2),), host_loopback=True),
        ),
        (["--no-dhcp"], NetworkConfig(dhcp=False)),
        (
            ["--limit", "udp-flows=7", "--limit", "tcp-bytes=2000000", "--limit", "udp-flows=8"],
            NetworkConfig(bounds=Bounds(udp_flows=8, tcp_bytes=2_000_000)),
        ),
        (["--metadata"], NetworkConfig(metadata=True)),
        (["--no-host-addresses"], NetworkConfig(host_addresses=False)),
    ],
)
def test_what_stands_after_command_belongs_to_command(
    options: list[str], network: NetworkConfig, words: list[str], command: list[str]
) -> None:
    assert parse([*options, *words]) == RunConfig(command=tuple(command), network=network)


def test_every_option_reaches_the_config(rooms: Rooms) -> None:
    words = ["-p", "8080-8081:80-81", "--publish", "[::1]::5353/udp", "--cidr", "192.0.2.0/24"]
    words += ["--ipv6", "--cidr6", "fd00::/64"]
    words += ["--mtu=1500", "--tap-name", "eth0", "--host-loopback", "--map-user", "--no-pid"]
    words += ["--name", "web", "--no-offload", "--no-splice"]
    words += ["--dhcp-host", "52:54:00:12:34:56=192.0.2.50"]
    words += ["--dns", "192.0.2.53", "--dns", "2001:db8::53"]
    words += ["-P=127.0.0.2", "--host-ip", "auto"]
    words += ["--to-host", "5432", "--to-host=5354:53/udp"]
    words += ["--add-host", "db:[2001:db8::5]", "--add-host=me:host-gateway"]
    assert main(["run", *words, "--", "true"]) == 0
    assert rooms.configs == [
        RunConfig(
            command=("true",),
            network=NetworkConfig(
                cidr=IPv4Network("192.0.2.0/24"),
                ipv6=True,
                cidr6=IPv6Network("fd00::/64"),
                mtu=1500,
                tap_name="eth0",
                host_loopback=True,
                offload=False,
                splice=False,
                reservations=(
                    Reservation(bytes.fromhex("525400123456"), IPv4Address("192.0.2.50")),
                ),
                dns=(IPv4Address("192.0.2.53"), IPv6Address("2001:db8::53")),
                hosts=(AddedHost("db", IPv6Address("2001:db8::5")), AddedHost("me")),
                forwards=(
                    Forward(8080, 80),
                    Forward(8081, 81),
                    Forward(0, 5353, "udp", IPv6Address("::1")),
                ),
                publish_all=PublishAll(IPv4Address("127.0.0.2")),
                host_ip="auto",
                to_host=(ToHost(5432, 5432), ToHost(5354, 53, "udp")),
            ),
            map_user=True,
            pid_namespace=False,
            name="web",
        )
    ]


def test_which_ports_were_found_is_said_on_standard_error(
    rooms: Rooms, capsys: pytest.CaptureFixture[str]
) -> None:
    rooms.published = (Forward(49153, 80), Forward(49154, 53, "udp", IPv4Address("127.0.0.1")))
    assert main(["run", "-p", "80", "-p", "127.0.0.1::53/udp", "true"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "rootlessnet: published 49153:80/tcp\nrootlessnet: published 127.0.0.1:49154:53/udp\n"
    )


def test_news_are_said_on_standard_error(rooms: Rooms, capsys: pytest.CaptureFixture[str]) -> None:
    rooms.news = ("all is full",)
    assert main(["run", "true"]) == 0
    assert main(["attach", "1"]) == 0
    assert capsys.readouterr().err == "rootlessnet: all is full\n" * 2


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["-P"], PublishAll()),
        (["--publish-all"], PublishAll()),
        (["-P="], PublishAll()),
        (["-P=127.0.0.2"], PublishAll(IPv4Address("127.0.0.2"))),
        (["--publish-all=::1"], PublishAll(IPv6Address("::1"))),
        (["--publish-loopback", "-P"], PublishAll(loopback=True)),
        (["-P", "--publish-loopback"], PublishAll(loopback=True)),
        (["--mtu", "1500", "-P"], PublishAll()),
        ([], None),
    ],
)
def test_all_ports_and_the_word_behind(options: list[str], wanted: PublishAll | None) -> None:
    """It belongs to COMMAND, though the option may have a value."""
    for words in (["127.0.0.3"], ["--", "127.0.0.3"]):
        config = parse([*options, *words])
        assert config.command == ("127.0.0.3",)
        assert config.network.publish_all == wanted


@pytest.mark.parametrize("status", [0, 3, 137])
def test_the_exit_status_is_the_commands(status: int, rooms: Rooms) -> None:
    rooms.serve = lambda: status
    assert main(["run", "--", "true"]) == status
    assert rooms.calls == ["start", "serve", "close"]


NOT_A_HOST_IP = (
    "host address 'any' is not an IP address: "
    "write it like 127.0.0.2 or ::1, or auto for one that is free"
)
NOT_A_PORT = (
    "cannot read 'http' as a port of the host: write it as "
    "[GUEST_PORT:]HOST_PORT[/tcp|/udp] with ports from 1 to 65535, for example 5432"
)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--host-ip", "any"], NOT_A_HOST_IP),
        (["--to-host", "http"], NOT_A_PORT),
        (["-x", "ls"], "unknown option '-x': see rootlessnet run --help"),
        (["-", "ls"], "unknown option '-': see rootlessnet run --help"),
        (["-5"], "unknown option '-5': see rootlessnet run --help"),
        (["-a b"], "unknown option '-a b': see rootlessnet run --help"),
        (["--mt", "1500", "ls"], "unknown option '--mt': see rootlessnet run --help"),
        (["--a\nb"], r"unknown option '--a\nb': see rootlessnet run --help"),
        (["--publish-loopback"], "--publish-loopback says what -P publishes: add -P"),
        (
            ["-P=web"],
            "host address 'web' is not an IP address: write it like 127.0.0.2 or ::1",
        ),
        (
            ["--publish"],
            "argument -p/--publish: expected one argument: see rootlessnet run --help",
        ),
        (["-p", "--", "ls"], None),
        (["--no-pid=yes", "ls"], None),
        (["--host-loopback=", "ls"], None),
        (["--publish=", "ls"], None),
        (["-p", "http:80", "ls"], "port 'http' in 'http:80' is not a number from 1 to 65535"),
        (["-p", "ls"], None),
        (["--cidr", "10.0.2.1/24", "ls"], None),
        (["--mtu", "1", "ls"], "MTU 1 is out of range: take 576 to 65521 (bytes)"),
        (["--tap-name", "lo", "ls"], None),
        (["--dns", "dns.example", "ls"], None),
        (["--add-host", "db", "ls"], None),
        (["--add-host", "db:", "ls"], None),
        (["--dhcp-host", "10.0.2.50", "ls"], None),
        (["--name", "", "ls"], None),
        (["--name", "123", "ls"], None),
        (["--name", "a/b", "ls"], None),
        (
            ["-p", "80:1", "-p", "80:1", "ls"],
            "port 80/tcp of the host is published twice, by 80:1/tcp: keep one of them",
        ),
    ],
)
def test_a_usage_error_is_one_line_and_starts_nothing(
    words: list[str], line: str | None, rooms: Rooms, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("rootlessnet: ")
    assert err.count("\n") == 1
    assert line is None or err == f"rootlessnet: {line}\n"
    assert rooms.calls == []


class TestWithoutCommand:
    @pytest.mark.parametrize("words", [[], ["--"]])
    def test_it_is_the_shell_of_the_environment(
        self, words: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SHELL", "/bin/fish")
        assert parse(["--no-pid", *words]).command == ("/bin/fish",)

    def test_else_that_of_the_user_database(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SHELL", "")
        self.give_user_the_shell(monkeypatch, "/bin/zsh")
        assert parse([]).command == ("/bin/zsh",)

    def test_else_bin_sh(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("SHELL", raising=False)
        self.give_user_the_shell(monkeypatch, "")
        assert parse([]).command == ("/bin/sh",)

    def test_a_user_without_an_entry_has_bin_sh(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def unknown(uid: int) -> pwd.struct_passwd:
            raise KeyError(uid)

        monkeypatch.delenv("SHELL", raising=False)
        monkeypatch.setattr(pwd, "getpwuid", unknown)
        assert parse([]).command == ("/bin/sh",)

    @staticmethod
    def give_user_the_shell(monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
        def entry(uid: int) -> pwd.struct_passwd:
            assert uid == os.getuid()
            return pwd.struct_passwd(("user", "x", uid, uid, "", "/", shell))

        monkeypatch.setattr(pwd, "getpwuid", entry)
