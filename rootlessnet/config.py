"""What the user asked for, as frozen dataclasses, validated once.

The parse functions turn the words of the command line into values; the dataclasses judge values, so
the Python API and the command line meet the same rules. Both raise `UsageError` with one line that
names the thing and the remedy. Whatever stands in a config is right: no room behind this one checks
a port, an address or an MTU again. Only what the machine alone knows (a port in use, an address the
host lacks) is left to the rooms that find out.

Addresses are in addressing.py, published ports in forward.py, ports of the host for the guest in
to_host.py, added names in added_host.py, what can be attached to in target.py, what all words have
in common in words.py.
"""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from rootlessnet.added_host import AddedHost
from rootlessnet.addressing import (
    DEFAULT_CIDR,
    DEFAULT_CIDR6,
    DNS_OFFSET,
    GATEWAY_OFFSET,
    GUEST_OFFSET,
    POOL_OFFSETS,
    Plan6,
    check_cidr,
    check_cidr6,
)
from rootlessnet.bounds import DEFAULTS, Bounds
from rootlessnet.errors import UsageError
from rootlessnet.forward import Forward
from rootlessnet.hardware_address import check_mac
from rootlessnet.limit import require_bounds
from rootlessnet.publishing import AUTO, HostIp, PublishAll, require_one_use
from rootlessnet.reservation import Reservation, require_each_once
from rootlessnet.target import (
    FrameSocket,
    TapDescriptor,
    Target,
    check_descriptor,
    check_socket_path,
    check_target,
)
from rootlessnet.to_host import ToHost, require_no_clash
from rootlessnet.words import (
    HostAddress,
    address_or_none,
    is_interface_name,
    number,
    quoted,
    require,
    require_flags,
    require_single_host,
)

DEFAULT_MTU = 65520
DEFAULT_TAP_NAME = "tap0"
GATEWAY_NAME = "host.rootlessnet.internal"

MTU_MIN = 576  # RFC 791: every host takes a datagram of 576 bytes
MTU_MIN_6 = 1280  # RFC 8200 5: no link of IPv6 takes less
MTU_MAX = 65521  # what a TAP device takes: 65535 less the Ethernet header

