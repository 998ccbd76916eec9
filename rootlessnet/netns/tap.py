"""What carries a guest's frames, and what the stack must know to use it."""

from dataclasses import dataclass

from rootlessnet.netns.messages import Kind, Message


@dataclass(frozen=True, slots=True)
class Tap:
    """The descriptor of a TAP device. `mac` is the guest's own hardware address (6 bytes).

    `vnet`: every frame carries the 10-byte virtio-net header. `ipv6`: it has an address of IPv6,
    too. `keeps_namespace`: the descriptor keeps the guest's network namespace alive, so that the
    device does not tell of its end. Whoever receives a `Tap` owns `fd`; the device lives in the
    guest until that descriptor is closed, unless it was made to persist.
    """

    fd: int
    mac: bytes
    vnet: bool
    ipv6: bool = False
    keeps_namespace: bool = False

    def message(self) -> Message:
        """For the process that is to have it."""
        flags = self.vnet | self.ipv6 << 1 | self.keeps_namespace << 2
        return Message(Kind.TAP, flags, self.mac.hex(), (self.fd,))

    @classmethod
    def of(cls, message: Message) -> "Tap":
        """The inverse of `message`."""
        vnet, ipv6, keeps_namespace = (bool(message.number & flag) for flag in (1, 2, 4))
        mac = bytes.fromhex(message.text)
        return cls(message.descriptors[0], mac, vnet, ipv6, keeps_namespace)


@dataclass(frozen=True, slots=True)
class FrameListener:
    """The descriptor of a SOCK_SEQPACKET socket that listens for the guest. Whoever receives one
    owns `fd`.
    """

    fd: int


Link = Tap | FrameListener
