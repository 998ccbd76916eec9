"""The guest's addresses: from the words of its user to those of the stack.

Read: `rootlessnet.config` and `rootlessnet.stack.network`.
"""

from collections.abc import Container

from rootlessnet.config import NetworkConfig
from rootlessnet.stack.configuration import AddressPool
from rootlessnet.stack.network import Network, Plan
from rootlessnet.stack.reach import Reach
from rootlessnet.wire import ip

_NUMBERS = {"tcp": ip.TCP, "udp": ip.UDP}


def network(config: NetworkConfig, mac: bytes, refused: Container[bytes]) -> Network:
    """The network of a guest whose interface has this `mac`; `refused` is that of `Reach`."""
    plans = [
        Plan(one.cidr, one.gateway, one.dns_address if config.dns_forwarder else None, one.guest)
        for one in (config, config.plan6)
        if one is not None
    ]
    to_host = {(_NUMBERS[one.protocol], one.guest_port): one.host_port for one in config.to_host}
    reach = Reach(host_loopback=config.host_loopback, metadata=config.metadata, refused=refused)
    return Network(plans, config.mtu, mac, reach, to_host, config.bounds)


def pools(config: NetworkConfig) -> list[AddressPool]:
    """What DHCP has to give, in each family: as many addresses as its bound allows."""
    if not config.dhcp:
        return []
    return [
        AddressPool(
            [address.packed for address in plan.pool[: config.bounds.leases]],
            {
                one.mac: one.address.packed
                for one in config.reservations
                if one.address.version == plan.cidr.version
            },
        )
        for plan in (config, config.plan6)
        if plan is not None
    ]
