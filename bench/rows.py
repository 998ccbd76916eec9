"""The rows of the comparison, and the experiments that fill them.

*Out* is data from the guest to the host, *in* from the host to the guest. *Forwarded* means that
the host connected to the published port; otherwise the guest connected. GB, MB and Gbit are powers
of ten.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Literal

from bench import podman
from bench.peers import free_port
from bench.processes import (
    cpu_seconds,
    memory,
    most_descriptors,
    tool_processes,
)
from bench.session import Contender, Session, begin, measure
from bench.workload import Kind, Task

STARTS = 5  # of a guest, for one value of the start-up row
IDLE_COMMAND = ("cat",)  # says what it hears, which shows that it runs
# As many connections as there are descriptors for: half of a tool's are for other uses.
MANY = min(10_000, most_descriptors() // 2 - 1000)
SETTLE = 0.5  # seconds for helpers of the start to end


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table. `name` is what the command line calls it."""

    name: str
    title: str
    unit: str
    better: Literal["higher", "lower"] = "higher"


Values = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Experiment:
    """`run` measures a value for each of `rows`, None where it does not apply to a contender.

    It takes the seconds of a measurement, and raises BenchError. `program` has to be there.
    """

    rows: tuple[Row, ...]
    run: Callable[[Contender, float], Values]
    program: str | None = None

    def is_possible(self) -> bool:
        return self.program is None or shutil.which(self.program) is not None


def gigabits(name: str, title: str) -> Row:
    return Row(name, title, "Gbit/s")


def exchanges(name: str, title: str) -> Row:
    return Row(name, title, "1/s")


def start_up(contender: Contender, _seconds: float) -> Values:
    """The median of a few starts of a guest that does nothing."""
    return [1e3 * median(contender.peer.start_up() for _ in range(STARTS))]


def idle_memory(contender: Contender, _seconds: float) -> Values:
    """What the processes of the tool hold before the guest has sent anything."""
    with ExitStack() as ending:
        instance = contender.peer.start(ending, IDLE_COMMAND, contender.mtu, free_port())
        instance.guest.write_line("awake")
        instance.guest.read_line()
        if instance.tool is None:
            return [None]
        time.sleep(SETTLE)
        return [memory(tool_processes(instance.tool, IDLE_COMMAND)) / 1e6]


def containers(contender: Contender, _seconds: float) -> Values:
    """The median of a few starts of a container that does nothing, and one download in another.

    The first one is not measured: the engine makes its places then.
    """
    words = contender.peer.as_slirp4netns
    if words is None:
        return [None, None]
    with podman.engine(words, contender.user) as engine:
        engine.start_up(contender.mtu)
        starts = [engine.start_up(contender.mtu) for _ in range(STARTS)]
        return [1e3 * median(starts), engine.download(contender.mtu) * 8 / 1e9]


def transfer(
    kind: Kind,
    *rows: Row,
    out: bool,
    forwarded: bool = False,
    connections: int = 1,
    segmented: bool = False,
) -> Experiment:
    """Data one way. A second row takes the processor time that the tool spends on a GB."""
    way = Session.forwarded if forwarded else Session.outbound
    client_sends = out != forwarded  # the client is the guest, or of a forward the host

    def run(contender: Contender, seconds: float) -> Values:
        session = contender.session()
        task = Task(kind, seconds, sends=client_sends, connections=connections, segmented=segmented)
        before = cpu_seconds(session.tool)
        tally = measure(task, *way(session))
        spent = cpu_seconds(session.tool) - before
        values = [tally.rate * 8 / 1e9, spent / (tally.total / 1e9) if session.tool else None]
        return values[: len(rows)]

    return Experiment(rows, run)


def transfer_6(row: Row, *, out: bool) -> Experiment:
    """A TCP stream by IPv6, next to that of `transfer` by IPv4."""

    def run(contender: Contender, seconds: float) -> Values:
        if contender.peer.gateway_6 is None:
            return [None]
        task = Task("tcp_bulk", seconds, sends=out)
        return [measure(task, *contender.session().outbound_6()).rate * 8 / 1e9]

    return Experiment((row,), run)


def exchange(kind: Kind, row: Row, *, forwarded: bool = False, connections: int = 1) -> Experiment:
    """Requests and responses, or whole connections with one of each.

    One at a time, and with the scheduler free, both ends sometimes share a processor, and are then
    up to eight times as fast as when one has to wake another: a matter of luck that would hide all
    differences. So they are kept apart, as a scheduler with nothing else to do keeps them.
    """
    way = Session.forwarded if forwarded else Session.outbound
    apart = connections == 1

    def run(contender: Contender, seconds: float) -> Values:
        task = Task(kind, seconds, connections=connections, apart=apart)
        return [measure(task, *way(contender.session())).rate]

    return Experiment((row,), run)


