"""What an instance does for a client.

Read: `rootlessnet.control.protocol` for the requests and their results.
"""

from typing import Protocol

from rootlessnet.control.description import InstanceDescription
from rootlessnet.control.protocol import Info, Publish, Withdraw
from rootlessnet.errors import RootlessnetError
from rootlessnet.forward import Forward, parse_forwards

# Ports of one request whose host port is to be found: no packet moves meanwhile, and the kernel
# needs ever longer as its own are used up.
MOST_SOUGHT = 1024
# Ports of one request: a range has as many, and a request has room for thousands of ranges, which
# would take minutes and all memory.
MOST_PORTS = 1 << 16


class Controlled(Protocol):
    """An instance, as its clients know it."""

    @property
    def published(self) -> tuple[Forward, ...]:
        """The published ports."""

    def placed(self, forward: Forward, /) -> Forward:
        """The forward with the host's address that it has here if it names none."""

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
            return [str(forward) for forward in instance.publish(*_wanted(ports))]
        case Withdraw(ports):
            return [str(forward) for forward in _withdraw(instance, ports)]


def _wanted(texts: tuple[str, ...]) -> list[Forward]:
    forwards = _read(texts)
    sought = sum(not forward.is_settled for forward in forwards)
    if sought > MOST_SOUGHT:
        raise RootlessnetError(
            f"cannot find host ports for {sought} ports at once, {MOST_SOUGHT} are possible: "
            "name the host ports, like 8000-9999:8000-9999, or ask for fewer"
        )
    return forwards


def _read(texts: tuple[str, ...]) -> list[Forward]:
    forwards: list[Forward] = []
    for text in texts:
        forwards += parse_forwards(text)
        if len(forwards) > MOST_PORTS:
            raise RootlessnetError(
                f"a request has {MOST_PORTS} ports at most: ask for these with several"
            )
    return forwards


def _withdraw(instance: Controlled, texts: tuple[str, ...]) -> tuple[Forward, ...]:
    forwards = tuple(dict.fromkeys(map(instance.placed, _read(texts))))
    published = set(instance.published)
    for forward in forwards:
        if forward not in published:
            raise RootlessnetError(
                f"cannot withdraw {forward}: it is not published, rootlessnet port ls has what is"
            )
    for forward in forwards:
        instance.withdraw(forward)
    return forwards
