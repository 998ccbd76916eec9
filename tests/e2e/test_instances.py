"""Running instances as their users meet them: named, listed, changed while they run, and stopped.

Read: unix(7), signal(7).
"""

import asyncio
import json
import os
import shlex
import signal
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from rootlessnet import RootlessnetError, RunConfig, instances, start
from tests.conftest import find_free_port
from tests.e2e.conftest import ROOTLESSNET, Program, wait_for
from tests.e2e.outside import peer
from tests.e2e.target import make_target
from tests.e2e.test_run import line_of
from tests.e2e.test_tcp import BOTH_WAYS
from tests.host.world import descriptors

pytestmark = pytest.mark.usefixtures("needs_namespaces")

WAIT = ("sh", "-c", "echo ready; exec sleep 1000")
GUEST_PORT = 5000
HERE = "127.0.0.1"
ECHO = peer("tcp", "echo", "0.0.0.0", GUEST_PORT)
CHANGES = 15  # of a port, under load
STREAMS = 4  # that make the load
ATTEMPTS = 100


@pytest.fixture
def folder() -> Path:
    """The state folder, which `nothing_left_behind` gives a place of its own."""
    return Path(os.environ["XDG_RUNTIME_DIR"]) / "rootlessnet"


def listed(rootlessnet: Program) -> list[dict[str, object]]:
    """What `ps --json` says."""
    done = rootlessnet.run("ps", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


def names(rootlessnet: Program) -> list[object]:
    return [one["name"] for one in listed(rootlessnet)]


def said(done: "subprocess.CompletedProcess[str]") -> str:
    """What a program said that has done what it should."""
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def receive(client: socket.socket, count: int) -> bytes:
    """So many bytes, or what there was before the end."""
    received = bytearray()
    while len(received) < count and (piece := client.recv(count - len(received))):
        received += piece
    return bytes(received)


def echoed(port: int, text: bytes = b"hello") -> bytes:
    """What comes back from a published port."""
    with socket.create_connection((HERE, port), 10) as client:
        client.sendall(text)
        return receive(client, len(text))


def is_refused(port: int) -> bool:
    try:
        socket.create_connection((HERE, port), 10).close()
    except ConnectionRefusedError:
        return True
    return False


# The list


def test_what_runs_is_listed(rootlessnet: Program, free_port: int) -> None:
    assert said(rootlessnet.run("ps")).split() == [
        "NAME",
        "PID",
        "AGE",
        "HOST-IP",
        "PORTS",
        "COMMAND",
    ]
    assert listed(rootlessnet) == []
    port = f"{HERE}:{free_port}:80/tcp"
    with rootlessnet.serving("run", "--name", "web", "-p", port, "--", *WAIT) as process:
        (found,) = listed(rootlessnet)
        assert (found["name"], found["pid"]) == ("web", process.pid)
        assert (found["command"], found["ports"]) == (list(WAIT), [port])
        line = said(rootlessnet.run("ps")).splitlines()[1]
        assert line.split()[:2] == ["web", str(process.pid)]
        assert line.endswith(f"  {port}  {shlex.join(WAIT)}")
    assert listed(rootlessnet) == []


def test_an_attachment_is_listed(rootlessnet: Program) -> None:
    with (
        make_target() as target,
        rootlessnet.started("attach", "--name", "ns", str(target.pid)) as process,
    ):
        wait_for(lambda: names(rootlessnet) == ["ns"], "the instance")
        (found,) = listed(rootlessnet)
        assert (found["target"], found["command"]) == (target.pid, None)
        said(rootlessnet.run("stop", "ns"))
        assert process.wait(10) == 0
        assert "tap0" not in target.inside("ip", "link")


def test_many_at_once(rootlessnet: Program) -> None:
    """Each has a name of its own, and all of them are gone in the end."""
    with ExitStack() as ending:
        processes = [
            ending.enter_context(rootlessnet.started("run", "--", "sleep", "1000"))
            for _ in range(8)
        ]
        wait_for(lambda: len(listed(rootlessnet)) == len(processes), "all of them")
        wait_for(lambda: all(one["answers"] for one in listed(rootlessnet)), "their answers")
        assert {one["pid"] for one in listed(rootlessnet)} == {one.pid for one in processes}
        assert len(set(names(rootlessnet))) == len(processes)
        stops = [
            ending.enter_context(rootlessnet.started("stop", str(process.pid)))
            for process in processes
        ]
        assert [one.wait(20) for one in stops] == [0] * len(stops)
        assert [one.wait(20) for one in processes] == [128 + signal.SIGTERM] * len(processes)
    assert listed(rootlessnet) == []


# The state folder


def test_it_is_the_users_alone(rootlessnet: Program, folder: Path) -> None:
    words = shlex.join([*ROOTLESSNET, "run", "--name", "web", "--", *WAIT])
    with Program("sh", "-c", f"umask 0; exec {words}").serving():
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "web.sock").stat().st_mode) == 0o600
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("command", [("true",), ("false",), ("no-such-command-here",)])
def test_nothing_is_left(rootlessnet: Program, folder: Path, command: tuple[str, ...]) -> None:
    rootlessnet.run("run", "--name", "web", "--", *command)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("runtime", ["/proc", "/nonexistent", "a file", "too long"])
