"""The way back: ports of the host's loopback that a guest can reach, as the user writes them.

The grammar is that of published ports, seen from the guest:

    [GUEST_PORT:]HOST_PORT[/PROTOCOL]

A program in the guest finds the host's port at its own loopback, on GUEST_PORT, and at the
gateway's addresses; in a guest without a namespace that could be entered, a virtual machine, only
at the latter. GUEST_PORT is HOST_PORT where it is not named. PROTOCOL is tcp or udp.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from rootlessnet.errors import UsageError
from rootlessnet.forward import (
    PORTS,
    PROTOCOLS,
    Forward,
    Protocol,
    require_port,
    require_protocol,
)
from rootlessnet.words import number, quoted

_FORM = "[GUEST_PORT:]HOST_PORT[/tcp|/udp]"


@dataclass(frozen=True, slots=True)
class ToHost:
    """`guest_port` of the guest leads to `host_port` of the host's loopback; both are 1 to 65535.

    Raises `UsageError`.
    """

    guest_port: int
    host_port: int
    protocol: Protocol = "tcp"

    def __post_init__(self) -> None:
        for port in (self.guest_port, self.host_port):
            require_port(port)
        require_protocol(self.protocol)

    def __str__(self) -> str:
        guest = "" if self.guest_port == self.host_port else f"{self.guest_port}:"
        return f"{guest}{self.host_port}/{self.protocol}"


def parse_to_host(text: str) -> ToHost:
    """The port of the host that a text in the grammar above names."""
    ports, slash, protocol_word = text.partition("/")
    protocol = PROTOCOLS.get(protocol_word.lower() if slash else "tcp")
    if protocol is None:
        raise UsageError(
            f"protocol {quoted(protocol_word)} in {quoted(text)} is not known: write /tcp or /udp"
        )
    match [number(word) for word in ports.split(":")]:
        case [int() as host] if host in PORTS:
            return ToHost(host, host, protocol)
        case [int() as guest, int() as host] if guest in PORTS and host in PORTS:
            return ToHost(guest, host, protocol)
    raise UsageError(
        f"cannot read {quoted(text)} as a port of the host: write it as {_FORM} with ports from "
        f"{PORTS[0]} to {PORTS[-1]}, for example 5432"
    )


def require_no_clash(ways: Iterable[ToHost], forwards: Iterable[Forward]) -> None:
    """Raise `UsageError` when a port of the guest leads to two ports of the host, or leads to one
    and is published: then a client of the one would end up at the other. Not so where a port is
    published of a certain address, which is never the guest's loopback.
    """
    taken: dict[tuple[int, Protocol], ToHost] = {}
    for way in ways:
        other = taken.setdefault((way.guest_port, way.protocol), way)
        if other is not way:
            raise UsageError(
                f"port {way.guest_port}/{way.protocol} of the guest is to lead to the host twice, "
                f"by {way if way == other else f'{other} and {way}'}: keep one of them"
            )
    for forward in forwards:
        found = taken.get((forward.guest_port, forward.protocol))
        if found is not None and forward.guest_address is None:
            raise UsageError(
                f"port {forward.guest_port}/{forward.protocol} of the guest leads to the host, by "
                f"{found}, and {forward} publishes it: take another GUEST_PORT for one of them"
            )
