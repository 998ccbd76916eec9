"""The server against clients of every kind: whatever one of them does, the others are answered."""

import asyncio
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from rootlessnet.bounds import DEFAULTS
from rootlessnet.config import RunConfig
from rootlessnet.control import clients
from rootlessnet.control import server as server_module
from rootlessnet.control.description import InstanceDescription, describe
from rootlessnet.control.protocol import Info, Publish, Stop, Withdraw, encode_request
from rootlessnet.control.server import REQUEST_SIZE, Server, is_allowed
from rootlessnet.control.state import claim, peer_of
from rootlessnet.errors import RootlessnetError
from rootlessnet.forward import Forward, parse_forwards
from rootlessnet.log import Log
from tests.control.world import TAKEN, Clients

INFO = encode_request(Info())


class FakeInstance:
    """Stands for app.Instance."""

    def __init__(self) -> None:
        self.published: tuple[Forward, ...] = (Forward(80, 80),)
        self.host_ip: IPv4Address | None = None
        self.words: tuple[str, ...] = ("sleep", "5")
        self.terminated: list[float] = []
        self.at_the_end: Callable[[], None] = lambda: None

    def describe(self) -> InstanceDescription:
        ports = tuple(map(str, self.published))
        return describe(RunConfig(self.words), "web", os.getpid(), 1.5, ports)

    def publish(self, *forwards: Forward | str) -> tuple[Forward, ...]:
        wanted = tuple(one for word in forwards for one in parse_forwards(str(word)))
        if any(one.host_port == TAKEN for one in wanted):
            raise RootlessnetError("the port is taken: take another")
        self.published += wanted
        return wanted

    def placed(self, forward: Forward) -> Forward:
        return forward if forward.host_address else replace(forward, host_address=self.host_ip)

    def withdraw(self, forward: Forward) -> None:
        self.published = tuple(one for one in self.published if one != forward)

    def terminate(self, seconds: float) -> None:
        self.terminated.append(seconds)
        self.at_the_end()


