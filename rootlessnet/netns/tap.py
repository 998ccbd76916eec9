"""The descriptor of a TAP device, and what the stack must know to use it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tap:
    """`mac` is the guest's own hardware address (6 bytes).

    `vnet`: every frame carries the 10-byte virtio-net header. Whoever receives a `Tap` owns `fd`;
    the device lives in the guest until that descriptor is closed.
    """

    fd: int
    mac: bytes
    vnet: bool
