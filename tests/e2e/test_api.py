"""The public Python API: what a program does with guests of its own.

Each test is a program: it runs on the loop that asyncio gives everybody. None may leave a
descriptor, a child or a task behind.
"""

import asyncio
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest

import rootlessnet
from rootlessnet import (
    AttachConfig,
    CommandError,
    Forward,
    Instance,
    NetworkConfig,
    RootlessnetError,
    RunConfig,
    UsageError,
    attach,
    start,
)
from rootlessnet.host import reactor
from rootlessnet.netns import processes
from tests.e2e.conftest import Program, needs, wait_for
from tests.e2e.target import Target, make_target
from tests.host.world import descriptors, no_descriptor_left

pytestmark = pytest.mark.usefixtures("needs_namespaces")

FOREVER = ("sleep", "1000")
GUEST_PORT = 5000
# Sends back what comes on a TCP and a UDP port; makes the file that it is given once it does.
ECHO = """
import pathlib, socket, sys, threading

def echo(connection):
    while piece := connection.recv(65536):
        connection.sendall(piece)

listener = socket.create_server(("", int(sys.argv[1])))
bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
bound.bind(("", int(sys.argv[1])))

def datagrams():
    while True:
        bound.sendto(*bound.recvfrom(65536))

threading.Thread(target=datagrams, daemon=True).start()
pathlib.Path(sys.argv[2]).touch()
while True:
    threading.Thread(target=echo, args=listener.accept()[:1], daemon=True).start()
"""


def finish(program: Coroutine[object, object, None]) -> None:
    """Run the program on a loop. It leaves nothing open and no child."""
    before = descriptors()
    asyncio.run(program)
    assert descriptors() == before
    assert not list(processes.children())


@contextmanager
def stopped(instance: Instance) -> Iterator[Instance]:
    """At the end of the block."""
    try:
        yield instance
    finally:
        instance.stop()


async def start_echo(ready: Path, *forwards: Forward) -> Instance:
    """A guest that echoes on GUEST_PORT."""
    command = (sys.executable, "-c", ECHO, str(GUEST_PORT), str(ready))
    instance = await start(RunConfig(command, NetworkConfig(forwards=forwards)))
    await asyncio.to_thread(wait_for, ready.exists, "the guest")
    return instance


