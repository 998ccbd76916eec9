"""The guest's addresses: from the words of its user to those of the stack.

Read: `rootlessnet.config` and `rootlessnet.stack.network`.
"""

from rootlessnet.config import NetworkConfig
from rootlessnet.stack.configuration import AddressPool
from rootlessnet.stack.network import Network, Plan
from rootlessnet.wire import ip

_NUMBERS = {"tcp": ip.TCP, "udp": ip.UDP}


def network(config: NetworkConfig, mac: bytes) -> Network:
    """The network of a guest whose interface has this `mac`."""
    plans = [
        Plan(one.cidr, one.gateway, one.dns_address if config.dns_forwarder else None, one.guest)
        for one in (config, config.plan6)
        if one is not None
    ]
    to_host = {(_NUMBERS[one.protocol], one.guest_port): one.host_port for one in config.to_host}
    return Network(plans, config.mtu, mac, config.host_loopback, to_host)


def pools(config: NetworkConfig) -> list[AddressPool]:
    """What DHCP has to give, in each family."""
    if not config.dhcp:
        return []
    return [
        AddressPool(
            [address.packed for address in plan.pool],
            {
                one.mac: one.address.packed
                for one in config.reservations
                if one.address.version == plan.cidr.version
            },
        )
        for plan in (config, config.plan6)
        if plan is not None
    ]
