"""The options that name an instance and describe its guest's network, the same for every subcommand
that makes one.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from rootlessnet.added_host import AddedHost, parse_added_host
from rootlessnet.addressing import DEFAULT_CIDR, DEFAULT_CIDR6, Plan6, parse_cidr, parse_cidr6
from rootlessnet.cli.log_options import LogArguments, add_log_options
from rootlessnet.cli.parser import Parser
from rootlessnet.config import (
    DEFAULT_MTU,
    DEFAULT_TAP_NAME,
    GATEWAY_NAME,
    MTU_MAX,
    MTU_MIN,
    NetworkConfig,
    parse_mtu,
    parse_name,
    parse_nameserver,
    parse_tap_name,
)
from rootlessnet.errors import UsageError
from rootlessnet.forward import Forward, parse_forwards
from rootlessnet.limit import Limit, bounds_of, defaults, parse_limit
from rootlessnet.log import Log
from rootlessnet.publishing import PublishAll, parse_host_ip, parse_publish_all
from rootlessnet.reservation import Reservation, parse_reservation
from rootlessnet.to_host import ToHost, parse_to_host
from rootlessnet.words import HostAddress

PORTS_HELP = """\
ports:
  8080:80             TCP port 8080 of every host address is the guest's 80
  127.0.0.1:8080:80   of one address; an IPv6 address goes in brackets
  5353:53/udp         UDP; tcp4, tcp6, udp4 and udp6 take one family of the host
  8000-8002:80-82     ranges of equal length, paired
  8000-8010:80        the first of these that is free; standard error says which
  80, 127.0.0.1::80   any that is free; standard error says which

ports of the host, for --to-host:
  5432                TCP port 5432 of the host's loopback, at 127.0.0.1:5432
                      and at the gateway's address in the guest
  15432:5432, 53/udp  at 15432; UDP