async def tcp_echo(port: int) -> bytes:
    """What comes back through a published port."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"over TCP")
        return await reader.readexactly(8)
    finally:
        writer.close()
        await writer.wait_closed()


async def udp_echo(port: int) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.connect(("127.0.0.1", port))
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(client, b"over UDP")
        return await loop.sock_recv(client, 100)


# Starting, waiting, stopping


@pytest.mark.parametrize(("script", "status"), [("exit 7", 7), ("kill -TERM $$", 143)])
def test_a_command_to_its_end(script: str, status: int) -> None:
    async def program() -> None:
        with stopped(await start(RunConfig(("sh", "-c", script)))) as instance:
            assert await instance.wait() == status
            assert await instance.wait() == status

    finish(program())


def test_stopping_ends_the_command() -> None:
    async def program() -> None:
        instance = await start(RunConfig(FOREVER))
        waiting = asyncio.create_task(instance.wait())
        await asyncio.sleep(0)
        instance.stop()
        instance.stop()
        assert await waiting == 0
        assert await instance.wait() == 0

    finish(program())


def test_waiting_can_be_given_up(tmp_path: Path) -> None:
    async def program() -> None:
        go = tmp_path / "go"
        script = f"while ! [ -e {go} ]; do sleep 0.02; done; exit 6"
        with stopped(await start(RunConfig(("sh", "-c", script)))) as instance:
            waiting = asyncio.create_task(instance.wait())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            go.touch()
            assert await instance.wait() == 6

    finish(program())


def test_two_guests_at_once(tmp_path: Path) -> None:
    """Each has its own network: the same addresses and ports inside do not meet."""

    async def program() -> None:
        one, other = await asyncio.gather(
            start_echo(tmp_path / "one"), start_echo(tmp_path / "other")
        )
        with stopped(one), stopped(other):
            ports = [publish(instance) for instance in (one, other)]
            assert [await tcp_echo(port) for port in ports] == [b"over TCP"] * 2
            one.stop()
            assert await tcp_echo(ports[1]) == b"over TCP"

    finish(program())


@pytest.mark.parametrize("turns", [0, 1, 2, 5])
def test_starting_can_be_given_up(turns: int) -> None:
    """After a few turns of the loop; start-up takes a hundred milliseconds."""

    async def program() -> None:
        starting = asyncio.create_task(start(RunConfig(FOREVER)))
        for _ in range(turns):
            await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert not list(processes.children())

    finish(program())


# Ports


def publish(instance: Instance) -> int:
    """A port of the host that now leads to GUEST_PORT."""
    (found,) = instance.publish(f"127.0.0.1::{GUEST_PORT}")
    return found.host_port


def test_ports_come_and_go(tmp_path: Path, free_port: int) -> None:
    async def program() -> None:
        first = Forward(free_port, GUEST_PORT)
        with stopped(await start_echo(tmp_path / "ready", first)) as instance:
            assert await tcp_echo(free_port) == b"over TCP"
            (second,) = instance.publish(Forward(free_port, GUEST_PORT, "udp"))
            assert await udp_echo(free_port) == b"over UDP"
            reader, writer = await asyncio.open_connection("127.0.0.1", free_port)
            writer.write(b"before")
            assert await reader.readexactly(6) == b"before"
            instance.withdraw(first)
            with pytest.raises(ConnectionRefusedError):
                await tcp_echo(free_port)
            writer.write(b"after")  # what stands goes on
            assert await reader.readexactly(5) == b"after"
            writer.close()
            await writer.wait_closed()
            assert await udp_echo(free_port) == b"over UDP"
            instance.withdraw(second)
            with pytest.raises(ConnectionRefusedError):
                await udp_echo(free_port)
            with pytest.raises(RootlessnetError, match="is not published"):
                instance.withdraw(second)
            assert instance.publish(f"{free_port}:{GUEST_PORT}") == (first,)
            assert await tcp_echo(free_port) == b"over TCP"

    finish(program())


def test_free_ports_have_their_numbers(tmp_path: Path) -> None:
    async def program() -> None:
        config = (Forward(0, GUEST_PORT), Forward(0, GUEST_PORT, "udp"))
        with stopped(await start_echo(tmp_path / "ready", *config)) as instance:
            tcp, udp = instance.published
            assert (tcp.guest_port, tcp.protocol) == (GUEST_PORT, "tcp")
            assert (udp.guest_port, udp.protocol) == (GUEST_PORT, "udp")
            assert await tcp_echo(tcp.host_port) == b"over TCP"
            assert await udp_echo(udp.host_port) == b"over UDP"
            more = instance.publish(f"{GUEST_PORT}/udp", Forward(0, GUEST_PORT), "80-81")
            assert instance.published == (tcp, udp, *more)
            assert [one.guest_port for one in more] == [GUEST_PORT, GUEST_PORT, 80, 81]
            assert await udp_echo(more[0].host_port) == b"over UDP"
            assert await tcp_echo(more[1].host_port) == b"over TCP"
            for one in more:
                instance.withdraw(one)
            assert instance.published == (tcp, udp)

    finish(program())


def test_ports_that_cannot_be_had(free_port: int) -> None:
    async def program() -> None:
        with (
            socket.create_server(("127.0.0.1", free_port)),
            stopped(await start(RunConfig(FOREVER))) as instance,
        ):
            with pytest.raises(RootlessnetError, match=f"port {free_port} is in use"):
                instance.publish(f"127.0.0.1:{free_port}:80")
            with pytest.raises(UsageError, match="from 1 to 65535"):
                instance.publish("80", "80:0")
            with pytest.raises(RootlessnetError, match=f"port {free_port} is in use"):
                instance.publish("80", "53/udp", f"127.0.0.1:{free_port}:80")
            assert instance.published == ()

    finish(program())


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_no_port_after_the_end(free_port: int, protocol: str) -> None:
    async def program() -> None:
        instance = await start(RunConfig(FOREVER))
        (forward,) = instance.publish(f"{free_port}:80/{protocol}")
        instance.stop()
        with pytest.raises(RootlessnetError, match="has ended"):
            instance.publish(forward)
        with pytest.raises(RootlessnetError, match="is not published"):
            instance.withdraw(forward)
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        with socket.socket(socket.AF_INET, kind) as other:
            other.bind(("0.0.0.0", free_port))

    finish(program())


# A namespace that exists


@needs("ping")
@pytest.mark.parametrize("by_path", [False, True], ids=["pid", "path"])
def test_a_namespace_to_its_end(target: Target, by_path: bool) -> None:
    async def program() -> None:
        config = AttachConfig(target.network, target.user) if by_path else AttachConfig(target.pid)
        with stopped(await attach(config)) as instance:
            await asyncio.to_thread(target.inside, "ping", "-c1", "10.0.2.2")
            os.kill(target.pid, signal.SIGKILL)
            assert await instance.wait() == 0

    before = descriptors()
    asyncio.run(program())
    assert descriptors() == before


def test_stopping_leaves_the_namespace(target: Target) -> None:
    async def program() -> None:
        instance = await attach(AttachConfig(target.pid))
        assert "tap0" in target.inside("ip", "link")
        instance.stop()
        assert await instance.wait() == 0
        assert "tap0" not in target.inside("ip", "link")

    asyncio.run(program())


# What cannot be


@pytest.mark.parametrize(
    ("begin", "said"),
    [
        (lambda: start(RunConfig(("/none",))), "command '/none' not found"),
        (lambda: attach(AttachConfig(2**22 + 1)), "does not exist"),
        (lambda: attach(AttachConfig("/dev/null")), "cannot enter"),
    ],
    ids=["command", "process", "path"],
)
def test_a_failure_leaves_nothing(
    begin: Callable[[], Coroutine[object, object, Instance]], said: str
) -> None:
    async def program() -> None:
        with pytest.raises(RootlessnetError, match=said):
            await begin()

    finish(program())


def test_the_exit_status_of_a_failure() -> None:
    async def program() -> None:
        with pytest.raises(CommandError) as failed:
            await start(RunConfig(("/none",)))
        assert failed.value.exit_status == 127

    finish(program())


def test_a_port_that_is_taken_starts_nothing(free_port: int, tmp_path: Path) -> None:
    """Nor does the one before it stay published."""
    here = ip_address("127.0.0.1")
    forwards = (Forward(free_port, 1, "udp", here), Forward(free_port, 1, "tcp", here))
    ran = tmp_path / "ran"

    async def program() -> None:
        config = RunConfig(("touch", str(ran)), NetworkConfig(forwards=forwards))
        with pytest.raises(RootlessnetError, match=f"port {free_port} is in use"):
            await start(config)

    with socket.create_server(("127.0.0.1", free_port)):
        finish(program())
    assert not ran.exists()


@pytest.mark.parametrize(
    "begin",
    [lambda: start(RunConfig(FOREVER)), lambda: attach(AttachConfig(os.getpid()))],
    ids=["start", "attach"],
)
def test_no_descriptor_to_be_had(begin: Callable[[], Coroutine[object, object, Instance]]) -> None:
    async def program() -> None:
        with no_descriptor_left(), pytest.raises(RootlessnetError, match="ulimit -n"):
            await begin()

    finish(program())


@pytest.mark.parametrize("name", ["epoll", "epoll_ctl"])
def test_the_system_refuses_what_the_network_needs(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the guest's processes are there already."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    async def program() -> None:
        with pytest.raises(RootlessnetError, match="Cannot allocate memory"):
            await start(RunConfig(FOREVER))

    if name == "epoll":
        monkeypatch.setattr(reactor, "epoll", refuse)
    else:
        monkeypatch.setattr(reactor.Reactor, "add", refuse)
    finish(program())


# From beginning to end


def run_program(text: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return Program(sys.executable, "-c", text, *arguments).run()


RUN = """
import sys
from rootlessnet import RunConfig, run

