"""From the options of slirp4netns to a configuration.

Each message that a program may look for is slirp4netns's own.

Read: slirp4netns(1).
"""

import os
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network

from rootlessnet.addressing import DEFAULT_CIDR, parse_cidr, parse_cidr6
from rootlessnet.config import (
    DEFAULT_TAP_NAME,
    MTU_MAX,
    AttachConfig,
    NetworkConfig,
    parse_mtu,
)
from rootlessnet.errors import UsageError
from rootlessnet.hardware_address import parse_mac
from rootlessnet.target import DESCRIPTORS, PROCESS_IDS, FrameSocket, TapDescriptor, Target
from rootlessnet.words import HostAddress, address_or_none, number, quoted

_DEFAULT_MTU = 1500
_CIDR6 = IPv6Network("fd00::/64")


def translate(given: Mapping[str, str], operands: Sequence[str]) -> AttachConfig:
    """The configuration that options, by their long names, and operands mean. Raises UsageError."""
    ready_fd, exit_fd = _descriptor(given, "ready-fd"), _descriptor(given, "exit-fd")
    mtu = _mtu(given.get("mtu"))
    target = _target(given, operands)
    mac = None
    if "macaddress" in given:
        if "configure" not in given:
            raise UsageError("--macaddress cannot be specified when --configure is not specified")
        mac = parse_mac(given["macaddress"])
    has_ipv6 = "enable-ipv6" in given or "cidr6" in given
    outbound, outbound_6 = _outbound_addresses(given)
    network = NetworkConfig(
        cidr=parse_cidr(given["cidr"]) if "cidr" in given else DEFAULT_CIDR,
        dns_forwarder="disable-dns" not in given,
        ipv6=has_ipv6,
        cidr6=parse_cidr6(given["cidr6"]) if "cidr6" in given else _CIDR6 if has_ipv6 else None,
        mtu=mtu,
        tap_name=operands[1] if len(operands) > 1 else DEFAULT_TAP_NAME,
        host_loopback="disable-host-loopback" not in given,
        metadata=True,  # slirp4netns has no option to refuse it
        outbound_address=outbound,
        outbound_address_6=outbound_6,
    )
    return AttachConfig(
        target=target,
        userns_path=_user_namespace(given),
        network=network,
        configure="configure" in given,
        mac=mac,
        ready_fd=ready_fd,
        exit_fd=exit_fd,
        api_socket=given.get("api-socket"),
    )


def _target(given: Mapping[str, str], operands: Sequence[str]) -> Target:
    match given.get("target-type", "netns"):
        case "netns":
            if len(operands) > 2:
                raise UsageError(f"too many arguments: {quoted(operands[2])} means nothing")
            return _namespace(given, operands[0])
        case "bess":
            for option in ("configure", "netns-type", "userns-path"):
                if option in given:
                    raise UsageError(f"--{option} conflicts with --target-type=bess")
            if len(operands) > 1:
                raise UsageError(f"too many arguments: {quoted(operands[1])} means nothing")
            return FrameSocket(operands[0])
    raise UsageError('--target-type must be either "netns" or "bess"')


def _namespace(given: Mapping[str, str], word: str) -> Target:
    match given.get("netns-type", "pid"):
        case "pid":
            process = number(word)
            if process is None or process not in PROCESS_IDS:
                raise UsageError(f"PID must be a positive integer, not {quoted(word)}")
            return process
        case "path":
            if not os.path.exists(word):
                raise UsageError(f"existing path expected when --netns-type=path: {quoted(word)}")
            return word
        case "tapfd":
            if "configure" in given:
                raise UsageError("--configure conflicts with --netns-type=tapfd")
            descriptor = number(word)
            if descriptor is None or descriptor not in DESCRIPTORS:
                raise UsageError(f"tap-fd must be a non-negative integer, not {quoted(word)}")
            return TapDescriptor(descriptor)
    raise UsageError("--netns-type must be pid, path or tapfd")


def _user_namespace(given: Mapping[str, str]) -> str | None:
    path = given.get("userns-path")
    if path is not None and not os.path.exists(path):
        raise UsageError(f"userns path doesn't exist: {quoted(path)}")
    return path


def _descriptor(given: Mapping[str, str], name: str) -> int | None:
    if name not in given:
        return None
    descriptor = number(given[name])
    if descriptor is None or descriptor not in DESCRIPTORS:
        raise UsageError(f"{name} must be a non-negative integer, not {quoted(given[name])}")
    return descriptor


def _mtu(word: str | None) -> int:
    if word is None:
        return _DEFAULT_MTU
    if number(word) not in range(1, MTU_MAX + 1):
        raise UsageError(f"MTU must be a positive integer (< {MTU_MAX + 1})")
    return parse_mtu(word)


def _outbound_addresses(given: Mapping[str, str]) -> tuple[IPv4Address | None, IPv6Address | None]:
    """The addresses, or those of the interfaces that are named in their place."""
    found = [
        None if word is None else _outbound_address(option, word, version)
        for option, version in (("outbound-addr", 4), ("outbound-addr6", 6))
        for word in [given.get(option)]
    ]
    first, second = found
    assert not isinstance(first, IPv6Address)
    assert not isinstance(second, IPv4Address)
    return first, second


def _outbound_address(option: str, word: str, version: int) -> HostAddress:
    address = address_or_none(word)
    if address is None:
        from rootlessnet.host.interfaces import address_of

        address = address_of(word, version)
    if address is None or address.version != version:
        raise UsageError(
            f"{option} has to be valid ipv{version} address or interface name, not {quoted(word)}"
        )
    return address