_NAME_LENGTH = 64  # characters of an instance's name; the path of its socket holds few more


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """The guest's network. `mtu` is in bytes, 576 to 65521; `cidr` has a prefix of 1 to 25 bits.

    `ipv6` gives the guest IPv6 besides; None does where host and namespace have it. Its network is
    `cidr6`, with a prefix of 8 to 119 bits; None: one that does not overlap with the host's.
    `dns` are the nameservers the guest's questions go to; empty means those of the host.
    `dns_forwarder` False: nobody answers at the DNS address, and a guest that has a command keeps
    the resolv.conf of the host. `hosts` are names that the guest can resolve beyond the host's own.
    `host_loopback` lets the guest reach the host's loopback at the gateway's address, `metadata`
    what a cloud tells its machines at 169.254.169.254 and the like; without `host_addresses` it
    reaches none of the host's own addresses. `offload` has the kernel cut and sum segments where it
    can. `splice` leads clients on the host's loopback to a published TCP port past the TAP, where
    the guest is that of a `RunConfig`. `dhcp` answers what configures itself, with an address of
    `reservations` for who has one there. `host_ip` is the host's address of published ports that
    have none of their own; None: all, AUTO: one that is found. `to_host` are ports of the host's
    loopback that the guest can reach. What the guest opens leaves from `outbound_address`, or over
    IPv6 from `outbound_address_6`, where one is given, unless it goes to the host's loopback.
    `bounds` are how much of everything there may be. Raises `UsageError`.
    """

    cidr: IPv4Network = DEFAULT_CIDR
    ipv6: bool | None = None
    cidr6: IPv6Network | None = None
    mtu: int = DEFAULT_MTU
    tap_name: str = DEFAULT_TAP_NAME
    host_loopback: bool = False
    metadata: bool = False
    host_addresses: bool = True
    offload: bool = True
    splice: bool = True
    dhcp: bool = True
    reservations: tuple[Reservation, ...] = ()
    dns: tuple[HostAddress, ...] = ()
    dns_forwarder: bool = True
    hosts: tuple[AddedHost, ...] = ()
    forwards: tuple[Forward, ...] = ()
    publish_all: PublishAll | None = None
    host_ip: HostIp = None
    to_host: tuple[ToHost, ...] = ()
    outbound_address: IPv4Address | None = None
    outbound_address_6: IPv6Address | None = None
    bounds: Bounds = DEFAULTS

    def __post_init__(self) -> None:
        require("CIDR", self.cidr, IPv4Network, "IPv4Network('10.0.2.0/24')")
        check_cidr(self.cidr)
        if self.ipv6 is not None:
            require("ipv6", self.ipv6, bool, "True, False or None")
        require("IPv6 CIDR", self.cidr6, IPv6Network | None, f"IPv6Network('{DEFAULT_CIDR6}')")
        check_cidr6(self.cidr6)
        require("MTU", self.mtu, int, "a number")
        _check_mtu(self.mtu)
        asks_for_ipv6 = self.ipv6 or (self.ipv6 is None and self.cidr6 is not None)
        if asks_for_ipv6 and self.mtu < MTU_MIN_6:
            raise UsageError(
                f"MTU {self.mtu} is too small for IPv6: take {MTU_MIN_6} to {MTU_MAX} (bytes), "
                "or no IPv6"
            )
        require("interface name", self.tap_name, str, "a text")
        _check_tap_name(self.tap_name)
        require_flags(self, "host_loopback", "metadata", "host_addresses")
        require_flags(self, "offload", "splice", "dhcp", "dns_forwarder")
        require("reservations", self.reservations, tuple, "a tuple of Reservation")
        for reservation in self.reservations:
            require("reservation", reservation, Reservation, "a Reservation")
            self._check_reservation(reservation)
        require_each_once(self.reservations)
        require("dns", self.dns, tuple, "a tuple of addresses")
        for nameserver in self.dns:
            require("nameserver", nameserver, HostAddress, "ip_address('192.0.2.53')")
            _check_nameserver(nameserver)
        require("hosts", self.hosts, tuple, "a tuple of AddedHost")
        for host in self.hosts:
            require("added host", host, AddedHost, "AddedHost('db', ip_address('192.0.2.1'))")
        require("forwards", self.forwards, tuple, "a tuple of Forward")
        for forward in self.forwards:
            require("published port", forward, Forward, "Forward(8080, 80)")
            self.require_guest(forward)
        require("publish_all", self.publish_all, PublishAll | None, "a PublishAll")
        if self.publish_all is not None and self.publish_all.loopback and not self.splice:
            raise UsageError(
                "ports of the guest's loopback are reached by splicing alone: "
                "leave out --no-splice or --publish-loopback"
            )
        if self.host_ip is not None and self.host_ip != AUTO:
            require("host address", self.host_ip, HostAddress, "ip_address('127.0.0.2') or 'auto'")
            require_single_host(self.host_ip)
        require_one_use(self.forwards, self.host_ip)
        require("to_host", self.to_host, tuple, "a tuple of ToHost")
        for way in self.to_host:
            require("port of the host", way, ToHost, "ToHost(5432, 5432)")
        require_no_clash(self.to_host, self.forwards)
        require("bounds", self.bounds, Bounds, "Bounds(tcp_flows=1000)")
        require_bounds(self.bounds)
        for kind, address, example in (
            (IPv4Address | None, self.outbound_address, "IPv4Address('192.0.2.1')"),
            (IPv6Address | None, self.outbound_address_6, "IPv6Address('2001:db8::1')"),
        ):
            require("outbound address", address, kind, example)
            if address is not None:
                require_single_host(address)

    @property
    def needs_sockets_inside(self) -> bool:
        """Whether sockets must be made in the guest's network namespace before it is served."""
        return self.publish_all is not None or bool(self.to_host)

    @property
    def gateway(self) -> IPv4Address:
        return self.cidr.network_address + GATEWAY_OFFSET

    @property
    def dns_address(self) -> IPv4Address:
        return self.cidr.network_address + DNS_OFFSET

    @property
    def gateways(self) -> tuple[HostAddress, ...]:
        """The gateway's address in each family that the guest has."""
        return (self.gateway,) if self.plan6 is None else (self.gateway, self.plan6.gateway)

    @property
    def own_names(self) -> dict[str, tuple[HostAddress, ...]]:
        """The names that the guest can resolve beyond the host's own, with their addresses.

        The gateway has one, unless the user gave it to another.
        """
        names: dict[str, tuple[HostAddress, ...]] = {}
        for host in self.hosts:
            addresses = self.gateways if host.address is None else (host.address,)
            names[host.name] = names.get(host.name, ()) + addresses
        return {GATEWAY_NAME: self.gateways} | names

    @property
    def guest(self) -> IPv4Address:
        return self.cidr.network_address + GUEST_OFFSET

    @property
    def guests(self) -> tuple[HostAddress, ...]:
        """The address that the guest is given, in each family that it has."""
        return (self.guest,) if self.plan6 is None else (self.guest, self.plan6.guest)

    @property
    def pool(self) -> tuple[IPv4Address, ...]:
        """The addresses that DHCP gives to anybody."""
        return tuple(self.cidr.network_address + offset for offset in POOL_OFFSETS)

    def is_for_a_guest(self, address: HostAddress) -> bool:
        """Whether a node of the network can have it."""
        ends = (self.cidr.network_address, self.cidr.broadcast_address)
        return address in self.cidr and address not in (self.gateway, self.dns_address, *ends)

    @property
    def plan6(self) -> Plan6 | None:
        """The addresses of IPv6, if the guest has it or will, as `ipv6_default` has settled."""
        return None if self.ipv6 is False or self.cidr6 is None else Plan6(self.cidr6)

    @property
    def outbound_addresses(self) -> tuple[HostAddress, ...]:
        both = (self.outbound_address, self.outbound_address_6)
        return tuple(address for address in both if address is not None)

    def require_guest(self, forward: Forward) -> None:
        """Raise `UsageError` for a published port of an address that no guest can have here."""
        address = forward.guest_address
        if address is None:
            return
        plan6 = self.plan6
        plan = self if address.version == self.cidr.version else plan6
        if plan is None or not plan.is_for_a_guest(address):
            raise UsageError(
                f"{address} in {forward} is no address for a guest of "
                f"{' and '.join(str(one.cidr) for one in (self, plan6) if one is not None)}: "
                f"name one like {self.guest}"
            )

    def _check_reservation(self, reservation: Reservation) -> None:
        if not self.dhcp:
            raise UsageError(f"{reservation} is of no use without DHCP: leave one of the two out")
        address = reservation.address
        plan = self if address.version == self.cidr.version else self.plan6
        if plan is None:
            if self.ipv6 is False:
                raise UsageError(f"{reservation}: the guest has no IPv6, leave it out")
            return  # it is judged when the network is settled
        cidr = plan.cidr
        if address not in cidr:
            raise UsageError(f"{reservation}: take an address of the guest's network {cidr}")
        if not plan.is_for_a_guest(address):
            raise UsageError(
                f"{reservation}: {address} is no node's, take another address of {cidr}"
            )


