"""What the user asked for, as frozen dataclasses, validated once.

The parse functions turn the words of the command line into values; the dataclasses judge values, so
the Python API and the command line meet the same rules. Both raise `UsageError` with one line that
names the thing and the remedy. Whatever stands in a config is right: no room behind this one checks
a port, an address or an MTU again. Only what the machine alone knows (a port in use, an address the
host lacks) is left to the rooms that find out.

Read: slirp4netns(1) for the address plan, docker-run(1) for the grammar of published ports.
"""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from itertools import combinations
from types import UnionType
from typing import Literal

from rootlessnet.errors import UsageError

Protocol = Literal["tcp", "udp"]
HostAddress = IPv4Address | IPv6Address

DEFAULT_CIDR = IPv4Network("10.0.2.0/24")
DEFAULT_MTU = 65520
DEFAULT_TAP_NAME = "tap0"

PORTS = range(1, 65536)
PROCESS_IDS = range(1, 2**31)
MTU_MIN = 576  # RFC 791: every host takes a datagram of 576 bytes
MTU_MAX = 65521  # what a TAP device takes: 65535 less the Ethernet header
GATEWAY_OFFSET, DNS_OFFSET, GUEST_OFFSET = 2, 3, 100  # the address plan of slirp4netns

_PREFIXES = range(1, 26)  # /25 is the longest that has room for GUEST_OFFSET
_SPECIAL_NETWORKS = {
    IPv4Network("0.0.0.0/8"): "this network",
    IPv4Network("127.0.0.0/8"): "the loopback network",
    IPv4Network("224.0.0.0/3"): "multicast and reserved addresses",
}
_BROADCAST = IPv4Address("255.255.255.255")
_PROTOCOLS: dict[str, Protocol] = {"tcp": "tcp", "udp": "udp"}
_EMPTY_TARGET = "the target is empty: name a process id or the path of a network namespace"
_QUOTED_LENGTH = 160  # characters of a user's word that a message repeats; most paths fit


@dataclass(frozen=True, slots=True)
class Forward:
    """A published port: `host_port` of the host leads to `guest_port` of the guest, 1 to 65535.

    `host_address` None means every address of the host. A link-local address needs its interface as
    scope. Raises `UsageError`.
    """

    host_port: int
    guest_port: int
    protocol: Protocol = "tcp"
    host_address: HostAddress | None = None

    def __post_init__(self) -> None:
        for port in (self.host_port, self.guest_port):
            _require("port", port, int, "a number")
            if port not in PORTS:
                raise UsageError(f"port {port} is not a number from {PORTS[0]} to {PORTS[-1]}")
        _require("protocol", self.protocol, str, "'tcp' or 'udp'")
        if self.protocol not in _PROTOCOLS:
            raise UsageError(f"protocol {quoted(self.protocol)} is not known: take tcp or udp")
        if self.host_address is not None:
            _require("host address", self.host_address, HostAddress, "ip_address('127.0.0.1')")
            _check_single_host(self.host_address)

    def __str__(self) -> str:
        match self.host_address:
            case None:
                host = ""
            case IPv6Address():
                host = f"[{self.host_address}]:"
            case _:
                host = f"{self.host_address}:"
        return f"{host}{self.host_port}:{self.guest_port}/{self.protocol}"

    def overlaps(self, other: "Forward") -> bool:
        """True when both need the same port of the same address, so that only one can have it."""
        if (self.host_port, self.protocol) != (other.host_port, other.protocol):
            return False
        mine, theirs = self.host_address, other.host_address
        if mine is None or theirs is None:
            return True
        one_is_every_address = mine.is_unspecified or theirs.is_unspecified
        return mine == theirs or (one_is_every_address and mine.version == theirs.version)


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """The guest's network. `mtu` is in bytes, 576 to 65521; `cidr` has a prefix of 1 to 25 bits.

    `dns` are the nameservers the guest's questions go to; empty means those of the host.
    `host_loopback` lets the guest reach the host's loopback at the gateway's address. `offload` has
    the kernel cut and sum segments where it can. Raises `UsageError`.
    """

    cidr: IPv4Network = DEFAULT_CIDR
    mtu: int = DEFAULT_MTU
    tap_name: str = DEFAULT_TAP_NAME
    host_loopback: bool = False
    offload: bool = True
    dns: tuple[HostAddress, ...] = ()
    forwards: tuple[Forward, ...] = ()

    def __post_init__(self) -> None:
        _require("CIDR", self.cidr, IPv4Network, "IPv4Network('10.0.2.0/24')")
        _check_cidr(self.cidr)
        _require("MTU", self.mtu, int, "a number")
        _check_mtu(self.mtu)
        _require("interface name", self.tap_name, str, "a text")
        _check_tap_name(self.tap_name)
        _require("host_loopback", self.host_loopback, bool, "True or False")
        _require("dns", self.dns, tuple, "a tuple of addresses")
        for nameserver in self.dns:
            _require("nameserver", nameserver, HostAddress, "ip_address('192.0.2.53')")
            _check_nameserver(nameserver)
        _require("forwards", self.forwards, tuple, "a tuple of Forward")
        for forward in self.forwards:
            _require("published port", forward, Forward, "Forward(8080, 80)")
        for one, other in combinations(self.forwards, 2):
            if one.overlaps(other):
                both = f"{one}" if one == other else f"{one} and {other}"
                raise UsageError(
                    f"port {one.host_port}/{one.protocol} of the host is published twice, "
                    f"by {both}: keep one of them"
                )

    @property
    def gateway(self) -> IPv4Address:
        return self.cidr.network_address + GATEWAY_OFFSET

    @property
    def dns_address(self) -> IPv4Address:
        return self.cidr.network_address + DNS_OFFSET

    @property
    def guest(self) -> IPv4Address:
        return self.cidr.network_address + GUEST_OFFSET


