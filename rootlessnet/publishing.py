"""Where on the host ports are published that name no address, and those that nobody has named.

What the user writes of either becomes a value here; `rootlessnet.host.publish_all` and
`rootlessnet.host.loopback_address` do what it says.
"""

from dataclasses import dataclass, replace
from typing import Literal

from rootlessnet.errors import UsageError
from rootlessnet.forward import Forward, require_no_overlap
from rootlessnet.words import (
    HostAddress,
    address_or_none,
    quoted,
    require,
    require_flags,
    require_single_host,
)

AUTO: Literal["auto"] = "auto"  # one of 127.0.0.0/8 that nobody uses

HostIp = HostAddress | Literal["auto"] | None  # None: all addresses of the host


@dataclass(frozen=True, slots=True)
class PublishAll:
    """Publish every port on which the guest listens, on the same number, while it does.

    `address` is the host's; None: that of the network (`NetworkConfig.host_ip`). `loopback`: TCP
    ports on which only the guest's loopback listens as well, for which the guest must be that of a
    `RunConfig` whose network splices. Raises `UsageError`.
    """

    address: HostAddress | None = None
    loopback: bool = False

    def __post_init__(self) -> None:
        if self.address is not None:
            require("host address", self.address, HostAddress, "ip_address('127.0.0.2')")
            require_single_host(self.address)
        require_flags(self, "loopback")


def parse_host_ip(text: str) -> HostAddress | Literal["auto"]:
    """The host's address for published ports, or `auto`."""
    return AUTO if text == AUTO else _parse_host_address(text, ", or auto for one that is free")


def parse_publish_all(text: str) -> PublishAll:
    """What publishes all ports on the address in `text`; on that of the network if it is empty."""
    return PublishAll(_parse_host_address(text, "") if text else None)


def require_one_use(forwards: tuple[Forward, ...], host_ip: HostIp) -> None:
    """Refuse what needs one port twice, where those are published that name no address."""
    if host_ip == AUTO:  # nobody else's, so the others are elsewhere
        require_no_overlap(one for one in forwards if one.host_address is None)
        require_no_overlap(one for one in forwards if one.host_address is not None)
    else:
        require_no_overlap(
            one if one.host_address else replace(one, host_address=host_ip) for one in forwards
        )


def _parse_host_address(text: str, otherwise: str) -> HostAddress:
    address = address_or_none(text)
    if address is None:
        raise UsageError(
            f"host address {quoted(text)} is not an IP address: "
            f"write it like 127.0.0.2 or ::1{otherwise}"
        )
    require_single_host(address)
    return address
