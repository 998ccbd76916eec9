"""Making the guest's TAP device and giving it its address.

pytun is imported when first needed, by a process that ends soon: nobody else pays for it.

Read: rtnetlink(7), Documentation/networking/tuntap.rst.
"""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from rootlessnet.addressing import Plan6
from rootlessnet.config import NetworkConfig
from rootlessnet.errors import RootlessnetError
from rootlessnet.netns import kernel_file
from rootlessnet.netns.rtnetlink import (
    IFLA_ADDRESS,
    IFLA_MTU,
    IFLA_NET_NS_FD,
    IFLA_TXQLEN,
    Rtnetlink,
)
from rootlessnet.netns.tap import Tap
from rootlessnet.words import HostAddress

# Frames that wait for the stack. The kernel's own default of 1000 drops in bursts, silently.
TX_QUEUE_LENGTH = 10_000

_IPV6_SETTINGS = "/proc/sys/net/ipv6/conf"
# The guest's address is settled: nobody is to be asked whether it is free, and no router for more.
_SETTLED = {"dad_transmits": "0", "accept_ra": "0", "autoconf": "0"}
_NODAD = 0x02  # IFA_F_NODAD of <linux/if_addr.h>


def make_tap(name: str, *, persistent: bool = False) -> Tap:
    """Make the TAP device `name` in this process's network namespace. One that is `persistent` goes
    with the namespace, not with its descriptor.

    Raises `OSError`: `prerequisites.explain_tap` says why.
    """
    import pytun

    flags = pytun.IFF_TAP | pytun.IFF_NO_PI
    vnet = True
    try:
        device = pytun.TunTapDevice(name, flags | pytun.IFF_VNET_HDR)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        vnet = False  # not every emulation of Linux has the header
        device = pytun.TunTapDevice(name, flags)
    if persistent:
        with suppress(OSError):  # nor this
            device.persist(True)
    # pytun closes its descriptor with the object, and would let it survive an exec.
    return Tap(os.dup(device.fileno()), device.hwaddr, vnet)


def move(name: str, netns: int) -> None:
    """Move the interface `name` to the network namespace that the descriptor `netns` refers to."""
    with _netlink(f"interface {name!r} exists there already: choose another --tap-name") as netlink:
        netlink.set_link(socket.if_nametoindex(name), {IFLA_NET_NS_FD: netns})


def exists(name: str) -> bool:
    """Whether this process's network namespace has an interface of this name."""
    try:
        socket.if_nametoindex(name)
    except OSError:
        return False
    return True


def deepen_queue(name: str) -> None:
    """Let more frames wait for the stack. Raises `RootlessnetError`."""
    with _netlink() as netlink:
        netlink.set_link(socket.if_nametoindex(name), {IFLA_TXQLEN: TX_QUEUE_LENGTH})


def require_free(network: NetworkConfig) -> None:
    """Raise `RootlessnetError` when another interface than the TAP, which may have been made and
    configured beforehand, has the guest's address in this network namespace.
    """
    with _netlink() as netlink:
        if network.guest in _addresses_of_others(netlink, network, socket.AF_INET):
            raise RootlessnetError(
                f"{network.guest} is the address of another interface there: "
                "choose another network with --cidr"
            )
        plan6 = network.plan6
        if plan6 is None:
            return
        if plan6.guest in _addresses_of_others(netlink, network, socket.AF_INET6):
            raise RootlessnetError(
                f"{plan6.guest} is the address of another interface there: "
                "choose another network with --cidr6"
            )


def _addresses_of_others(
    netlink: Rtnetlink, network: NetworkConfig, family: int
) -> set[HostAddress]:
    own = socket.if_nametoindex(network.tap_name) if exists(network.tap_name) else 0
    return {address for address, index in netlink.addresses(family) if index != own}


def configure(network: NetworkConfig, mac: bytes | None = None) -> bool:
    """Bring up lo and the TAP in this process's network namespace, with address and default route,
    and with the hardware address `mac` if there is one.

    Returns whether it has IPv6. Raises `RootlessnetError` when there is a default route already,
    and when IPv6 was asked for and is not to be had.
    """
    taken = "the namespace has a default route already: remove it there (ip route del default)"
    plan6 = network.plan6
    if plan6 is not None:
        _settle_ipv6(network.tap_name)
    with _netlink(taken) as netlink:
        tap = socket.if_nametoindex(network.tap_name)
        netlink.set_link(socket.if_nametoindex("lo"), {}, up=True)
        if mac is not None:
            netlink.set_link(tap, {IFLA_ADDRESS: mac})
        queue = {IFLA_MTU: network.mtu, IFLA_TXQLEN: TX_QUEUE_LENGTH}
        netlink.set_link(tap, queue, up=True)
        # It may be there already, on an interface made beforehand.
        netlink.replace_address(tap, network.guest, network.cidr)
        _add_default_route(netlink, tap, socket.AF_INET, network.gateway)
        return plan6 is not None and _add_ipv6(netlink, tap, plan6, is_wanted=bool(network.ipv6))


def _settle_ipv6(name: str) -> None:
    for setting, value in _SETTLED.items():
        with suppress(OSError):  # a kernel without IPv6, or a /proc that is read-only
            kernel_file.write(f"{_IPV6_SETTINGS}/{name}/{setting}", value)


def _add_ipv6(netlink: Rtnetlink, tap: int, plan: Plan6, *, is_wanted: bool) -> bool:
    """Address and default route; whether that worked. Raises RootlessnetError if it is wanted."""
    try:
        netlink.replace_address(tap, plan.guest, plan.cidr, _NODAD)
        _add_default_route(netlink, tap, socket.AF_INET6, plan.gateway)
    except FileExistsError:
        raise RootlessnetError(
            "the namespace has an IPv6 default route already: "
            "remove it there (ip -6 route del default), or give --no-ipv6"
        ) from None
    except OSError as error:
        if not is_wanted:
            return False
        raise RootlessnetError(
            f"cannot give the namespace IPv6 ({error.strerror}): enable it "
            "(sysctl net.ipv6.conf.all.disable_ipv6=0), or give --no-ipv6"
        ) from None
    return True


def _add_default_route(netlink: Rtnetlink, tap: int, family: int, gateway: HostAddress) -> None:
    """Unless the TAP has it already. Raises FileExistsError when another interface has one."""
    if (gateway, tap) not in netlink.default_routes(family):
        netlink.add_default_route(gateway, tap)


def lead_back(network: NetworkConfig, mark: int, preference: int) -> None:
    """Lead packets with `mark` to the gateway's address to lo, by a table whose number is `mark`.

    Raises `RootlessnetError` where the kernel has no policy routing.
    """
    with _netlink() as netlink:
        lo = socket.if_nametoindex("lo")
        netlink.add_local_route(network.gateway, lo, table=mark)
        netlink.add_rule(socket.AF_INET, preference, mark, table=mark)


@contextmanager
def _netlink(taken: str = "") -> Iterator[Rtnetlink]:
    """A netlink socket; errors of the kernel come out explained, EEXIST by the sentence `taken`."""
    with closing(Rtnetlink()) as netlink:
        try:
            yield netlink
        except OSError as error:
            known = error.errno == errno.EEXIST and taken
            explained = taken if known else f"cannot configure tap: {error.strerror}"
            raise RootlessnetError(explained) from None
