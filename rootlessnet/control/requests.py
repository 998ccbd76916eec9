"""What an instance does for a client.

Read: `rootlessnet.control.protocol` for the requests and their results.
"""

from typing import Protocol

from rootlessnet.control.description import InstanceDescription
from rootlessnet.control.protocol import Info, Publish, Withdraw
from rootlessnet.errors import RootlessnetError
from rootlessnet.forward import Forward, parse_forwards


class Controlled(Protocol):
    """An instance, as its clients know it."""

    @property
    def published(self) -> tuple[Forward, ...]:
        """The published ports."""

    def describe(self) -> InstanceDescription: ...

    def publish(self, *forwards: Forward | str) -> tuple[Forward, ...]:
        """All or none. Raises RootlessnetError."""

    def withdraw(self, forward: Forward, /) -> None:
        """Raises RootlessnetError."""

    def terminate(self, seconds: float, /) -> None:
        """Begin to end it, by force after so many seconds."""


def perform(request: Info | Publish | Withdraw, instance: Controlled) -> object:
    """The result. Raises RootlessnetError when there is none; nothing has changed then."""
    match request:
        case Info():
            return instance.describe().as_json()
        case Publish(ports):
            return [str(forward) for forward in instance.publish(*ports)]
        case Withdraw(ports):
            return [str(forward) for forward in _withdraw(instance, ports)]


def _withdraw(instance: Controlled, texts: tuple[str, ...]) -> tuple[Forward, ...]:
    forwards = tuple(dict.fromkeys(one for text in texts for one in parse_forwards(text)))
    published = instance.published
    for forward in forwards:
        if forward not in published:
            raise RootlessnetError(
                f"cannot withdraw {forward}: it is not published, rootlessnet port ls has what is"
            )
    for forward in forwards:
        instance.withdraw(forward)
    return forwards
