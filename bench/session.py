"""Two agents (bench/workload.py), one in a guest and one on the host, and how to make them measure.

A measurement is a connecting and a serving half of one task, on the two agents. One of them
measures; when it is done the other is told to stop.
"""

import json
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from bench.peers import GUEST_PORT, LOOPBACK, LOOPBACK_6, Peer, free_port
from bench.processes import PATIENCE, BenchError, Child, User, tool_processes
from bench.workload import Task

AGENT = (sys.executable, "-I", "-S", str(Path(__file__).with_name("workload.py").resolve()))
ANY_ADDRESS = "0.0.0.0"


class TaskError(BenchError):
    """An agent says that its half of a task failed."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What the measuring half counted in bytes or exchanges: all, and the steady rate a second."""

    total: float
    rate: float


class Agent:
    """An agent, run by `child` or by something that `child` gave its stdin and stdout."""

    def __init__(self, child: Child) -> None:
        """Wait for its first words. Raises BenchError when they do not come."""
        self._child = child
        surroundings = self._read(PATIENCE)
        self.gateway = str(surroundings["gateway"])
        self.mtu = int(surroundings["mtu"])

    def begin(self, task: Task) -> int:
        """Start a half of a task. Returns the port: for a serving half once it listens."""
        self._child.write_line(task.to_json())
        return int(self._read(PATIENCE)["port"]) if task.serves else task.port

    def finish(self, task: Task) -> Tally:
        """Wait for the end of a half. Raises TaskError when it failed."""
        answer = self._read(task.longest + PATIENCE)
        return Tally(float(answer["total"]), float(answer["rate"]))

    def gathered(self, task: Task) -> tuple[float, float]:
        """Wait until a crowd has been measured; it stays until `stop`. The seconds that each of the
        first tenth of its connections took to open, and each of the last. Raises TaskError.
        """
        answer = self._read(task.longest + PATIENCE)
        return float(answer["first"]), float(answer["last"])

    def stop(self) -> None:
        """End the half that does not measure."""
        self._child.write_line("")

    def _read(self, timeout: float) -> dict[str, str | float]:
        line = self._child.read_line(timeout)
        try:
            answer: dict[str, str | float] = json.loads(line)
        except ValueError:
            raise BenchError(f"the agent said {line!r}, which is no answer") from None
        if "error" in answer:
            raise TaskError(str(answer["error"]))
        return answer


@dataclass(frozen=True, slots=True)
class Half:
    """Where a half of a task runs, and where its server listens or its client connects to.

    Port 0 is any for a server, and the server's for a client.
    """

    agent: Agent
    address: str
    port: int = 0


@dataclass(frozen=True, slots=True)
class Session:
    """A running instance of a peer with its agents. `tool` are its processes, not the guest's."""

    guest: Agent
    host: Agent
    gateway: str  # where the guest reaches the host's loopback
    gateway_6: str | None  # the same by IPv6
    host_port: int  # on the host's loopback, published as guest_port
    guest_port: int
    tool: tuple[int, ...]
    ending: ExitStack

    @classmethod
    def open(cls, peer: Peer, user: User, mtu: int) -> "Session":
        """Start an instance of `peer`. Raises BenchError, and then nothing is left running."""
        with ExitStack() as ending:
            host = Child(AGENT, user)
            ending.callback(host.close)
            port = free_port()
            instance = peer.start(ending, AGENT, mtu, port)
            guest = Agent(instance.guest)
            if instance.tool is None:
                place, tool = (LOOPBACK, peer.gateway_6, port, port), list[int]()
            elif guest.mtu != mtu:
                raise BenchError(f"the MTU inside is {guest.mtu}, not {mtu}")
            else:
                place = (guest.gateway, peer.gateway_6, port, GUEST_PORT)
                tool = tool_processes(instance.tool, AGENT)
            return cls(guest, Agent(host), *place, tuple(tool), ending.pop_all())

    def outbound(self) -> tuple[Half, Half]:
        """Server and client of connections that the guest makes."""
        return Half(self.host, LOOPBACK), Half(self.guest, self.gateway)

    def outbound_6(self) -> tuple[Half, Half]:
        """The same by IPv6, for a peer that has a `gateway_6`."""
        return Half(self.host, LOOPBACK_6), Half(self.guest, self.gateway_6 or "")

    def forwarded(self) -> tuple[Half, Half]:
        """Server and client of connections that the host makes to the published port."""
        return (
            Half(self.guest, ANY_ADDRESS, self.guest_port),
            Half(self.host, LOOPBACK, self.host_port),
        )


def measure(task: Task, server: Half, client: Half) -> Tally:
    """Run both halves; what counts is the receiver's tally of data, the asker's of exchanges.

    `task` is the connecting half; its address and port are filled in here, and the serving half is
    derived from it. Raises BenchError.
    """
    begin(task, server, client)
    server_measures = task.kind.endswith(("bulk", "stall")) and task.sends
    meter, other = (server, client) if server_measures else (client, server)
    tally, failures = None, list[str]()
    try:
        tally = meter.agent.finish(task)
    except TaskError as error:
        failures.append(str(error))
    other.agent.stop()
    try:
        other.agent.finish(task)
    except TaskError as error:
        failures.append(str(error))
    if tally is None:
        raise TaskError("; ".join(dict.fromkeys(failures)))
    return tally


def begin(task: Task, server: Half, client: Half) -> None:
    """Start both halves."""
    serving = replace(
        task, serves=True, sends=not task.sends, address=server.address, port=server.port
    )
    port = server.agent.begin(serving)
    client.agent.begin(replace(task, address=client.address, port=client.port or port))


class Contender:
    """A peer in one round at one MTU, with a session when it needs one.

    After a failure nothing is known about the state of a session: `close` it, and the next
    experiment gets a new one.
    """

    def __init__(self, peer: Peer, user: User, mtu: int) -> None:
        self.peer = peer
        self.mtu = mtu
        self.user = user
        self._session: Session | None = None
        self._refusal: BenchError | None = None

    def session(self) -> Session:
        """Raises BenchError, the same for good, when it cannot be opened."""
        if self._refusal is not None:
            raise self._refusal
        if self._session is None:
            try:
                self._session = Session.open(self.peer, self.user, self.mtu)
            except BenchError as error:
                self._refusal = error
                raise
        return self._session

    def close(self) -> None:
        """End everything that runs. Idempotent."""
        if self._session is not None:
            self._session.ending.close()
            self._session = None
