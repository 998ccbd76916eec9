"""Published ports as the user writes them: text to values and back.

The grammar is that of Docker and podman:

    [HOST_IP:][HOST_PORT[-END]:]GUEST_PORT[-END][/PROTOCOL]

with one thing more, a GUEST_IP, for a guest that has other addresses than its first: it stands in
brackets, whatever its family, and behind a host port, as in `8080:[10.0.2.101]:80`.

Without HOST_PORT, or with 0 (`80`, `:80`, `127.0.0.1::80`, `0:80`), any free port of the host will
do. Ranges of equal length are paired, port by port, each pair a `Forward` of its own; a range of
host ports for one guest port means the first of them that is free. PROTOCOL is tcp or udp; tcp4,
tcp6, udp4 and udp6 name the family of the host's side too. Without HOST_IP, that is the wildcard of
this family alone, so a `Forward` needs no field for it.

What a text leaves open is settled when the port is published: the host's kernel alone knows which
ports are free. A settled `Forward` has one host port.

Read: docker-run(1) and podman-run(1), --publish; ipv6(7), IPV6_V6ONLY.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Literal

from rootlessnet.errors import UsageError
from rootlessnet.words import (
    HostAddress,
    address_or_none,
    number,
    quoted,
    require,
    require_single_host,
)

Protocol = Literal["tcp", "udp"]

PORTS = range(1, 65536)
FREE = 0  # for a host port: whichever is free

PROTOCOLS: dict[str, Protocol] = {"tcp": "tcp", "udp": "udp"}
_ANY_4, _ANY_6 = IPv4Address("0.0.0.0"), IPv6Address("::")
# How a protocol is written, what it is, and the wildcard that stands for the family it names.
WRITTEN: dict[str, tuple[Protocol, HostAddress | None]] = {
    "tcp": ("tcp", None),
    "udp": ("udp", None),
    "tcp4": ("tcp", _ANY_4),
    "udp4": ("udp", _ANY_4),
    "tcp6": ("tcp", _ANY_6),
    "udp6": ("udp", _ANY_6),
}
_FORM = "[HOST_IP:][HOST_PORT:]GUEST_PORT[/tcp|/udp]"


@dataclass(frozen=True, slots=True)
class Forward:
    """A published port: `host_port` of the host leads to `guest_port` of the guest, 1 to 65535.

    A `host_port` of 0 is any that is free; with `host_port_end` it is the first one that is free
    from `host_port` to `host_port_end`. `host_address` None means every address of the host. A
    link-local address needs its interface as scope. `guest_address` None means the address that
    the guest is given. Raises `UsageError`.
    """

    host_port: int
    guest_port: int
    protocol: Protocol = "tcp"
    host_address: HostAddress | None = None
    host_port_end: int | None = None
    guest_address: HostAddress | None = None

    def __post_init__(self) -> None:
        require("port", self.host_port, int, "a number")
        if self.host_port != FREE:
            require_port(self.host_port)
        require_port(self.guest_port)
        require("end of the host ports", self.host_port_end, int | None, "a number")
        if self.host_port_end is not None:
            require_port(self.host_port_end)
            if not FREE < self.host_port < self.host_port_end:
                raise UsageError(
                    f"{self.host_port}-{self.host_port_end} is no range of ports: "
                    "begin with the smaller one"
                )
        require_protocol(self.protocol)
        if self.host_address is not None:
            require("host address", self.host_address, HostAddress, "ip_address('127.0.0.1')")
            require_single_host(self.host_address)
        if self.guest_address is not None:
            require("guest address", self.guest_address, HostAddress, "ip_address('10.0.2.101')")
            require_single_host(self.guest_address)

    def __str__(self) -> str:
        match self.host_address:
            case None:
                host = ""
            case IPv6Address():
                host = f"[{self.host_address}]:"
            case _:
                host = f"{self.host_address}:"
        if self.host_port_end is not None:
            host += f"{self.host_port}-{self.host_port_end}:"
        elif self.host_port != FREE:
            host += f"{self.host_port}:"
        elif self.guest_address is not None:
            host += f"{FREE}:"
        elif host:
            host += ":"
        guest = "" if self.guest_address is None else f"[{self.guest_address}]:"
        return f"{host}{guest}{self.guest_port}/{self.protocol}"

    @property
    def host_ports(self) -> range:
        """Those that will do, in the order of preference; 0 is any that is free."""
        return range(self.host_port, (self.host_port_end or self.host_port) + 1)

    @property
    def is_settled(self) -> bool:
        """True when one host port alone will do."""
        return self.host_port != FREE and self.host_port_end is None

    def overlaps(self, other: "Forward") -> bool:
        """True when both need the same port of the same address, so that only one can have it."""
        if not (self.is_settled and other.is_settled):
            return False  # what is left open goes where there is room
        if (self.host_port, self.protocol) != (other.host_port, other.protocol):
            return False
        mine, theirs = self.host_address, other.host_address
        if mine is None or theirs is None:
            return True
        one_is_every_address = mine.is_unspecified or theirs.is_unspecified
        return mine == theirs or (one_is_every_address and mine.version == theirs.version)


def require_no_overlap(forwards: Iterable[Forward]) -> None:
    """Raise `UsageError` when two of them need the same port of the same address."""
    by_port: dict[tuple[int, Protocol], list[Forward]] = {}
    for forward in forwards:
        others = by_port.setdefault((forward.host_port, forward.protocol), [])
        for other in others:
            if forward.overlaps(other):
                both = f"{forward}" if forward == other else f"{other} and {forward}"
                raise UsageError(
                    f"port {forward.host_port}/{forward.protocol} of the host is published twice, "
                    f"by {both}: keep one of them"
                )
        if forward.is_settled:
            others.append(forward)


def parse_forwards(text: str) -> tuple[Forward, ...]:
    """What a text in the grammar above publishes; more than one for ranges on both sides."""
    ports, slash, protocol_word = text.partition("/")
    written = WRITTEN.get(protocol_word.lower() if slash else "tcp")
    if _names_a_unix_socket(text, ports, known=written is not None):
        raise UsageError(
            f"{quoted(text)} names a unix socket, and only TCP and UDP ports can be published: "
            "have the program listen on a port"
        )
    if written is None:
        raise UsageError(
            f"protocol {quoted(protocol_word)} in {quoted(text)} is not known: "
            "write /tcp or /udp, or with the host's family /tcp4, /tcp6, /udp4 or /udp6"
        )
    guest, ports = _split_guest(ports, text)
    address, host_word, guest_word = _split(ports, text)
    protocol, wildcard = written
    if address is None:
        address = wildcard
    elif wildcard is not None and address.version != wildcard.version:
        raise UsageError(
            f"{address} in {quoted(text)} is an IPv{address.version} address: "
            f"write /{protocol} or /{protocol}{address.version}"
        )
    pairs = _pair(host_word, guest_word, text)
    return tuple(
        Forward(first, port, protocol, address, last, guest) for first, last, port in pairs
    )


def _pair(host_word: str, guest_word: str, text: str) -> list[tuple[int, int | None, int]]:
    """The host's first and, if there is a choice, last port, with the guest's port."""
    guest_ports = _parse_ports(guest_word, text)
    if host_word in ("", "0"):  # Docker takes both
        return [(FREE, None, port) for port in guest_ports]
    host_ports = _parse_ports(host_word, text)
    if len(host_ports) > 1 and len(guest_ports) == 1:
        return [(host_ports[0], host_ports[-1], guest_ports[0])]
    if len(host_ports) != len(guest_ports):
        raise UsageError(
            f"{quoted(text)} pairs ports of the host with ports of the guest, {len(host_ports)} "
            f"with {len(guest_ports)}: make both ranges equally long"
        )
    return [(host, None, guest) for host, guest in zip(host_ports, guest_ports, strict=True)]


def _names_a_unix_socket(text: str, ports: str, *, known: bool) -> bool:
    """Whether it is written as ssh -L or socat has it: `8080:unix:PATH`, `8080:/PATH`, `./PATH`."""
    is_path = not known and (not ports or ports.endswith((":", ".")))
    return is_path or "unix" in text.lower().split(":")


def _split_guest(ports: str, text: str) -> tuple[HostAddress | None, str]:
    """The guest's address, if one stands in brackets before its port, and the text without it."""
    host, opening, rest = ports.partition(":[")
    if not opening:
        return None, ports
    word, closing, guest_ports = rest.partition("]:")
    address = address_or_none(word)
    if not closing or address is None:
        raise UsageError(
            f"{quoted(rest)} in {quoted(text)} is not an address and port of the guest: "
            "write them like 8080:[10.0.2.101]:80"
        )
    return address, f"{host}:{guest_ports}"


