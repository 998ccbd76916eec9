"""The descriptor of a TAP device, and what the stack must know to use it."""

from dataclasses import dataclass

from rootlessnet.netns.messages import Kind, Message


@dataclass(frozen=True, slots=True)
class Tap:
    """`mac` is the guest's own hardware address (6 bytes).

    `vnet`: every frame carries the 10-byte virtio-net header. `ipv6`: it has an address of IPv6,
    too. Whoever receives a `Tap` owns `fd`; the device lives in the guest until that descriptor is
    closed.
    """

    fd: int
    mac: bytes
    vnet: bool
    ipv6: bool = False

    def message(self) -> Message:
        """For the process that is to have it."""
        return Message(Kind.TAP, self.vnet | self.ipv6 << 1, self.mac.hex(), (self.fd,))

    @classmethod
    def of(cls, message: Message) -> "Tap":
        """The inverse of `message`."""
        number = message.number
        mac = bytes.fromhex(message.text)
        return cls(message.descriptors[0], mac, bool(number & 1), bool(number & 2))
