"""The traffic of the benchmarks: both ends of it in one file of the standard library.

The file runs as an *agent*: it reads one `Task` a line as JSON from stdin, does it, and answers
with one JSON line. One agent lives in the guest, one on the host; the benchmark gives one of them
the serving half of a task and the other the connecting half, so that starting an interpreter is
never part of a measurement.

Rules:
- An agent opens with `{"gateway": …, "mtu": …}`: how it sees the network that it is in.
- A serving half first answers `{"port": …}`; both end with `{"total": …, "rate": …}` or
  `{"error": …}`.
- Whoever receives (bulk, stalls) or asks (exchanges) measures, by its own clock, and stops by
  itself; the other half goes on until the next line of input, which is an empty one, or the end of
  the input. A crowd stays until then, too, when its half has said how soon it gathered:
  `{"first": …, "last": …}`.
- What happens before the warm-up is over counts for the total, not for the rate.
- The workload must not be the bottleneck: one thread, one epoll, buffers of 1 MiB.

Read: tcp(7), udp(7) for UDP_SEGMENT and UDP_GRO, epoll(7).
"""

import fcntl
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Literal

Kind = Literal[
    "tcp_bulk",
    "tcp_stall",
    "udp_bulk",
    "tcp_exchange",
    "udp_exchange",
    "tcp_connect",
    "tcp_crowd",
    "tcp_latency",
]

STDIN = 0
BULK = 1 << 20  # bytes offered to one send and one receive of a TCP stream
PATTERN = bytes(range(256))  # new zeroes would be one page of the kernel: too easy to copy
DATAGRAM = 1400  # bytes, as in a QUIC packet: fits an MTU of 1500
SEGMENTS = 46  # datagrams in one UDP_SEGMENT send: 64,400 bytes
SIOCGIFMTU = 0x8921  # linux/sockios.h
UDP_SEGMENT, UDP_GRO = 103, 104  # linux/udp.h; the socket module has no names for them
SOCKET_BUFFER = 4 << 20  # bytes asked for a UDP socket; the kernel caps it at net.core.rmem_max
BATCH = 64  # datagrams between two looks at the clock
MESSAGE = 64  # bytes of a request and of its response
# The port of a closed connection stays in TIME_WAIT for a minute, and there are 28,000 of them.
MOST_CONNECTIONS = 20_000
RESEND_AFTER = 0.2  # seconds until a lost datagram is asked for again
LONGEST_WAIT = 0.05  # seconds between two looks at the clock when nothing arrives
GRACE = 5.0  # seconds that a task may take beyond its measured time
OPENING = 0.002  # seconds more for each connection