status = run(RunConfig(tuple(sys.argv[1:])))
print(status, status.signal)
"""


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 5", "5 None\n"),
        ("kill -TERM $$", "143 None\n"),
        ("kill -TERM $(cut -d' ' -f4 /proc/$PPID/stat); exec sleep 1000", "143 None\n"),
        ("kill -INT $(cut -d' ' -f4 /proc/$PPID/stat); exec sleep 1000", "130 2\n"),
    ],
    ids=["exit", "signal", "signal to us", "interrupt to us"],
)
def test_run(script: str, said: str) -> None:
    """The signals of this process reach the command, and it is told which one ended that."""
    text = RUN.replace("RunConfig(tuple(sys.argv[1:]))", OWN_PIDS)
    done = run_program(text, "sh", "-c", script)
    assert (done.stdout, done.stderr) == (said, "")


OWN_PIDS = "RunConfig(tuple(sys.argv[1:]), pid_namespace=False)"


def test_a_run_imports_what_it_uses() -> None:
    """Each of these would take its share of every start, and of the memory of every instance."""
    imported = "print(*sys.modules.keys() - before)"
    text = RUN.replace("import sys", "import sys\n\nbefore = set(sys.modules)")
    done = run_program(f"{text}\n{imported}", "true")
    modules = set(done.stdout.splitlines()[-1].split())
    assert {"rootlessnet.netns.launch", "rootlessnet.host.tap"} <= modules
    foreign = {"argparse", "dns", "json", "pathlib", "pwd", "pytun", "shutil", "tempfile"}
    own = {
        *("cli", "control.api", "control.client", "control.description", "netns.attach"),
        *("netns.given", "netns.prerequisites", "netns.sandbox", "host.frame_link"),
        *("host.loopback_address", "host.own_addresses", "host.port_holder", "host.publish_all"),
        *("host.report", "host.sock_diag", "host.to_host", "stack.dhcp", "stack.dhcpv6"),
        *("stack.router", "wire.dhcp", "wire.dhcpv6", "socket_file"),
    }
    assert not (foreign | {f"rootlessnet.{one}" for one in own}) & modules


def test_garbage_is_looked_for_from_the_first_packet_on() -> None:
    text = RUN.replace("import sys", "import gc, sys\n\ngc.disable()")
    assert run_program(f"{text}\nprint(gc.isenabled())", "true").stdout == "0 None\nTrue\n"


def test_serve() -> None:
    text = """