@dataclass(frozen=True, slots=True)
class RunConfig:
    """A command and the namespaces made for it. Raises `UsageError` when `command` is empty.

    `map_user` keeps the caller's user and group id inside, which are 0 otherwise. `pid_namespace`
    False shares the host's process ids.
    """

    command: tuple[str, ...]
    network: NetworkConfig = field(default_factory=NetworkConfig)
    map_user: bool = False
    pid_namespace: bool = True

    def __post_init__(self) -> None:
        _require("command", self.command, tuple, "a tuple like ('sleep', '5')")
        for word in self.command:
            _require("word of the command", word, str, "a text")
            if "\0" in word:
                raise UsageError(f"{quoted(word)} has a null character: no program can be given it")
        if not self.command:
            raise UsageError("no command given: name the program to start")
        _require("network", self.network, NetworkConfig, "a NetworkConfig")
        _require("map_user", self.map_user, bool, "True or False")
        _require("pid_namespace", self.pid_namespace, bool, "True or False")


@dataclass(frozen=True, slots=True)
class AttachConfig:
    """A namespace that exists: by process id, or by the path of a network namespace.

    `userns_path` None: the user namespace of the process, or for a path the caller's. Raises
    `UsageError`.
    """

    target: int | str
    userns_path: str | None = None
    network: NetworkConfig = field(default_factory=NetworkConfig)

    def __post_init__(self) -> None:
        _require("target", self.target, int | str, "a process id or a path")
        if self.target == "":
            raise UsageError(_EMPTY_TARGET)
        if isinstance(self.target, int) and self.target not in PROCESS_IDS:
            raise UsageError(f"{self.target} is not a process id: name a process that runs")
        for path in (self.target, self.userns_path):
            if isinstance(path, str) and "\0" in path:
                raise UsageError(f"{quoted(path)} has a null character: no path has one")
        _require("userns_path", self.userns_path, str | None, "a path")
        _require("network", self.network, NetworkConfig, "a NetworkConfig")