@dataclass(frozen=True, slots=True)
class RunConfig:
    """A command and the namespaces made for it. Raises `UsageError` when `command` is empty.

    `map_user` keeps the caller's user and group id inside, which are 0 otherwise. `pid_namespace`
    False shares the host's process ids. `name` None: a random one.
    """

    command: tuple[str, ...]
    network: NetworkConfig = field(default_factory=NetworkConfig)
    map_user: bool = False
    pid_namespace: bool = True
    name: str | None = None

    def __post_init__(self) -> None:
        require("command", self.command, tuple, "a tuple like ('sleep', '5')")
        for word in self.command:
            require("word of the command", word, str, "a text")
            if "\0" in word:
                raise UsageError(f"{quoted(word)} has a null character: no program can be given it")
        if not self.command:
            raise UsageError("no command given: name the program to start")
        require("network", self.network, NetworkConfig, "a NetworkConfig")
        require_flags(self, "map_user", "pid_namespace")
        _check_name(self.name)


@dataclass(frozen=True, slots=True)
class AttachConfig:
    """A guest that exists: by the id of a process, by the path of a network namespace, or by what
    carries its frames.

    `userns_path` None: the user namespace of the process, or for a path the caller's. `name` None:
    a random one. `configure` False leaves the interface as it is found or made, without address.
    `mac` is the hardware address to give it, 6 bytes; None leaves it that, too. Once all works, `1`
    is written to `ready_fd`, which is closed then; when `exit_fd` is hung up, all ends.
    `api_socket` is the path of a socket for slirp4netns's clients. Raises `UsageError`.
    """

    target: Target
    userns_path: str | None = None
    network: NetworkConfig = field(default_factory=NetworkConfig)
    name: str | None = None
    configure: bool = True
    mac: bytes | None = None
    ready_fd: int | None = None
    exit_fd: int | None = None
    api_socket: str | None = None

    def __post_init__(self) -> None:
        require("target", self.target, Target, "a process id or a path")
        check_target(self.target)
        for path in (self.target, self.userns_path):
            if isinstance(path, str) and "\0" in path:
                raise UsageError(f"{quoted(path)} has a null character: no path has one")
        require("userns_path", self.userns_path, str | None, "a path")
        require("network", self.network, NetworkConfig, "a NetworkConfig")
        if self.network.publish_all is not None:
            self._check_publish_all(self.network.publish_all)
        _check_name(self.name)
        require_flags(self, "configure")
        require("mac", self.mac, bytes | None, "6 bytes")
        if self.mac is not None:
            check_mac(self.mac)
        for what, descriptor in (("ready", self.ready_fd), ("exit", self.exit_fd)):
            require(f"{what}_fd", descriptor, int | None, "the number of a descriptor")
            if descriptor is not None:
                check_descriptor(what, descriptor)
        require("api_socket", self.api_socket, str | None, "a path")
        if self.api_socket is not None:
            check_socket_path(self.api_socket)

    def _check_publish_all(self, wanted: PublishAll) -> None:
        if isinstance(self.target, TapDescriptor | FrameSocket):
            raise UsageError(
                f"which ports are listened on behind {self.target} is not known here: "
                "publish each with -p"
            )
        if wanted.loopback:
            raise UsageError(
                "ports of a loopback that was attached to cannot be reached from outside: "
                "leave out --publish-loopback"
            )