def _split(ports: str, text: str) -> tuple[HostAddress | None, str, str]:
    """The host's address, its ports, empty if none are named, and those of the guest."""
    bracketed, rest = _split_brackets(ports, text)
    words = rest.split(":")
    if bracketed is not None:
        match words:
            case ["", host_word, guest_word]:
                return _parse_bracketed_address(bracketed, text), host_word, guest_word
            case ["", word] if number(word) in PORTS:
                raise _misses_a_port(f"[{bracketed}]", word, text)
    else:
        match words:
            case [guest_word] if guest_word:
                return None, "", guest_word
            case [word, guest_word] if address_or_none(word) and number(guest_word) in PORTS:
                raise _misses_a_port(word, guest_word, text)
            case [host_word, guest_word]:
                return None, host_word, guest_word
            case [word, host_word, guest_word]:
                return _parse_host_address(word, text), host_word, guest_word
            case [_, _, _, _, *_]:
                raise UsageError(
                    f"cannot read {quoted(text)} as a published port: "
                    "an IPv6 address goes in brackets, for example [::1]:8080:80"
                )
    raise UsageError(
        f"cannot read {quoted(text)} as a published port: write it as {_FORM}, for example 8080:80"
    )


def _misses_a_port(address: str, port: str, text: str) -> UsageError:
    return UsageError(
        f"{quoted(text)} names an address and one port: write {address}:{port}:{port}, "
        f"or {address}::{port} for a free port of the host"
    )


