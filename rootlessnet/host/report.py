"""The state of a network in lines: counters, then flows, a bounded number of each protocol's.

It is made when somebody asks, from what the tables hold: nothing is counted for it while packets
pass. An endpoint is of the guest first, then of the other side as the guest sees it.
"""

from collections.abc import Iterable, Iterator, Sized
from ipaddress import ip_address
from itertools import islice
from typing import Protocol

from rootlessnet.host.sockets import HostSockets
from rootlessnet.log import Log
from rootlessnet.stack.datagram_flows import DatagramFlow
from rootlessnet.stack.gateway import Gateway
from rootlessnet.tcp.connection import Connection

MOST = 100  # flows a protocol; the rest is a number


class Counting(Protocol):
    """A device that counts the frames it did not take."""

    @property
    def refused(self) -> int: ...


def lines(gateway: Gateway, device: Counting, sockets: HostSockets, log: Log) -> Iterator[str]:
    """Counters first. No line is long."""
    yield (
        f"flows: {len(gateway.tcp)} tcp, {len(gateway.udp)} udp, {len(gateway.echo)} echo, "
        f"{sockets.spliced()} spliced"
    )
    yield f"frames of the guest dropped: {_counts(gateway.dropped)}"
    yield f"frames to the guest refused: {device.refused}"
    yield f"faults: {_counts(log.faults) or 'none'}"
    yield from _some("tcp", gateway.tcp, (_tcp(*one) for one in gateway.tcp.connections()))
    yield from _some("udp", gateway.udp, (_udp(*one) for one in gateway.udp.flows()))
    yield from _some("echo", gateway.echo, (_echo(key) for key, _ in gateway.echo.flows()))


def _counts(counted: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counted.items())


def _some(protocol: str, table: Sized, texts: Iterable[str]) -> Iterator[str]:
    for text in islice(texts, MOST):
        yield f"{protocol} {text}"
    if len(table) > MOST:
        yield f"{protocol} and {len(table) - MOST} more"


def _tcp(key: bytes, connection: Connection) -> str:
    waiting = f"waiting: {connection.held} out, {connection.queued} in"  # bytes
    return f"{_endpoints(key)} {connection.state.name}, {waiting}"


def _udp(key: bytes, flow: DatagramFlow) -> str:
    return f"{_endpoints(key)} {'one way' if flow.is_one_way else 'both ways'}"


def _echo(key: bytes) -> str:
    guest, far = _addresses(key[:-2])
    return f"{guest} {far} id {int.from_bytes(key[-2:], 'big')}"


def _endpoints(key: bytes) -> str:
    addresses = _addresses(key[:-4])
    ports = (int.from_bytes(key[-4:-2], "big"), int.from_bytes(key[-2:], "big"))
    return " ".join(f"{one}:{port}" for one, port in zip(addresses, ports, strict=True))


def _addresses(pair: bytes) -> tuple[str, str]:
    half = len(pair) // 2
    guest, far = (str(ip_address(one)) for one in (pair[:half], pair[half:]))
    return (guest, far) if half == 4 else (f"[{guest}]", f"[{far}]")