def parse_mtu(text: str) -> int:
    """An MTU in bytes, 576 to 65521."""
    mtu = number(text)
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
    address = address_or_none(text)
    if address is None:
        raise UsageError(
            f"nameserver {quoted(text)} is not an IP address: write it like 192.0.2.53 or ::1"
        )
    _check_nameserver(address)
    return address


def parse_name(text: str) -> str:
    """The name of an instance."""
    _check_name(text)
    return text


def _check_mtu(mtu: int) -> None:
    if not MTU_MIN <= mtu <= MTU_MAX:
        raise UsageError(f"MTU {mtu} is out of range: take {MTU_MIN} to {MTU_MAX} (bytes)")


def _check_tap_name(name: str) -> None:
    if not is_interface_name(name) or name == "lo":
        raise UsageError(
            f"interface name {quoted(name)} is not possible: take 1 to 15 ASCII characters "
            "without '/', ':', '%' and spaces, other than lo, all and default"
        )


def _check_name(name: str | None) -> None:
    """It is a part of a file's name, a word of a shell, and no process id."""
    require("name", name, str | None, "a text")
    if name is None:
        return
    plain = name.isascii() and name.replace("_", "").replace("-", "").replace(".", "").isalnum()
    if not plain or not name[0].isalnum() or name.isdigit() or len(name) > _NAME_LENGTH:
        raise UsageError(
            f"name {quoted(name)} is not possible: take 1 to {_NAME_LENGTH} of the letters a to z "
            "and A to Z, digits, '_', '-' and '.', with a letter or digit first, "
            "and not digits alone"
        )


def _check_nameserver(address: HostAddress) -> None:
    require_single_host(address)
    if address.is_unspecified:
        raise UsageError(f"nameserver {address} is no host's address: name one like 192.0.2.53")