def parse_forward(text: str) -> Forward:
    """`[HOST_IP:]HOST_PORT:GUEST_PORT[/tcp|/udp]`, an IPv6 HOST_IP in brackets."""
    addresses, slash, protocol = text.partition("/")
    if slash and protocol not in _PROTOCOLS:
        raise UsageError(
            f"protocol {quoted(protocol)} in {quoted(text)} is not known: write /tcp or /udp"
        )
    bracketed, ports = _split_brackets(addresses, text)
    match ports.split(":"):
        case [host_port, guest_port] if bracketed is None:
            address = None
        case [host, host_port, guest_port] if bracketed is None:
            address = _parse_host_address(host, text)
        case ["", host_port, guest_port] if bracketed is not None:
            address = _parse_bracketed_address(bracketed, text)
        case [port] if bracketed is None and _number(port) in PORTS:
            raise UsageError(
                f"{quoted(text)} names one port: write HOST_PORT:GUEST_PORT, "
                f"for example {port}:{port}"
            )
        case [_, _, _, _, *_] if bracketed is None:
            raise UsageError(
                f"cannot read {quoted(text)} as a published port: "
                "an IPv6 address goes in brackets, for example [::1]:8080:80"
            )
        case _:
            raise UsageError(
                f"cannot read {quoted(text)} as a published port: "
                "write it as [HOST_IP:]HOST_PORT:GUEST_PORT[/tcp|/udp], for example 8080:80"
            )
    return Forward(
        host_port=_parse_port(host_port, text),
        guest_port=_parse_port(guest_port, text),
        protocol=_PROTOCOLS[protocol] if slash else "tcp",
        host_address=address,
    )


def parse_cidr(text: str) -> IPv4Network:
    """A network address with a prefix of 1 to 25 bits, such as 10.0.2.0/24."""
    word, _, prefix = text.partition("/")
    address, length = _address_or_none(word), _number(prefix)
    if not isinstance(address, IPv4Address) or length is None or length not in _PREFIXES:
        raise UsageError(
            f"invalid CIDR {quoted(text)}: write an IPv4 network with a prefix of "
            f"{_PREFIXES[0]} to {_PREFIXES[-1]}, like {DEFAULT_CIDR}"
        )
    network = IPv4Network((address, length), strict=False)
    if network.network_address != address:
        raise UsageError(
            f"CIDR needs to be a network address like {network}, not like {address}/{length}"
        )
    _check_cidr(network)
    return network


def parse_mtu(text: str) -> int:
    """An MTU in bytes, 576 to 65521."""
    mtu = _number(text)
    if mtu is None:
        raise UsageError(
            f"MTU {quoted(text)} is not a number: write {MTU_MIN} to {MTU_MAX} (bytes)"
        )
    _check_mtu(mtu)
    return mtu


def parse_tap_name(text: str) -> str:
    """The name of a network interface, as the kernel takes it."""
    _check_tap_name(text)
    return text


def parse_nameserver(text: str) -> HostAddress:
    """The IPv4 or IPv6 address of a nameserver."""
    address = _address_or_none(text)
    if address is None:
        raise UsageError(
            f"nameserver {quoted(text)} is not an IP address: write it like 192.0.2.53 or ::1"
        )
    _check_nameserver(address)
    return address


def parse_target(text: str) -> int | str:
    """What to attach to: digits alone are a process id, anything else the path of a namespace."""
    if not text:
        raise UsageError(_EMPTY_TARGET)
    if not (text.isascii() and text.isdigit()):
        return text
    process = _number(text)
    if process is None or process not in PROCESS_IDS:
        raise UsageError(
            f"{quoted(text)} is not a process id: "
            f"a path to a file of that name is written ./{_shortened(text)}"
        )
    return process


def _split_brackets(addresses: str, text: str) -> tuple[str | None, str]:
    """The address between brackets at the start, or None, and what follows it."""
    if not addresses.startswith("["):
        return None, addresses
    bracketed, closing, rest = addresses[1:].partition("]")
    if not closing:
        raise UsageError(
            f"the bracket in {quoted(text)} is not closed: write it like [::1]:8080:80"
        )
    return bracketed, rest


def _parse_host_address(word: str, text: str) -> HostAddress:
    address = _address_or_none(word)
    if address is None:
        raise UsageError(
            f"{quoted(word)} in {quoted(text)} is not an IP address: "
            "write it like 127.0.0.1 or [::1], or leave it out for every address of the host"
        )
    return address


def _parse_bracketed_address(word: str, text: str) -> IPv6Address:
    address = _address_or_none(word)
    if isinstance(address, IPv6Address):
        return address
    if isinstance(address, IPv4Address):
        raise UsageError(f"{address} in {quoted(text)} is IPv4: write it without brackets")
    raise UsageError(
        f"{quoted(word)} in {quoted(text)} is not an IPv6 address: write it like [::1]"
    )


