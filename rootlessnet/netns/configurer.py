"""The configurer: the short-lived child of `launch` that makes the guest's namespaces and its TAP.

It forks the init early, before it imports what only it needs, so that the init stays lean and gets
ready in the meantime. The mount namespace is the init's alone: its new /proc has no place for us.
Everything it finds out goes to the parent, the TAP's descriptor included.
"""

import errno
import os
from collections.abc import Iterable
from contextlib import suppress

from rootlessnet.config import RunConfig
from rootlessnet.errors import RootlessnetError
from rootlessnet.netns import (
    inbound,
    interface,
    kernel_file,
    processes,
    syscalls,
    tap,
    user_namespace,
)
from rootlessnet.netns.init import Init
from rootlessnet.netns.messages import Channel, Kind, Message
from rootlessnet.netns.tap import Tap

_IPV4_SETTINGS = "/proc/sys/net/ipv4"
_PING_GROUP_MAX = 2**31 - 1  # the largest that every kernel takes


class Configurer:
    """The state of the configurer, which is what the init inherits."""

    def __init__(
        self, config: RunConfig, init_channel: Channel, mask: Iterable[int], hidden: str
    ) -> None:
        """`init_channel` is the init's end of its channel; `mask` the signal mask for COMMAND;
        `hidden` a folder that it does not see.
        """
        self._config = config
        self._init_channel = init_channel
        self._mask = mask
        self._hidden = hidden

    def run(self, channel: Channel) -> None:
        """Do it all; `channel` leads to the parent. Raises `RootlessnetError`."""
        namespaces = syscalls.CLONE_NEWNET
        if self._config.pid_namespace:
            namespaces |= syscalls.CLONE_NEWPID
        try:
            user_namespace.enter(namespaces, map_user=self._config.map_user)
        except OSError as error:
            channel.send(Message(Kind.REFUSED, error.errno or errno.EPERM))
            return
        init = self._fork_init(channel)
        namespace = processes.user_namespace_of(os.getpid())
        channel.send(Message(Kind.INIT, init, str(namespace)))
        tap.hand_over(self._make_tap(), self._config.network, channel)

    def _fork_init(self, channel: Channel) -> int:
        myself = os.pidfd_open(os.getpid())
        pid = processes.fork()
        if pid == 0:
            channel.close()
            Init(self._config, self._init_channel, myself, self._mask, self._hidden).run()
        os.close(myself)
        self._init_channel.close()
        return pid

    def _make_tap(self) -> Tap:
        network = self._config.network
        try:
            made = interface.make_tap(network.tap_name, persistent=True)
        except OSError as error:
            from rootlessnet.netns import prerequisites

            raise prerequisites.explain_tap(error, network.tap_name).error() from None
        has_ipv6 = interface.configure(network)
        if network.splice:
            with suppress(RootlessnetError, OSError):  # for what happens then, see there
                interface.lead_back(network, inbound.MARK, inbound.PREFERENCE)
                inbound.appear_as_gateway()
        # As far as the kernel has them: ping without privilege, and servers on their usual ports.
        first, last = user_namespace.group_range(kernel_file.read("/proc/self/gid_map"))
        _set_ipv4("ping_group_range", f"{first} {min(last, _PING_GROUP_MAX)}")
        _set_ipv4("ip_unprivileged_port_start", "0")
        return made._replace(ipv6=has_ipv6)


def _set_ipv4(name: str, value: str) -> None:
    with suppress(OSError):
        kernel_file.write(f"{_IPV4_SETTINGS}/{name}", value)
