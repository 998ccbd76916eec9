"""slirp4netns's command line: what its words mean, and what it says when they mean nothing."""

import subprocess
import sys
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from pathlib import Path

import pytest

from rootlessnet.cli.main import main
from rootlessnet.cli.slirp4netns import OPTIONS, parse
from rootlessnet.config import AttachConfig, NetworkConfig
from rootlessnet.errors import RootlessnetError
from rootlessnet.target import FrameSocket, TapDescriptor, Target
from tests.cli.conftest import Rooms

ROOT = Path(__file__).parents[2]
PATH = "/proc/self/ns/net"


def network(cidr: str = "10.0.2.0/24", mtu: int = 1500, tap: str = "tap0") -> NetworkConfig:
    """What slirp4netns has by default."""
    return NetworkConfig(
        IPv4Network(cidr), ipv6=False, mtu=mtu, tap_name=tap, host_loopback=True, metadata=True
    )


def config(target: Target = 7, **values: object) -> AttachConfig:
    made = {"target": target, "network": network(), "configure": False} | values
    return AttachConfig(**made)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("7", config()),
        ("7 tap0", config()),
        ("7 tap5", config(network=network(tap="tap5"))),
        ("-c 7 tap0", config(configure=True)),
        ("7 tap0 --configure", config(configure=True)),
        ("7 -c tap0", config(configure=True)),
        ("--conf 7", config(configure=True)),
        ("-e 3 -r 4 7", config(exit_fd=3, ready_fd=4)),
        ("-e3 -r4 7", config(exit_fd=3, ready_fd=4)),
        ("-ce3 7", config(configure=True, exit_fd=3)),
        ("--exit-fd=0 --ready-fd 4 7", config(exit_fd=0, ready_fd=4)),
        ("-m 65521 7", config(network=network(mtu=65521))),
        ("--mtu=65520 7", config(network=network(mtu=65520))),
        ("--mtu 576 7", config(network=network(mtu=576))),
        ("--cidr 192.168.0.0/25 7", config(network=network("192.168.0.0/25"))),
        ("-a /tmp/s.sock 7", config(api_socket="/tmp/s.sock")),
        ("--api-socket=/tmp/s.sock 7", config(api_socket="/tmp/s.sock")),
        ("--netns-type=pid 7", config()),
        (f"--netns-type=path {PATH}", config(PATH)),
        (f"--netns-type=path --userns-path={PATH} {PATH}", config(PATH, userns_path=PATH)),
        (f"--userns-path={PATH} 7", config(userns_path=PATH)),
        ("--netns-type=tapfd 3", config(TapDescriptor(3))),
        ("--target-type=netns 7", config()),
        ("--target-type=bess /tmp/b.sock", config(FrameSocket("/tmp/b.sock"))),
        ("-c --macaddress=02:00:00:00:00:01 7", config(configure=True, mac=b"\x02\0\0\0\0\1")),
        ("-- 7", config()),
    ],
)
def test_what_the_words_mean(words: str, wanted: AttachConfig) -> None:
    assert parse(words.split()) == wanted


@pytest.mark.parametrize(
    ("words", "cidr6"),
    [
        (["-6"], "fd00::/64"),
        (["--enable-ipv6"], "fd00::/64"),
        (["--cidr6=fd12:3456:789a::/48"], "fd12:3456:789a::/48"),
        (["-6", "--cidr6", "fd12:3456:789a::/48"], "fd12:3456:789a::/48"),
    ],
)
def test_ipv6(words: list[str], cidr6: str) -> None:
    found = parse([*words, "7"])
    assert found is not None
    assert (found.network.ipv6, found.network.cidr6) == (True, IPv6Network(cidr6))


def test_the_host_s_loopback_is_open_unless_disabled() -> None:
    for words, is_open in ((["7"], True), (["--disable-host-loopback", "7"], False)):
        found = parse(words)
        assert found is not None
        assert found.network.host_loopback is is_open