import sys
from rootlessnet import AttachConfig, serve

print(serve(AttachConfig(int(sys.argv[1]))))
"""
    with (
        make_target() as target,
        Program(sys.executable, "-c", text).started(str(target.pid)) as process,
    ):
        wait_for(lambda: "default" in target.inside("ip", "route"), "the network")
        os.kill(target.pid, signal.SIGKILL)
        assert process.wait(10) == 0
        assert process.stdout is not None
        assert process.stdout.read() == "0\n"


BLOCKING: list[Callable[[], object]] = [
    lambda: rootlessnet.run(RunConfig(FOREVER)),
    lambda: rootlessnet.serve(AttachConfig(os.getpid())),
]


@pytest.mark.parametrize("call", BLOCKING, ids=["run", "serve"])
def test_not_where_a_loop_runs(call: Callable[[], object]) -> None:
    async def program() -> None:
        with pytest.raises(RootlessnetError, match=r"await rootlessnet\.(start|attach)"):
            call()

    finish(program())


@pytest.mark.parametrize("call", BLOCKING, ids=["run", "serve"])
def test_not_in_another_thread(call: Callable[[], object]) -> None:
    said: list[str] = []

    def work() -> None:
        try:
            call()
        except RootlessnetError as error:
            said.append(str(error))

    before = descriptors()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "main thread" in said[0]
    assert descriptors() == before
    assert not list(processes.children())


def test_every_name_of_the_api_is_there() -> None:
    for name in rootlessnet.__all__:
        assert getattr(rootlessnet, name).__name__ == name
    with pytest.raises(AttributeError):
        getattr(rootlessnet, "none")  # noqa: B009  # not one that mypy knows
