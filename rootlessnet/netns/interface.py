"""Making the guest's TAP device and giving it its address: all that pytun and pyroute2 do here.

Both are imported when first needed, by a process that ends soon: nobody else pays for them. The
package pyroute2 imports all of its parts, most of which nothing here uses; the time that takes is a
good part of the start of `run`, so only the part that is needed gets loaded.

Read: rtnetlink(7), Documentation/networking/tuntap.rst.
"""

import errno
import importlib.util
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rootlessnet.config import NetworkConfig
from rootlessnet.errors import RootlessnetError
from rootlessnet.netns.tap import Tap

if TYPE_CHECKING:
    from pyroute2 import IPRoute

# Frames that wait for the stack. The kernel's own default of 1000 drops in bursts, silently.
TX_QUEUE_LENGTH = 10_000


def make_tap(name: str) -> Tap:
    """Make the TAP device `name` in this process's network namespace.

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
    # pytun closes its descriptor with the object, and would let it survive an exec.
    return Tap(os.dup(device.fileno()), device.hwaddr, vnet)


def move(name: str, netns: int) -> None:
    """Move the interface `name` to the network namespace that the descriptor `netns` refers to."""
    with _netlink(f"interface {name!r} exists there already: choose another --tap-name") as netlink:
        netlink.link("set", index=socket.if_nametoindex(name), net_ns_fd=netns)


def require_free(network: NetworkConfig) -> None:
    """Raise `RootlessnetError` when the guest's address is in use in this network namespace."""
    with _netlink() as netlink:
        for message in netlink.get_addr(family=socket.AF_INET):
            if message.get("local") == str(network.guest):
                raise RootlessnetError(
                    f"{network.guest} is the address of another interface there: "
                    "choose another network with --cidr"
                )


def configure(network: NetworkConfig) -> None:
    """Bring up lo and the TAP in this process's network namespace, with address and default route.

    Raises `RootlessnetError` when there is a default route already.
    """
    taken = "the namespace has a default route already: remove it there (ip route del default)"
    with _netlink(taken) as netlink:
        tap = socket.if_nametoindex(network.tap_name)
        netlink.link("set", index=socket.if_nametoindex("lo"), state="up")
        netlink.link("set", index=tap, mtu=network.mtu, txqlen=TX_QUEUE_LENGTH, state="up")
        netlink.addr(
            "add",
            index=tap,
            address=str(network.guest),
            prefixlen=network.cidr.prefixlen,
            broadcast=str(network.cidr.broadcast_address),
        )
        netlink.route("add", dst="default", gateway=str(network.gateway))


@contextmanager
def _netlink(taken: str = "") -> "Iterator[IPRoute]":
    """A netlink socket; errors of the kernel come out explained, EEXIST by the sentence `taken`."""
    if "pyroute2" not in sys.modules:
        spec = importlib.util.find_spec("pyroute2")
        assert spec is not None, "pyroute2 is a dependency of this package"
        sys.modules["pyroute2"] = importlib.util.module_from_spec(spec)  # not executed, see above
    from pyroute2.iproute.linux import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    with IPRoute() as netlink:
        try:
            yield netlink
        except NetlinkError as error:
            reason = os.strerror(error.code)
            known = error.code == errno.EEXIST and taken
            raise RootlessnetError(taken if known else f"cannot configure tap: {reason}") from None