def _parse_port(word: str, text: str) -> int:
    port = _number(word)
    if port is None or port not in PORTS:
        raise UsageError(
            f"port {quoted(word)} in {quoted(text)} is not a number from {PORTS[0]} to {PORTS[-1]}"
        )
    return port


def _number(word: str) -> int | None:
    """The decimal number in `word`, or None; int() takes spaces, signs and any script's digits.

    Ten digits are more than any number here has, and keep int() from refusing the length.
    """
    if word.isascii() and word.isdigit() and len(word) <= 10:
        return int(word)
    return None


def _address_or_none(word: str) -> HostAddress | None:
    try:
        address = ip_address(word)
    except ValueError:
        return None
    scope = address.scope_id if isinstance(address, IPv6Address) else None
    if scope is not None and not _is_interface_name(scope):
        return None
    return address


def _require(what: str, value: object, kind: type | UnionType, wanted: str) -> None:
    """Refuse a value of a wrong type, for callers who have no type checker."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise UsageError(f"{what} {quoted(value)} is of type {type(value).__name__}: give {wanted}")


def _check_cidr(network: IPv4Network) -> None:
    if network.prefixlen not in _PREFIXES:
        raise UsageError(
            f"invalid CIDR {network}: take a prefix of {_PREFIXES[0]} to {_PREFIXES[-1]}, "
            f"which has room for the guest at +{GUEST_OFFSET}"
        )
    for special, name in _SPECIAL_NETWORKS.items():
        if network.overlaps(special):
            raise UsageError(
                f"invalid CIDR {network}: it overlaps {special} ({name}), "
                f"take a private network like {DEFAULT_CIDR}"
            )


def _check_mtu(mtu: int) -> None:
    if not MTU_MIN <= mtu <= MTU_MAX:
        raise UsageError(f"MTU {mtu} is out of range: take {MTU_MIN} to {MTU_MAX} (bytes)")


def _check_tap_name(name: str) -> None:
    if not _is_interface_name(name) or name == "lo":
        raise UsageError(
            f"interface name {quoted(name)} is not possible: take 1 to 15 ASCII characters "
            "without '/', ':', '%' and spaces, other than lo, all and default"
        )


def _check_nameserver(address: HostAddress) -> None:
    _check_single_host(address)
    if address.is_unspecified:
        raise UsageError(f"nameserver {address} is no host's address: name one like 192.0.2.53")


def _check_single_host(address: HostAddress) -> None:
    """Refuse what no socket binds or connects to, and a second way of writing an address."""
    if address.is_multicast or address == _BROADCAST:
        raise UsageError(f"{address} is a multicast or broadcast address: name that of one host")
    if isinstance(address, IPv4Address):
        return
    if address.ipv4_mapped is not None:
        raise UsageError(f"{address} is an IPv4 address: write it as {address.ipv4_mapped}")
    if address.is_link_local and address.scope_id is None:
        raise UsageError(f"{address} is link-local: add its interface, like {address}%eth0")
    if not address.is_link_local and address.scope_id is not None:
        bare = str(address).removesuffix(f"%{address.scope_id}")
        raise UsageError(f"{address} is not link-local: write it without interface, as {bare}")


def _is_interface_name(name: str) -> bool:
    """What the kernel takes (dev_valid_name), but no bytes beyond ASCII, some of which it refuses.

    It has no place for "all" and "default" either: their sysctl directories exist already.
    """
    plain = name.isascii() and name.isprintable() and not any(c in "/:% " for c in name)
    return plain and 1 <= len(name) <= 15 and name not in (".", "..", "all", "default")


def _shortened(text: str) -> str:
    return text if len(text) <= _QUOTED_LENGTH else text[:_QUOTED_LENGTH] + "..."


def quoted(value: object) -> str:
    """A text for a message: in quotes, on one line, control characters escaped, not endless.

    Of any other value, its representation.
    """
    return repr(_shortened(value)) if isinstance(value, str) else _shortened(ascii(value))