"""

_DEFAULTS = NetworkConfig()
_DEFAULTS_6 = Plan6(DEFAULT_CIDR6)


class NetworkArguments(LogArguments):
    """The parsed options."""

    name: str | None
    publish: list[Forward]
    publish_all: PublishAll | None
    publish_loopback: bool
    host_ip: HostAddress | Literal["auto"] | None
    to_host: list[ToHost]
    dns: list[HostAddress]
    add_host: list[AddedHost]
    cidr: IPv4Network
    ipv6: bool | None
    cidr6: IPv6Network | None
    mtu: int
    tap_name: str
    host_loopback: bool
    metadata: bool
    host_addresses: bool
    offload: bool
    splice: bool
    dhcp: bool
    dhcp_host: list[Reservation]
    hardening: bool
    limit: list[Limit]

    def network_config(self) -> NetworkConfig:
        """The network as a config. Raises `UsageError` when two contradict each other."""
        return NetworkConfig(
            cidr=self.cidr,
            ipv6=self.ipv6,
            cidr6=self.cidr6,
            mtu=self.mtu,
            tap_name=self.tap_name,
            host_loopback=self.host_loopback,
            metadata=self.metadata,
            host_addresses=self.host_addresses,
            offload=self.offload,
            splice=self.splice,
            dhcp=self.dhcp,
            reservations=tuple(self.dhcp_host),
            dns=tuple(self.dns),
            hosts=tuple(self.add_host),
            forwards=tuple(self.publish),
            bounds=bounds_of(self.limit),
            publish_all=self._all_ports(),
            host_ip=self.host_ip,
            to_host=tuple(self.to_host),
        )

    def _all_ports(self) -> PublishAll | None:
        if self.publish_all is not None:
            return replace(self.publish_all, loopback=self.publish_loopback)
        if self.publish_loopback:
            raise UsageError("--publish-loopback says what -P publishes: add -P")
        return None


def add_network_options(parser: Parser) -> None:
    """Add the options of `NetworkArguments` to `parser`."""
    parser.add_argument(
        "--name",
        type=parse_name,
        metavar="NAME",
        help="the name for `rootlessnet ps`, `port` and `stop` (default: a random one)",
    )
    group = parser.add_argument_group("network")
    group.add_argument(
        "-p",
        "--publish",
        action="extend",
        default=[],
        type=parse_forwards,
        metavar="PORTS",
        help="publish ports of the guest on the host, repeatable, all of them or none; PORTS is "
        "[HOST_IP:][HOST_PORT:]GUEST_PORT[/PROTOCOL], as shown below (default: no port)",
    )
    group.add_argument(
        "-P",
        "--publish-all",
        nargs="?",
        const=PublishAll(),
        type=parse_publish_all,
        metavar="=HOST_IP",
        help="publish every port that the guest listens on, on the same number and for as long; "
        "one that cannot be had is told of once and taken when it is free; not UDP ports of the "
        "guest's ip_local_port_range (default: those of -p alone)",
    )
    group.add_argument(
        "--publish-loopback",
        action="store_true",
        help="with -P of `run`, publish TCP ports that only the guest's loopback listens on too, "
        "on the host's loopback (default: not those)",
    )
    group.add_argument(
        "--host-ip",
        type=parse_host_ip,
        metavar="HOST_IP|auto",
        help="the host's address of ports that are published without one; auto finds one in "
        "127.0.0.0/8 that is this guest's alone, and tells it (default: every address)",
    )
    group.add_argument(
        "--to-host",
        action="append",
        default=[],
        type=parse_to_host,
        metavar="PORT",
        help="let the guest reach this port of the host's loopback, at its own loopback and at the "
        "gateway's address, repeatable; PORT is [GUEST_PORT:]HOST_PORT[/PROTOCOL] (default: none)",
    )
    group.add_argument(
        "--dns",
        action="append",
        default=[],
        type=parse_nameserver,
        metavar="ADDRESS",
        help="forward the guest's DNS questions to this nameserver, repeatable; the next one is "
        "asked when one fails (default: the nameservers of the host)",
    )
    group.add_argument(
        "--add-host",
        action="append",
        default=[],
        type=parse_added_host,
        metavar="NAME:ADDRESS",
        help="a name for the guest to resolve to this address, IPv4 or IPv6, repeatable; "
        f"host-gateway stands for the gateway's (default: {GATEWAY_NAME} alone, the gateway)",
    )
    group.add_argument(
        "--cidr",
        default=DEFAULT_CIDR,
        type=parse_cidr,
        metavar="NETWORK",
        help=f"the guest's network, with a prefix of 1 to 25 (default: {DEFAULT_CIDR}: the gateway "
        f"is {_DEFAULTS.gateway}, DNS {_DEFAULTS.dns_address}, the guest {_DEFAULTS.guest})",
    )
    group.add_argument(
        "--ipv6",
        action=argparse.BooleanOptionalAction,
        help="give the guest IPv6 as well, or do not (default: where this host has an IPv6 address "
        "beyond its loopback and link-local ones, and the namespace can have it)",
    )
    group.add_argument(
        "--cidr6",
        type=parse_cidr6,
        metavar="NETWORK",
        help="the guest's IPv6 network, with a prefix of 8 to 119 (default: "
        f"{DEFAULT_CIDR6}, or one behind it where the host uses that: the gateway is "
        f"{_DEFAULTS_6.gateway}, DNS {_DEFAULTS_6.dns_address}, the guest {_DEFAULTS_6.guest})",
    )
    group.add_argument(
        "--mtu",
        default=DEFAULT_MTU,
        type=parse_mtu,
        metavar="BYTES",
        help=f"the guest's MTU, {MTU_MIN} to {MTU_MAX} (default: {DEFAULT_MTU})",
    )
    group.add_argument(
        "--tap-name",
        default=DEFAULT_TAP_NAME,
        type=parse_tap_name,
        metavar="NAME",
        help=f"the name of the guest's interface (default: {DEFAULT_TAP_NAME})",
    )
    group.add_argument(
        "--host-loopback",
        action="store_true",
        help="let the guest reach what listens on the host's loopback, at the gateway's address "
        "(default: out of its reach)",
    )
    group.add_argument(
        "--no-host-addresses",
        dest="host_addresses",
        action="store_false",
        help="refuse the guest every address that the host itself has, as they come and go; "
        "--host-loopback still leads to its loopback (default: they are in its reach, but not the "
        "loopback)",
    )
    group.add_argument(
        "--metadata",
        action="store_true",
        help="let the guest reach what a cloud tells its machines, their credentials too, at "
        "169.254.169.254, fd00:ec2::254 and the like (default: out of its reach, with all of "
        "169.254.0.0/16)",
    )
    group.add_argument(
        "--limit",
        action="append",
        default=[],
        type=parse_limit,
        metavar="NAME=NUMBER",
        help="have at most so many of something, or bytes, repeatable: "
        f"{', '.join(defaults())} (these are the defaults; docs/design.md says what happens then)",
    )
    group.add_argument(
        "--no-offload",
        dest="offload",
        action="store_false",
        help="cut and sum segments here, for a kernel that does it wrong; much slower "
        "(default: by the kernel, where it takes that on)",
    )
    group.add_argument(
        "--no-splice",
        dest="splice",
        action="store_false",
        help="lead clients on the host's loopback of a published TCP port through the TAP as all "
        "others (default: with `run` past it, faster: they arrive at 127.0.0.1 in the guest; where "
        "that is refused at the guest's own address, then at ::1)",
    )
    group.add_argument(
        "--dhcp-host",
        action="append",
        default=[],
        type=parse_reservation,
        metavar="MAC=ADDRESS",
        help="keep this address, of IPv4 or IPv6, for a node that asks by DHCP, repeatable; "
        "published ports lead to the guest's address, which the guest's own interface gets unless "
        "it is kept for another here (default: one that is free, of "
        f"{_DEFAULTS.pool[0]} to {_DEFAULTS.pool[-1]})",
    )
    group.add_argument(
        "--no-dhcp",
        dest="dhcp",
        action="store_false",
        help="answer no DHCP, of neither family (default: what configures itself gets address, "
        "route, DNS and MTU)",
    )
    parser.add_argument(
        "--no-hardening",
        dest="hardening",
        action="store_false",
        help="keep the right to system calls and files that the network does not need, for a "
        "debugger (default: given up once COMMAND runs, as far as the kernel lets it; `rootlessnet "
        "doctor` tells)",
    )
    add_log_options(parser)


def tell_published(log: Log) -> Callable[[Forward], None]:
    """What says which port of the host was found, where the words left it open."""
    return lambda forward: log.info(f"published {forward}")