def test_where_it_cannot_be_made(
    rootlessnet: Program, runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command runs all the same, unless a name was asked for."""
    if runtime == "a file":
        (tmp_path / runtime).touch()
        runtime = str(tmp_path / runtime)
    elif runtime == "too long":
        (tmp_path / ("x" * 100)).mkdir()
        runtime = str(tmp_path / ("x" * 100))
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    done = rootlessnet.run("run", "--", "echo", "ran")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")
    line = line_of(rootlessnet.run("run", "--name", "web", "--", "echo", "ran"))
    assert "XDG_RUNTIME_DIR" in line


def test_without_a_runtime_directory(rootlessnet: Program) -> None:
    """For a user for whom nobody has made one."""
    user = 1_000_000 + os.getpid()
    place = Path(f"/tmp/rootlessnet-{user}")
    run, listing, stop = (
        shlex.join([*ROOTLESSNET, *words])
        for words in (["run", "--name", "web", "--", "sleep", "1000"], ["ps"], ["stop", "web"])
    )
    script = f"""
        {run} & until {listing} | grep -q sleep; do kill -0 $!; done
        stat -c %a {place} {place}/web.sock; {stop}; wait $! || echo $?
    """
    mapped = ("unshare", "--user", f"--map-user={user}", f"--map-group={user}")
    words = (*mapped, "env", "-u", "XDG_RUNTIME_DIR")
    try:
        assert said(Program(*words, "sh", "-euc", script).run()) == "700\n600\n143\n"
        assert list(place.iterdir()) == []
    finally:
        place.rmdir()


# Names


def test_two_of_one_name(rootlessnet: Program, tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    with rootlessnet.serving("run", "--name", "web", "--", *WAIT):
        line = line_of(rootlessnet.run("run", "--name", "web", "--", "touch", str(witness)))
        assert line == (
            "an instance named 'web' runs already: choose another --name, "
            "or end it with rootlessnet stop web"
        )
        assert not witness.exists()
        assert names(rootlessnet) == ["web"]


def test_of_several_that_want_one_name_one_gets_it(rootlessnet: Program) -> None:
    with ExitStack() as ending:
        rivals = [
            ending.enter_context(rootlessnet.started("run", "--name", "web", "--", "sleep", "1000"))
            for _ in range(4)
        ]
        wait_for(lambda: [one.poll() for one in rivals].count(1) == 3, "the others")
        (winner,) = [one.pid for one in rivals if one.poll() is None]
        wait_for(lambda: [one["pid"] for one in listed(rootlessnet)] == [winner], "the winner")


@pytest.mark.parametrize("identity", ["nobody", "", "1", "../web"])
def test_who_does_not_run(rootlessnet: Program, identity: str) -> None:
    with rootlessnet.serving("run", "--name", "web", "--", *WAIT):
        for words in (["port", "ls"], ["stop"]):
            line = line_of(rootlessnet.run(*words, identity))
            assert line == f"no instance {identity!r} runs: rootlessnet ps shows those that do"


@pytest.mark.parametrize("action", ["ps", "run", "stop"])
def test_a_killed_instance(rootlessnet: Program, folder: Path, free_port: int, action: str) -> None:
    """Its ports are free at once, and what it left is removed by the next that comes."""
    words = ("run", "--name", "web", "-p", f"{HERE}:{free_port}:80", "--", *WAIT)
    with rootlessnet.serving(*words) as process:
        process.kill()
        process.wait(10)
        assert is_refused(free_port)
        assert (folder / "web.sock").exists()
        if action == "run":
            with rootlessnet.serving(*words) as successor:
                assert [one["pid"] for one in listed(rootlessnet)] == [successor.pid]
        elif action == "stop":
            assert "no instance 'web' runs" in line_of(rootlessnet.run("stop", "web"))
        else:
            assert listed(rootlessnet) == []
        assert list(folder.iterdir()) == []


# Ports


@pytest.mark.parametrize("way", ["name", "prefix", "pid"])
def test_ports_are_added_and_removed(rootlessnet: Program, way: str) -> None:
    one, other = find_free_port(), find_free_port()
    with rootlessnet.serving("run", "--name", "web", "--", *ECHO) as process:
        web = {"name": "web", "prefix": "w", "pid": str(process.pid)}[way]
        assert said(rootlessnet.run("port", "ls", web)) == ""
        first, second = f"{HERE}:{one}:{GUEST_PORT}/tcp", f"{HERE}:{other}:{GUEST_PORT}/tcp"
        added = said(rootlessnet.run("port", "add", web, first, second.removesuffix("/tcp")))
        assert added == f"{first}\n{second}\n"
        assert said(rootlessnet.run("port", "ls", web)) == added
        assert echoed(one) == echoed(other) == b"hello"
        assert said(rootlessnet.run("port", "rm", web, first)) == ""
        assert is_refused(one)
        assert echoed(other) == b"hello"
        assert said(rootlessnet.run("port", "ls", web)) == f"{second}\n"


def test_a_port_that_is_left_open_is_told(rootlessnet: Program) -> None:
    with rootlessnet.serving("run", "--name", "web", "--", *ECHO):
        added = said(rootlessnet.run("port", "add", "web", f"{HERE}::{GUEST_PORT}"))
        port = int(added.split(":")[1])
        assert added == f"{HERE}:{port}:{GUEST_PORT}/tcp\n"
        assert echoed(port) == b"hello"
        said(rootlessnet.run("port", "rm", "web", added.strip()))
        assert is_refused(port)


def test_ports_that_cannot_be_had_or_are_not_there(rootlessnet: Program, free_port: int) -> None:
    """All of them or none."""
    port = f"{HERE}:{free_port}:{GUEST_PORT}"
    with (
        rootlessnet.serving("run", "--name", "web", "--", *ECHO),
        socket.create_server((HERE, 0)) as holder,
    ):
        taken = holder.getsockname()[1]
        line = line_of(rootlessnet.run("port", "add", "web", port, f"{HERE}:{taken}:1"))
        assert f"port {taken} is in use" in line
        assert is_refused(free_port)
        said(rootlessnet.run("port", "add", "web", port))
        line = line_of(rootlessnet.run("port", "rm", "web", port, f"{HERE}:{taken}:1"))
        assert f"cannot withdraw {HERE}:{taken}:1/tcp: it is not published" in line
        assert echoed(free_port) == b"hello"


class Load:
    """A stream through a port that is sent back, for as long as nobody stops it."""

    def __init__(self, port: int) -> None:
        self.echoed = 0
        self.fault: str | None = None
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        piece = os.urandom(1 << 16)
        try:
            with socket.create_connection((HERE, self._port), 10) as client:
                while not self._stop.is_set():
                    client.sendall(piece)
                    if receive(client, len(piece)) != piece:
                        self.fault = "something else came back"
                        return
                    self.echoed += len(piece)
        except OSError as error:
            self.fault = repr(error)


@contextmanager
def under_load(port: int) -> Iterator[list[Load]]:
    """In the block; no stream may have failed, and each has made progress in the end."""
    loads = [Load(port) for _ in range(STREAMS)]
    try:
        wait_for(lambda: all(load.echoed or load.fault for load in loads), "the streams")
        yield loads
        before = [load.echoed for load in loads]
        wait_for(
            lambda: all(
                load.fault or load.echoed > then for load, then in zip(loads, before, strict=True)
            ),
            "progress of the streams",
        )
    finally:
        for load in loads:
            load.stop()
    assert [load.fault for load in loads] == [None] * STREAMS


@pytest.mark.parametrize("options", BOTH_WAYS, ids=["splice", "no-splice"])
def test_changes_hurt_no_connection_of_another_port(
    rootlessnet: Program, options: tuple[str, ...]
) -> None:
    """Nor one that stands of the port that is changed."""
    busy, changing = find_free_port(), find_free_port()
    port = f"{HERE}:{changing}:{GUEST_PORT}"
    words = ("run", *options, "--name", "web", "-p", f"{HERE}:{busy}:{GUEST_PORT}", "--", *ECHO)
    with rootlessnet.serving(*words), under_load(busy):
        for _ in range(CHANGES):
            said(rootlessnet.run("port", "add", "web", port))
            with socket.create_connection((HERE, changing), 10) as client:
                client.sendall(b"before")
                assert receive(client, 6) == b"before"
                said(rootlessnet.run("port", "rm", "web", port))
                assert is_refused(changing)
                client.sendall(b"after")
                assert receive(client, 5) == b"after"


def test_clients_without_manners_hurt_nobody(rootlessnet: Program, folder: Path) -> None:
    """Silent, malformed, endless: the network and other clients go on."""
    port = find_free_port()
    words = ("run", "--name", "web", "-p", f"{HERE}:{port}:{GUEST_PORT}", "--", *ECHO)
    with rootlessnet.serving(*words), under_load(port), ExitStack() as ending:
        for number in range(ATTEMPTS):
            client = ending.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(folder / "web.sock"))
            client.settimeout(10)
            try:
                client.sendall((b"", b"{", b"\n", b"x" * 100_000)[number % 4])
            except (BrokenPipeError, ConnectionResetError):
                continue  # so it has been sent away already
        assert names(rootlessnet) == ["web"]
        assert echoed(port) == b"hello"


# The end


def test_a_command_is_told_to_end(rootlessnet: Program, free_port: int, folder: Path) -> None:
    """When `stop` returns, the name and the ports are free."""
    script = "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.02; done"
    port = f"{HERE}:{free_port}:80"
    with rootlessnet.serving("run", "--name", "web", "-p", port, "sh", "-c", script) as process:
        assert said(rootlessnet.run("stop", "web")) == ""
        assert is_refused(free_port)
        assert list(folder.iterdir()) == []
        assert process.wait(10) == 7
        assert process.stdout is not None
        assert process.stdout.read() == "bye\n"


@pytest.mark.parametrize("seconds", ["0", "0.1"])
@pytest.mark.parametrize("options", [(), ("--no-pid",)], ids=["pid", "no-pid"])
def test_a_command_that_does_not_listen_is_killed(
    rootlessnet: Program, seconds: str, options: tuple[str, ...]
) -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 0.02; done"
    words = ("run", "--name", "web", *options, "--", "sh", "-c", script)
    with rootlessnet.serving(*words) as process:
        said(rootlessnet.run("stop", "--time", seconds, "web"))
        assert process.wait(10) == 128 + signal.SIGKILL


def test_a_process_that_is_stopped(
    rootlessnet: Program, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is listed, and what it is asked for is done when it continues."""
    with rootlessnet.serving("run", "--name", "web", "--", *WAIT) as process:
        process.send_signal(signal.SIGSTOP)
        (found,) = listed(rootlessnet)
        assert (found["name"], found["pid"], found["answers"]) == ("web", process.pid, False)
        with rootlessnet.started("stop", "web") as stop:
            process.send_signal(signal.SIGCONT)
            assert stop.wait(20) == 0
        assert process.wait(10) == 128 + signal.SIGTERM


# From Python


def test_the_instances_of_a_program() -> None:
    """They answer on its loop, so it asks in another thread."""

    async def program() -> None:
        before = descriptors()
        one = await start(RunConfig(("sleep", "1000"), name="one"))
        other = await start(RunConfig(("sleep", "1000")))
        try:
            assert (one.name, one.published) == ("one", ())
            found = await asyncio.to_thread(instances)
            assert {(each.name, each.pid) for each in found} == {
                ("one", os.getpid()),
                (other.name, os.getpid()),
            }
            with pytest.raises(RootlessnetError, match="'one' runs already"):
                await start(RunConfig(("sleep", "1000"), name="one"))
            one.terminate(10)
            assert await one.wait() == 128 + signal.SIGTERM
            one.stop()
            (left,) = await asyncio.to_thread(instances)
            assert left.name == other.name
            (await start(RunConfig(("true",), name="one"))).stop()
        finally:
            one.stop()
            other.stop()
        assert instances() == []
        assert len(descriptors()) == len(before)

    asyncio.run(program())


def test_without_a_state_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/proc")

    async def program() -> None:
        instance = await start(RunConfig(("true",)))
        try:
            assert instance.name is None
            assert await instance.wait() == 0
        finally:
            instance.stop()
        with pytest.raises(RootlessnetError, match="XDG_RUNTIME_DIR"):
            await start(RunConfig(("true",), name="web"))

    asyncio.run(program())