@dataclass(frozen=True, slots=True)
class Task:
    """One half of a measurement of `seconds`. A serving half takes any port for 0."""

    kind: Kind
    seconds: float
    warm_up: float = 0.3
    serves: bool = False
    sends: bool = False  # bulk, stalls and latency: this half is the source of the data
    address: str = ""
    port: int = 0
    connections: int = 1
    segmented: bool = False  # UDP only: UDP_SEGMENT and UDP_GRO, as QUIC uses them
    apart: bool = False  # the halves on processors of their own
    beside: bool = False  # latency only: a stream runs beside the exchanges

    @property
    def longest(self) -> float:
        """Seconds that a half may take."""
        return self.warm_up + self.seconds + GRACE + OPENING * self.connections

    def to_json(self) -> str:
        """In one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> "Task":
        """The inverse of `to_json`."""
        return cls(**json.loads(text))


@dataclass(slots=True)
class Meter:
    """Counts bytes or exchanges: `total` from the start, the rate from the end of the warm-up."""

    task: Task
    total: int = 0
    _started: float = field(default_factory=time.monotonic)
    _now: float = 0.0
    _marked: float = 0.0
    _total_then: int = 0

    def running(self) -> bool:
        """Look at the clock: False once the measured time is over."""
        self._now = time.monotonic()
        opens = self._started + self.task.warm_up
        if not self._marked and self._now >= opens:
            self._marked, self._total_then = self._now, self.total
        return self._now < opens + self.task.seconds

    @property
    def warm(self) -> bool:
        """Whether the warm-up is over."""
        return self._marked > 0

    def answer(self) -> dict[str, float]:
        """Raises TimeoutError when there was nothing to count."""
        counted = self.total - self._total_then
        if counted == 0:
            raise TimeoutError(f"nothing arrived in {self.task.seconds:g} s")
        return {"total": self.total, "rate": counted / (self._now - self._marked)}


Sockets = dict[int, socket.socket]  # by file descriptor


@contextmanager
def polling(
    sockets: Iterable[socket.socket], events: int = select.EPOLLIN
) -> Iterator[tuple[select.epoll, Sockets]]:
    """An epoll on these sockets, and on stdin: input there ends whatever the agent is doing.

    In the end the sockets are reset, so that unsent data does not go on into the next measurement.
    """
    numbered = {sock.fileno(): sock for sock in sockets}
    try:
        with select.epoll() as poll:
            poll.register(STDIN, select.EPOLLIN)
            for number, sock in numbered.items():
                sock.setblocking(False)
                poll.register(number, events)
            yield poll, numbered
    finally:
        for sock in numbered.values():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()


def listen(task: Task) -> socket.socket:
    family = socket.AF_INET6 if ":" in task.address else socket.AF_INET
    listener = socket.create_server((task.address, task.port), family=family, backlog=1024)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted sockets inherit it
    say({"port": listener.getsockname()[1]})
    return listener


def connect(task: Task) -> socket.socket:
    sock = socket.create_connection((task.address, task.port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def udp_socket(task: Task) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER)
    if task.segmented:
        sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, DATAGRAM)
        sock.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    if task.serves:
        sock.bind((task.address, task.port))
        say({"port": sock.getsockname()[1]})
    else:
        sock.connect((task.address, task.port))
    return sock


def tcp_bulk(task: Task) -> dict[str, float]:
    """`connections` streams one way, as fast as they go. The rate is bytes a second."""
    if task.serves:
        with listen(task) as listener:
            streams = [listener.accept()[0] for _ in range(task.connections)]
    else:
        streams = [connect(task) for _ in range(task.connections)]
    return send_streams(streams) if task.sends else receive_streams(streams, Meter(task))


def send_streams(streams: list[socket.socket]) -> dict[str, float]:
    payload = memoryview(PATTERN * (BULK // len(PATTERN)))
    total = 0
    with polling(streams, select.EPOLLOUT) as (poll, sockets):
        while True:
            for number, _ in poll.poll():
                if number == STDIN:
                    return {"total": total, "rate": 0}
                try:
                    total += sockets[number].send(payload)
                except BlockingIOError:
                    continue
                except (ConnectionResetError, BrokenPipeError):  # the receiver has measured enough
                    poll.unregister(number)


def receive_streams(streams: list[socket.socket], meter: Meter) -> dict[str, float]:
    buffer = bytearray(BULK)
    with polling(streams) as (poll, sockets):
        while meter.running():
            for number, _ in poll.poll(LONGEST_WAIT):
                received = 0 if number == STDIN else sockets[number].recv_into(buffer)
                if not received:
                    raise ConnectionError("the stream ended before its time")
                meter.total += received
    return meter.answer()


def tcp_stall(task: Task) -> dict[str, float]:
    """A stream whose receiver takes nothing for `seconds`, and then all again.

    The "rate" is the seconds from its return to the first byte that did not wait in its socket: by
    then the stall has ended for the whole way.
    """
    if task.serves:
        with listen(task) as listener:
            stream = listener.accept()[0]
    else:
        stream = connect(task)
    if task.sends:
        return send_streams([stream])
    with stream:
        total = receive_for(stream, task.warm_up)
        time.sleep(task.seconds)
        waiting = struct.unpack("i", fcntl.ioctl(stream, termios.FIONREAD, bytes(4)))[0]
        returned = time.perf_counter()
        while waiting >= 0:
            received = len(stream.recv(BULK))
            if not received:
                raise ConnectionError("the stream ended before its time")
            waiting -= received
        restarted = time.perf_counter() - returned
        total += receive_for(stream, task.warm_up)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return {"total": total, "rate": restarted}


def receive_for(stream: socket.socket, seconds: float) -> int:
    """The bytes that come within so many seconds, and the first if it is late."""
    ends, total = time.monotonic() + seconds, 0
    while not total or time.monotonic() < ends:
        total += len(stream.recv(BULK))
    return total


def udp_bulk(task: Task) -> dict[str, float]:
    """Datagrams one way, as fast as they go; what is lost is lost. The rate is bytes a second.

    A connecting receiver says hello until data comes, so that the server learns where to send.
    """
    sock = udp_socket(task)
    with polling([sock]) as (poll, _):
        if task.serves:
            arrived = {number for number, _ in poll.poll(GRACE)}
            if sock.fileno() not in arrived:
                raise TimeoutError(f"no datagram arrived in {GRACE:g} s")
        if task.sends:
            if task.serves:
                sock.connect(sock.recvfrom(DATAGRAM)[1])
            return send_datagrams(sock, task)
        if not task.serves:
            say_hello(sock, poll)
        return receive_datagrams(sock, poll, Meter(task))


def say_hello(sock: socket.socket, poll: select.epoll) -> None:
    for _ in range(int(GRACE / RESEND_AFTER)):
        sock.send(b"hello")
        if poll.poll(RESEND_AFTER):
            return
    raise TimeoutError(f"no datagram arrived in {GRACE:g} s")


def send_datagrams(sock: socket.socket, task: Task) -> dict[str, float]:
    payload = (PATTERN * SEGMENTS * 6)[: DATAGRAM * (SEGMENTS if task.segmented else 1)]
    total = 0
    while not select.select([STDIN], [], [], 0)[0]:
        for _ in range(BATCH):
            try:
                total += sock.send(payload)
            except BlockingIOError:
                select.select([STDIN], [sock], [], LONGEST_WAIT)
            except ConnectionRefusedError:  # the receiver has closed: stdin will tell soon
                break
    return {"total": total, "rate": 0}


def receive_datagrams(sock: socket.socket, poll: select.epoll, meter: Meter) -> dict[str, float]:
    buffer = bytearray(BULK)
    while meter.running():
        if poll.poll(LONGEST_WAIT):
            with suppress(BlockingIOError):
                for _ in range(BATCH):
                    meter.total += sock.recv_into(buffer)
    return meter.answer()


def tcp_exchange(task: Task) -> dict[str, float]:
    """Requests and responses on each of `connections`. The rate is exchanges a second."""
    if task.serves:
        return echo_streams(task)
    with polling([connect(task) for _ in range(task.connections)]) as (poll, sockets):
        meter = Meter(task)
        for _ in exchanges(poll, sockets, list(sockets), meter):
            pass
    return meter.answer()


def exchanges(
    poll: select.epoll, sockets: Sockets, asking: Iterable[int], meter: Meter
) -> Iterator[int]:
    """Have these sockets ask, and ask again, and count the responses; the number of each."""
    request, buffer = bytes(MESSAGE), bytearray(MESSAGE)
    missing = dict.fromkeys(asking, MESSAGE)
    for number in missing:
        sockets[number].send(request)
    while meter.running():
        for number, _ in poll.poll(LONGEST_WAIT, BATCH):
            received = 0 if number == STDIN else sockets[number].recv_into(buffer)
            if not received:
                raise ConnectionError("the connection ended before its time")
            missing[number] -= received
            if not missing[number]:
                missing[number] = MESSAGE
                meter.total += 1
                yield number
                sockets[number].send(request)


def tcp_crowd(task: Task) -> dict[str, float]:
    """Requests and responses on one of `connections`; the others are idle."""
    if task.serves:
        return echo_streams(task)
    opened, moments = [], [time.monotonic()]
    for _ in range(task.connections):
        opened.append(connect(task))
        moments.append(time.monotonic())
    tenth = max(task.connections // 10, 1)
    first, last = moments[tenth] - moments[0], moments[-1] - moments[-1 - tenth]
    with polling(opened) as (poll, sockets):
        meter = Meter(task)
        for _ in exchanges(poll, sockets, [opened[len(opened) // 2].fileno()], meter):
            pass
        answer = meter.answer()
        say({"first": first / tenth, "last": last / tenth})
        select.select([STDIN], [], [])
    return answer


def tcp_latency(task: Task) -> dict[str, float]:
    """Requests and responses on each of `connections`. The "rate" is the median time of one, in
    seconds. The stream beside them has processes of its own, for the exchanges not to wait there.
    """
    if task.serves:
        if not task.beside:
            return echo_streams(task)
        listener = listen(task)
        with listener.accept()[0] as stream, streaming(stream, task):
            return echo(listener)
    with ExitStack() as ending:
        if task.beside:
            stream = ending.enter_context(connect(task))
            ending.enter_context(streaming(stream, task))
        streams = [connect(task) for _ in range(task.connections)]
        poll, sockets = ending.enter_context(polling(streams))
        meter, took = Meter(task), list[float]()
        asked = dict.fromkeys(sockets, time.perf_counter())
        for number in exchanges(poll, sockets, list(sockets), meter):
            now = time.perf_counter()
            if meter.warm:
                took.append(now - asked[number])
            asked[number] = now
        return {"total": meter.total, "rate": median(took)}


@contextmanager
def streaming(stream: socket.socket, task: Task) -> Iterator[None]:
    """A process that sends or receives on `stream` as fast as it goes. It ends with the block, or
    by itself in time.
    """
    process = os.fork()
    if not process:
        signal.setitimer(signal.ITIMER_REAL, task.longest)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        buffer = bytearray(BULK)
        with suppress(OSError):
            while stream.send(buffer) if task.sends else stream.recv_into(buffer):
                pass
        os._exit(0)
    try:
        yield
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def tcp_connect(task: Task) -> dict[str, float]:
    """Connect, one request and response, close; again. The rate is connections a second."""
    if task.serves:
        return echo_streams(task)
    request, buffer = bytes(MESSAGE), bytearray(MESSAGE)
    meter = Meter(task)
    while meter.running() and meter.total < MOST_CONNECTIONS:
        with socket.socket() as sock:
            sock.connect((task.address, task.port))
            sock.send(request)
            if sock.recv_into(buffer, MESSAGE, socket.MSG_WAITALL) != MESSAGE:
                raise ConnectionError("the connection ended before its response")
        meter.total += 1
    return meter.answer()


def echo_streams(task: Task) -> dict[str, float]:
    """Accept whoever comes and send back what they say, until stdin speaks."""
    return echo(listen(task))


def echo(listener: socket.socket) -> dict[str, float]:
    total = 0
    with polling([listener]) as (poll, sockets):
        while True:
            for number, _ in poll.poll(-1, BATCH):
                sock = sockets.get(number)
                if sock is None:  # stdin
                    return {"total": total, "rate": 0}
                if sock is listener:
                    accepted, _ = listener.accept()
                    accepted.setblocking(False)
                    sockets[accepted.fileno()] = accepted
                    poll.register(accepted.fileno(), select.EPOLLIN)
                    continue
                with suppress(ConnectionError):
                    if data := sock.recv(BULK):
                        total += sock.send(data)
                        continue
                sockets.pop(number).close()


def udp_exchange(task: Task) -> dict[str, float]:
    """Requests and responses, asked again when lost. The rate is exchanges a second."""
    with udp_socket(task) as sock:
        if task.serves:
            return echo_datagrams(sock)
        patience = struct.pack("ll", 0, int(RESEND_AFTER * 1e6))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, patience)
        meter = Meter(task)
        while meter.running():
            request = meter.total.to_bytes(8, "big") + bytes(MESSAGE - 8)
            sock.send(request)
            with suppress(BlockingIOError):
                while sock.recv(MESSAGE) != request:  # an answer that was given up too early
                    pass
                meter.total += 1
        return meter.answer()


def echo_datagrams(sock: socket.socket) -> dict[str, float]:
    total = 0
    with polling([sock]) as (poll, _):
        while STDIN not in {number for number, _ in poll.poll()}:
            data, sender = sock.recvfrom(MESSAGE)
            total += sock.sendto(data, sender)
    return {"total": total, "rate": 0}


def default_route(routes: str) -> tuple[str, str]:
    """The device and the gateway of the default route in /proc/net/route, or two empty strings."""
    for line in routes.splitlines()[1:]:
        device, destination, gateway = line.split()[:3]
        if destination == "00000000" and gateway != "00000000":
            return device, socket.inet_ntoa(struct.pack("=I", int(gateway, 16)))
    return "", ""


def surroundings() -> dict[str, str]:
    device, gateway = default_route(Path("/proc/net/route").read_text())
    if not device:
        return {"gateway": "", "mtu": "0"}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sI12x", device.encode(), 0)  # struct ifreq, netdevice(7)
        answer = fcntl.ioctl(sock, SIOCGIFMTU, request)
    return {"gateway": gateway, "mtu": str(struct.unpack_from("I", answer, 16)[0])}


WORK: dict[Kind, Callable[[Task], dict[str, float]]] = {
    "tcp_bulk": tcp_bulk,
    "tcp_stall": tcp_stall,
    "udp_bulk": udp_bulk,
    "tcp_exchange": tcp_exchange,
    "udp_exchange": udp_exchange,
    "tcp_connect": tcp_connect,
    "tcp_crowd": tcp_crowd,
    "tcp_latency": tcp_latency,
}


def say(answer: dict[str, float] | dict[str, str]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def out_of_time(_signal: int, _frame: object) -> None:
    raise TimeoutError("the other end did not answer in time")


def main() -> None:
    signal.signal(signal.SIGALRM, out_of_time)
    say(surroundings())
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    processors = sorted(os.sched_getaffinity(0))
    with open(STDIN, "rb", buffering=0) as lines:  # unbuffered: epoll must see what is not read yet
        while line := lines.readline():
            if not line.strip():
                continue
            task = Task.from_json(line)
            own = [processors[0 if task.serves else -1]]
            os.sched_setaffinity(0, own if task.apart else processors)
            signal.setitimer(signal.ITIMER_REAL, task.longest)
            try:
                say(WORK[task.kind](task))
            except OSError as error:
                say({"error": str(error)})
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    main()