def crowd(size: int, *rows: Row) -> Experiment:
    """Request and response on one of `size` connections, then if asked: what the first and the last
    tenth took to open, in ms each, and the memory of the tool while all are open.
    """

    def run(contender: Contender, seconds: float) -> Values:
        session = contender.session()
        server, client = session.outbound()
        task = Task("tcp_crowd", seconds, connections=size, apart=True)
        begin(task, server, client)
        first, last = client.agent.gathered(task)
        held = memory(session.tool) / 1e6 if len(rows) > 1 and session.tool else None
        client.agent.stop()
        tally = client.agent.finish(task)
        server.agent.stop()
        server.agent.finish(task)
        return [tally.rate, 1e3 * first, 1e3 * last, held][: len(rows)]

    return Experiment(rows, run)


def latency(row: Row, *, out: bool | None = None) -> Experiment:
    """The median time of a request and response of 64, alone or beside a stream, in ms."""

    def run(contender: Contender, seconds: float) -> Values:
        task = Task(
            "tcp_latency", seconds, connections=64, beside=out is not None, sends=out is True
        )
        return [1e3 * measure(task, *contender.session().outbound()).rate]

    return Experiment((row,), run)


def milliseconds(name: str, title: str) -> Row:
    return Row(name, title, "ms", "lower")


# In the order of running: the first two come while no session is open yet.
EXPERIMENTS = (
    Experiment((Row("start-up", "start-up of `true`", "ms", "lower"),), start_up),
    Experiment((Row("memory", "memory of an idle instance", "MB", "lower"),), idle_memory),
    transfer(
        "tcp_bulk",
        gigabits("tcp-out", "TCP out, 1 stream"),
        Row("cpu-out", "processor time, TCP out", "s/GB", "lower"),
        out=True,
    ),
    transfer(
        "tcp_bulk",
        gigabits("tcp-in", "TCP in, 1 stream"),
        Row("cpu-in", "processor time, TCP in", "s/GB", "lower"),
        out=False,
    ),
    transfer_6(gigabits("tcp-out-6", "TCP out, 1 stream, IPv6"), out=True),
    transfer_6(gigabits("tcp-in-6", "TCP in, 1 stream, IPv6"), out=False),
    transfer("tcp_bulk", gigabits("tcp-out-8", "TCP out, 8 streams"), out=True, connections=8),
    transfer("tcp_bulk", gigabits("tcp-in-8", "TCP in, 8 streams"), out=False, connections=8),
    transfer("tcp_bulk", gigabits("forwarded-out", "forwarded TCP out"), out=True, forwarded=True),
    transfer("tcp_bulk", gigabits("forwarded-in", "forwarded TCP in"), out=False, forwarded=True),
    transfer("udp_bulk", gigabits("udp-out", "UDP out, 1400 B"), out=True),
    transfer("udp_bulk", gigabits("udp-in", "UDP in, 1400 B"), out=False),
    transfer("udp_bulk", gigabits("udp-out-gso", "UDP out, 1400 B, GSO"), out=True, segmented=True),
    transfer("udp_bulk", gigabits("udp-in-gso", "UDP in, 1400 B, GSO"), out=False, segmented=True),
    exchange("tcp_exchange", exchanges("tcp-rr", "TCP request/response")),
    exchange("udp_exchange", exchanges("udp-rr", "UDP request/response")),
    exchange("tcp_connect", exchanges("tcp-crr", "connect+exchange+close")),
    exchange("tcp_exchange", exchanges("tcp-rr-64", "64 connections"), connections=64),
    exchange(
        "tcp_connect",
        exchanges("forwarded-crr", "forwarded connect+exchange+close"),
        forwarded=True,
    ),
    crowd(1, exchanges("idle-1", "request/response, 1 connection open")),
    crowd(100, exchanges("idle-100", "request/response, 100 connections open")),
    crowd(
        MANY,
        exchanges("idle-many", f"request/response, {MANY:,} connections open"),
        milliseconds("open-first", f"connect, the first tenth of {MANY:,}"),
        milliseconds("open-last", f"connect, the last tenth of {MANY:,}"),
        Row("memory-many", f"memory with {MANY:,} connections open", "MB", "lower"),
    ),
    latency(milliseconds("latency", "latency on 64 connections")),
    latency(milliseconds("latency-out", "latency on 64 connections beside TCP out"), out=True),
    latency(milliseconds("latency-in", "latency on 64 connections beside TCP in"), out=False),
    Experiment(
        (
            Row("podman-start", "start-up of `podman run true`", "ms", "lower"),
            gigabits("podman-download", "HTTP download by podman"),
        ),
        containers,
        podman.PROGRAM,
    ),
)

# In the order of the table: what is achieved before what it costs.
ROWS = tuple(
    sorted(
        (row for experiment in EXPERIMENTS for row in experiment.rows),
        key=lambda row: row.better == "lower",
    )
)
BY_NAME = {row.name: row for row in ROWS}