@pytest.mark.parametrize("word", ["192.0.2.1", "lo"])
def test_outbound_addresses(word: str) -> None:
    found = parse(["--outbound-addr", word, "--outbound-addr6=2001:db8::1", "7"])
    assert found is not None
    first, second = found.network.outbound_addresses
    assert first == IPv4Address("127.0.0.1" if word == "lo" else word)
    assert str(second) == "2001:db8::1"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "no PID, PATH or FD given"),
        ("abc tap0", "PID must be a positive integer"),
        ("0 tap0", "PID must be a positive integer"),
        ("12abc tap0", "PID must be a positive integer"),
        ("-1 tap0", "invalid option -- '1'"),
        ("-- -1 tap0", "PID must be a positive integer"),
        ("99999999999 tap0", "PID must be a positive integer"),
        ("7 tap0 more", "too many arguments"),
        ("7 a/b", "interface name 'a/b' is not possible"),
        ("-m 0 7", "MTU must be a positive integer (< 65522)"),
        ("-m -1 7", "MTU must be a positive integer (< 65522)"),
        ("-m x 7", "MTU must be a positive integer (< 65522)"),
        ("-m 0x10 7", "MTU must be a positive integer (< 65522)"),
        ("--mtu=65522 7", "MTU must be a positive integer (< 65522)"),
        ("--mtu= 7", "MTU must be a positive integer (< 65522)"),
        ("--mtu=99999999999 7", "MTU must be a positive integer (< 65522)"),
        ("--mtu=575 7", "MTU 575 is out of range: take 576 to 65521"),
        ("--cidr=foo 7", "invalid CIDR 'foo'"),
        ("--cidr= 7", "invalid CIDR ''"),
        ("--cidr=10.0.2.0 7", "invalid CIDR '10.0.2.0'"),
        ("--cidr=10.0.2.0/0 7", "invalid CIDR '10.0.2.0/0'"),
        ("--cidr=10.0.2.0/26 7", "invalid CIDR '10.0.2.0/26'"),
        ("--cidr=10.0.2.0/24x 7", "invalid CIDR '10.0.2.0/24x'"),
        ("--cidr=300.0.2.0/24 7", "invalid CIDR '300.0.2.0/24'"),
        (
            "--cidr=10.0.2.5/24 7",
            "CIDR needs to be a network address like 10.0.2.0/24, not like 10.0.2.5/24",
        ),
        ("--cidr6=fd00::1/64 7", "fd00::1/64"),
        ("--cidr6=10.0.2.0/24 7", "'10.0.2.0/24'"),
        ("-6 -m 1279 7", "MTU 1279 is too small for IPv6"),
        ("-e x 7", "exit-fd must be a non-negative integer"),
        ("-e -1 7", "exit-fd must be a non-negative integer"),
        ("-r -5 7", "ready-fd must be a non-negative integer"),
        ("--ready-fd= 7", "ready-fd must be a non-negative integer"),
        ("-e 999 7", "exit descriptor 999 is not open"),
        ("-r 999 7", "ready descriptor 999 is not open"),
        ("--netns-type=foo 7", "--netns-type must be pid, path or tapfd"),
        ("--netns-type=path /nosuch", "existing path expected when --netns-type=path"),
        ("--netns-type=tapfd x", "tap-fd must be a non-negative integer"),
        ("--netns-type=tapfd -c 3", "--configure conflicts with --netns-type=tapfd"),
        ("--netns-type=tapfd 999", "descriptor 999 is not a TAP's"),
        ("--userns-path=/nosuch 7", "userns path doesn't exist: '/nosuch'"),
        ("--target-type=foo 7", '--target-type must be either "netns" or "bess"'),
        ("--target-type=bess -c /tmp/x", "--configure conflicts with --target-type=bess"),
        (
            "--target-type=bess --netns-type=pid /tmp/x",
            "--netns-type conflicts with --target-type=bess",
        ),
        (
            f"--target-type=bess --userns-path={PATH} /tmp/x",
            "--userns-path conflicts with --target-type=bess",
        ),
        ("--target-type=bess /tmp/x tap0", "too many arguments"),
        ("--macaddress=02:00:00:00:00:01 7", "cannot be specified when --configure"),
        ("-c --macaddress=foo 7", "is not a MAC address"),
        ("-c --macaddress= 7", "is not a MAC address"),
        ("-c --macaddress=02:00:00:00:00:01:02 7", "is not a MAC address"),
        ("--outbound-addr=nosuch0 7", "outbound-addr has to be valid ipv4 address or interface"),
        ("--outbound-addr=::1 7", "outbound-addr has to be valid ipv4 address or interface name"),
        ("--outbound-addr6=1.2.3.4 7", "outbound-addr6 has to be valid ipv6 address or interface"),
        ("--outbound-addr6=lo 7", "outbound-addr6 has to be valid ipv6 address or interface"),
        ("-a 7", "no PID, PATH or FD given"),
        (f"-a {'x' * 108} 7", "has 108 bytes, 107 are possible"),
        ("--nosuch 7", "unrecognized option '--nosuch'"),
        ("--c 7", "option '--c' is ambiguous; possibilities: '--configure' '--cidr' '--cidr6'"),
        ("--mtu", "option '--mtu' requires an argument"),
        ("--configure=1 7", "option '--configure' doesn't allow an argument"),
    ],
)
def test_every_failure_is_one_line_and_an_exit_status_of_1(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["slirp4netns", *words.split()]) == 1
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("rootlessnet: ")
    assert said in error
    assert error.count("\n") == 1


