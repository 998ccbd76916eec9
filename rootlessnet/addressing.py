"""The guest's addresses: from the words of its user to those of the stack.

Read: `rootlessnet.config` and `rootlessnet.stack.network`.
"""

from rootlessnet.config import NetworkConfig
from rootlessnet.stack.configuration import AddressPool
from rootlessnet.stack.network import Network, Plan
from rootlessnet.wire import ip

_NUMBERS = {"tcp": ip.TCP, "udp": ip.UDP}


def network(config: NetworkConfig, mac: bytes, *, has_ipv6: bool) -> Network:
    """The network of a guest whose interface has this `mac`, and IPv6 or not."""
    plans = [Plan(config.cidr, config.gateway, config.dns_address, config.guest)]
    plan6 = config.plan6
    if plan6 is not None and has_ipv6:
        plans.append(Plan(plan6.cidr, plan6.gateway, plan6.dns_address, plan6.guest))
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