def _split_brackets(ports: str, text: str) -> tuple[str | None, str]:
    """The address between brackets at the start, or None, and what follows it."""
    if not ports.startswith("["):
        return None, ports
    bracketed, closing, rest = ports[1:].partition("]")
    if not closing:
        raise UsageError(
            f"the bracket in {quoted(text)} is not closed: write it like [::1]:8080:80"
        )
    return bracketed, rest


def _parse_host_address(word: str, text: str) -> HostAddress:
    address = address_or_none(word)
    if address is None:
        raise UsageError(
            f"{quoted(word)} in {quoted(text)} is not an IP address: "
            "write it like 127.0.0.1 or [::1], or leave it out for every address of the host"
        )
    return address


def _parse_bracketed_address(word: str, text: str) -> IPv6Address:
    address = address_or_none(word)
    if isinstance(address, IPv6Address):
        return address
    if isinstance(address, IPv4Address):
        raise UsageError(f"{address} in {quoted(text)} is IPv4: write it without brackets")
    raise UsageError(
        f"{quoted(word)} in {quoted(text)} is not an IPv6 address: write it like [::1]"
    )


def _parse_ports(word: str, text: str) -> range:
    """The port or the ports that `word` means, 8080 or 8000-8010."""
    first_word, dash, last_word = word.partition("-")
    first = number(first_word)
    last = number(last_word) if dash else first
    if first is None or last is None or first not in PORTS or last not in PORTS:
        raise UsageError(
            f"port {quoted(word)} in {quoted(text)} is not a number from {PORTS[0]} to {PORTS[-1]}"
        )
    if last < first:
        raise UsageError(
            f"range {quoted(word)} in {quoted(text)} runs backwards: write {last}-{first}"
        )
    return range(first, last + 1)


def require_port(port: int) -> None:
    """Refuse a number that is no port's."""
    require("port", port, int, "a number")
    if port not in PORTS:
        raise UsageError(f"port {port} is not a number from {PORTS[0]} to {PORTS[-1]}")


def require_protocol(protocol: str) -> None:
    """Refuse what is none of those that have ports here."""
    require("protocol", protocol, str, "'tcp' or 'udp'")
    if protocol not in PROTOCOLS:
        raise UsageError(f"protocol {quoted(protocol)} is not known: take tcp or udp")