def test_the_longest_path_of_a_socket() -> None:
    assert parse(["-a", "x" * 107, "7"]) == config(api_socket="x" * 107)


def test_failures_further_down_are_an_exit_status_of_1(
    rooms: Rooms, capsys: pytest.CaptureFixture[str]
) -> None:
    def serve() -> int:
        raise RootlessnetError("no luck: try again")

    rooms.serve = serve
    assert main(["slirp4netns", "7", "tap0"]) == 1
    assert capsys.readouterr() == ("", "rootlessnet: no luck: try again\n")


def test_the_end_is_an_exit_status_of_0(rooms: Rooms) -> None:
    assert main(["slirp4netns", "-c", "7", "tap0"]) == 0
    assert rooms.configs == [config(configure=True)]


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["--h"], ["7", "tap0", "-h", "--nosuch"]])
def test_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["slirp4netns", *words]) == 0
    out, error = capsys.readouterr()
    assert error == ""
    # What its callers look for.
    for option in (
        *("--netns-type", "--enable-ipv6", "--cidr", "--disable-host-loopback", "--api-socket"),
        *("--mtu", "--enable-sandbox", "--enable-seccomp", "--outbound-addr"),
    ):
        assert option in out
    assert all(f"--{option.name}" in out for option in OPTIONS)
    assert all(len(line) <= 100 for line in out.splitlines())


@pytest.mark.parametrize("words", [["--version"], ["-v"], ["-cv"], ["-m", "0", "--vers"]])
def test_version(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["slirp4netns", *words]) == 0
    out, error = capsys.readouterr()
    assert error == ""
    first, second = out.splitlines()
    assert first.startswith("slirp4netns version ")
    name, value = second.split(": ")
    assert name == "SLIRP_CONFIG_VERSION_MAX"
    assert int(value) >= 4


@pytest.mark.parametrize(
    ("name", "is_it"),
    [("slirp4netns", True), ("rootlessnet-slirp4netns", True), ("rootlessnet", False)],
)
def test_any_link_of_its_name_is_the_program(name: str, is_it: bool, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from rootlessnet.__main__ import main\nmain()\n"
    )
    link = tmp_path / name
    link.symlink_to(script)
    words = [sys.executable, str(link), "--version"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert ("SLIRP_CONFIG_VERSION_MAX: " in done.stdout) is is_it


def test_help_and_version_import_next_to_nothing() -> None:
    """Each costs 10 ms and more of the 60 that they may take."""
    code = (
        "import sys\nfrom rootlessnet.cli.main import main\nmain(['slirp4netns', '--version'])\n"
        "print(*{'argparse', 'asyncio', 'dataclasses', 'ipaddress', 'inspect', 'json',"
        " 'rootlessnet.config'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""
