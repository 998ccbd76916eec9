"""What carries a guest's frames, and what the stack must know to use it."""

import os
from typing import NamedTuple

from rootlessnet.config import NetworkConfig
from rootlessnet.netns import inside
from rootlessnet.netns.child import Child
from rootlessnet.netns.inside import Inside
from rootlessnet.netns.messages import Channel, Kind, Message


class Tap(NamedTuple):
    """The descriptor of a TAP device. `mac` is the guest's own hardware address (6 bytes).

    `vnet`: every frame carries the 10-byte virtio-net header. `ipv6`: it has an address of IPv6,
    too. `keeps_namespace`: the descriptor, or what is `inside`, keeps the guest's network namespace
    alive, so that the device does not tell of its end. Whoever receives a `Tap` owns `fd` and what
    is `inside`; the device lives in the guest until that descriptor is closed, unless it was made
    to persist.
    """

    fd: int
    mac: bytes
    vnet: bool
    ipv6: bool = False
    keeps_namespace: bool = False
    inside: Inside = Inside()

    def message(self) -> Message:
        """For the process that is to have it; what is `inside` has messages of its own."""
        flags = self.vnet | self.ipv6 << 1 | self.keeps_namespace << 2
        return Message(Kind.TAP, flags, self.mac.hex(), (self.fd,))

    @classmethod
    def of(cls, message: Message, inside: Inside) -> "Tap":
        """The inverse of `message`."""
        vnet, ipv6, keeps_namespace = (bool(message.number & flag) for flag in (1, 2, 4))
        mac = bytes.fromhex(message.text)
        return cls(message.descriptors[0], mac, vnet, ipv6, keeps_namespace, inside)

    def close(self) -> None:
        """Of a Tap that nobody has begun to use."""
        os.close(self.fd)
        self.inside.close()


class FrameListener(NamedTuple):
    """The descriptor of a SOCK_SEQPACKET socket that listens for the guest. Whoever receives one
    owns `fd`.
    """

    fd: int

    def close(self) -> None:
        """Of one that nobody has begun to use."""
        os.close(self.fd)


Link = Tap | FrameListener


def hand_over(tap: Tap, network: NetworkConfig, channel: Channel) -> None:
    """In the child, whose network namespace is the guest's: send the parent what it needs.

    Raises RootlessnetError, OSError.
    """
    inside.hand_over(network, channel)
    channel.send(tap.message())


def receive(network: NetworkConfig, child: Child) -> Tap:
    """In the parent: wait for what the child sends. Raises RootlessnetError."""
    sockets = inside.receive(network, child)
    try:
        return Tap.of(child.receive(Kind.TAP), sockets)
    except BaseException:
        sockets.close()
        raise