class World(Clients):
    """A server, and the clients that the test makes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, folder: Path, ending: ExitStack) -> None:
        super().__init__(loop, str(folder / "web.sock"), ending)
        claimed = claim("web")
        assert claimed is not None
        self.instance = FakeInstance()
        self.lines: list[str] = []  # of the log
        log = Log(lambda _level, text: self.lines.append(text))
        self.server = Server(loop, claimed, self.instance, log=log)
        self.claimed = claimed

    def hear(self, client: socket.socket) -> object:
        """The answer, and the end."""
        received = b"".join(self.receive(client))
        value: object = json.loads(received) if received else None
        return value

    def ask(self, request: bytes) -> object:
        return self.hear(self.client(request))


@pytest.fixture
def world(loop: asyncio.AbstractEventLoop, folder: Path) -> Iterator[World]:
    with ExitStack() as ending:
        made = World(loop, folder, ending)
        yield made
        made.server.close()
        assert list(folder.iterdir()) == []
        made.let_run()


def name_of(answer: object) -> object:
    match answer:
        case {"result": {"name": name}}:
            return name
    return answer


# What is asked for


def test_a_description(world: World) -> None:
    expected = json.loads(json.dumps(world.instance.describe().as_json()))
    assert world.ask(INFO) == {"result": expected}


def test_ports_come_and_go(world: World) -> None:
    answer = world.ask(encode_request(Publish(("81:81", "[::1]:82:82/udp"))))
    assert answer == {"result": ["81:81/tcp", "[::1]:82:82/udp"]}
    answer = world.ask(encode_request(Withdraw(("80:80", "81:81/tcp", "81:81"))))
    assert answer == {"result": ["80:80/tcp", "81:81/tcp"]}
    assert [str(forward) for forward in world.instance.published] == ["[::1]:82:82/udp"]


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (Publish(("81:81", f"{TAKEN}:1")), "the port is taken"),
        (Publish(("81:81", "http")), "http"),
        (Withdraw(("80:80", "81:81")), "cannot withdraw 81:81/tcp: it is not published"),
        (Withdraw(("80:80", "0")), "0"),
        (Publish(("1025", "0:1-1024")), "cannot find host ports for 1025 ports at once"),
        (Publish(3000 * ("1-65535:1-65535",)), "a request has 65536 ports at most"),
        (Withdraw(3000 * ("1-65535:1-65535",)), "a request has 65536 ports at most"),
    ],
    ids=range(7),
)
def test_all_or_none(world: World, request_: Publish | Withdraw, said: str) -> None:
    answer = world.ask(encode_request(request_))
    assert isinstance(answer, dict)
    assert said in answer["error"]
    assert world.instance.published == (Forward(80, 80),)


def test_the_answer_to_a_stop_comes_at_the_end(world: World) -> None:
    client = world.client(encode_request(Stop(3)))
    world.run_until(lambda: world.instance.terminated)
    assert world.instance.terminated == [3]
    assert name_of(world.ask(INFO)) == "web"
    with pytest.raises(BlockingIOError):
        client.recv(1)
    world.server.close()
    assert world.hear(client) == {"result": None}


def test_who_waits_for_the_end_may_take_its_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "PATIENCE", 0.05)
    waiting = world.client(encode_request(Stop(3)))
    world.run_until(lambda: world.instance.terminated)
    assert world.hear(world.client()) is None  # who came later, and whose time is up
    world.server.close()
    assert world.hear(waiting) == {"result": None}


def test_an_end_within_the_request_to_stop(world: World) -> None:
    """As without a command."""
    world.instance.at_the_end = world.server.close
    assert world.ask(encode_request(Stop(0))) == {"result": None}


def test_the_name_is_free_when_the_end_is_told(world: World, folder: Path) -> None:
    client = world.client(encode_request(Stop(0)))
    world.run_until(lambda: world.instance.terminated)
    world.server.close()
    assert client.recv(100)
    again = claim("web")
    assert again is not None
    again.release()


# Clients without manners


@pytest.mark.parametrize("request_", [b"\n", b"hello\n", b"\xff\xfe\n", b"GET / HTTP/1.1\r\n\r\n"])
def test_a_malformed_request(world: World, request_: bytes) -> None:
    answer = world.ask(request_)
    assert isinstance(answer, dict)
    assert "is not known" in answer["error"]


def test_a_request_without_end(world: World) -> None:
    client = world.client()
    sent = 0
    while sent <= REQUEST_SIZE:
        sent += client.send(b"x" * (REQUEST_SIZE // 2))
        world.let_run()
    answer = world.hear(client)
    assert isinstance(answer, dict)
    assert "too long" in answer["error"]


def test_a_request_in_pieces(world: World) -> None:
    client = world.client()
    for byte in INFO:
        world.loop.run_until_complete(asyncio.sleep(0))
        client.sendall(bytes([byte]))
    assert name_of(world.hear(client)) == "web"


def test_who_goes_away(world: World) -> None:
    for sends in (b"", INFO[:5], INFO, encode_request(Stop(1))):
        world.client(sends).close()
        world.let_run()
    assert name_of(world.ask(INFO)) == "web"


def test_who_closes_for_writing_after_its_request(world: World) -> None:
    client = world.client(INFO)
    client.shutdown(socket.SHUT_WR)
    assert name_of(world.hear(client)) == "web"


def test_the_silent_hurt_nobody(world: World) -> None:
    """More than there is room for: the first of them go."""
    silent = [world.client() for _ in range(DEFAULTS.control_clients + 5)]
    assert name_of(world.ask(INFO)) == "web"
    assert world.hear(silent[0]) is None
    with pytest.raises(BlockingIOError):
        silent[-1].recv(1)


def test_who_waits_for_the_end_goes_last(world: World) -> None:
    waiting = world.client(encode_request(Stop(1)))
    for _ in range(DEFAULTS.control_clients + 5):
        world.client()
    assert name_of(world.ask(INFO)) == "web"
    world.server.close()
    assert world.hear(waiting) == {"result": None}


def test_many_at_once_are_all_answered(world: World) -> None:
    crowd = [world.client(INFO) for _ in range(100)]
    assert {name_of(world.hear(client)) for client in crowd} == {"web"}


def test_the_silent_and_the_slow_are_sent_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "PATIENCE", 0.05)
    world.instance.words = ("x" * 4_000_000,)
    slow = world.client(INFO)
    silent = world.client()
    assert world.hear(silent) is None
    received = 0
    while piece := slow.recv(1 << 20):  # what the buffers held, and the end
        received += len(piece)
    assert received < 4_000_000


def test_who_was_answered_has_all_the_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """So has whoever has its descriptor now."""
    monkeypatch.setattr(server_module, "PATIENCE", 0.05)
    assert name_of(world.ask(INFO)) == "web"
    for _ in range(2):  # a callback that fails would fail the test
        assert world.hear(world.client()) is None


def test_a_long_answer_goes_on_while_it_is_read(world: World) -> None:
    world.instance.words = ("x" * 4_000_000,)
    answer = world.ask(INFO)
    assert name_of(answer) == "web"


def test_who_asks_for_more_while_it_waits_is_sent_away(world: World) -> None:
    client = world.client(encode_request(Stop(1)))
    world.run_until(lambda: world.instance.terminated)
    client.sendall(INFO)
    assert world.hear(client) is None


def test_another_user_is_sent_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "is_allowed", lambda user: user != os.geteuid())
    assert world.ask(INFO) is None


def test_the_socket_is_removed(world: World) -> None:
    """It is told once; the instance goes on."""
    world.server._look_for_socket()
    assert world.lines == []
    (left,) = Path(world.claimed.folder).glob("*.sock")
    left.unlink()
    world.server._look.cancel()
    world.server._look_for_socket()
    (told,) = world.lines
    assert told.startswith("the control socket of 'web' was removed: ")
    assert world.server._look.cancelled()


def test_who_is_allowed() -> None:
    mine, theirs = socket.socketpair()
    with mine, theirs:
        process, user = peer_of(mine)
    assert process == os.getpid()
    assert is_allowed(user)
    assert not is_allowed(user + 1)


def test_descriptors_used_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client waits until there is one again."""
    monkeypatch.setattr(clients, "_RETRY", 0.01)
    client = world.client(INFO)

    def hears_nothing() -> None:
        with pytest.raises(BlockingIOError):
            client.recv(1)

    world.starve(hears_nothing)
    assert name_of(world.hear(client)) == "web"
