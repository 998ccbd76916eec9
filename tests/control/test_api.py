"""The API socket against clients of every kind: what they ask, how they ask, how they fail to."""

import asyncio
import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path

import pytest

from rootlessnet.bounds import DEFAULTS
from rootlessnet.config import AttachConfig, NetworkConfig
from rootlessnet.control import api as api_module
from rootlessnet.control.api import LIMIT, Api
from rootlessnet.control.description import InstanceDescription, describe
from rootlessnet.errors import RootlessnetError, UsageError
from rootlessnet.forward import Forward, parse_forwards
from tests.control.world import TAKEN, Clients

LIST = {"execute": "list_hostfwd"}
ADD = {"proto": "tcp", "host_port": 8080, "guest_port": 80}


class FakeInstance:
    """Stands for app.Instance."""

    def __init__(self) -> None:
        self.config = AttachConfig(7)
        self.published: tuple[Forward, ...] = ()

    def describe(self) -> InstanceDescription:
        ports = tuple(map(str, self.published))
        return describe(self.config, "web", os.getpid(), 1.5, ports)

    def publish(self, *forwards: Forward | str) -> tuple[Forward, ...]:
        wanted: list[Forward] = []
        for one in forwards:
            wanted += parse_forwards(one) if isinstance(one, str) else (one,)
        for forward in wanted:
            self.config.network.require_guest(forward)
            if forward.host_port == TAKEN or forward in self.published:
                raise RootlessnetError(f"cannot publish {forward}: the port is taken")
        self.published += tuple(wanted)
        return tuple(wanted)

    def placed(self, forward: Forward) -> Forward:
        return forward

    def withdraw(self, forward: Forward) -> None:
        self.published = tuple(one for one in self.published if one != forward)

    def terminate(self, seconds: float) -> None:
        raise AssertionError(seconds)


class World(Clients):
    """The API of an instance, and the clients that the test makes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, path: Path, ending: ExitStack) -> None:
        super().__init__(loop, str(path), ending)
        self.path = path
        self.instance = FakeInstance()
        self.api = Api(loop, str(path), self.instance, NetworkConfig().guest)

    def hear(self, client: socket.socket) -> object:
        """The answer, which comes in one piece, and the end."""
        match self.receive(client):
            case [piece, b""]:
                answer: object = json.loads(piece)
                return answer
            case [b""]:
                return None
            case pieces:
                raise AssertionError(pieces)

    def ask(self, request: object) -> object:
        return self.hear(self.client(json.dumps(request).encode()))

    def add(self, **arguments: object) -> object:
        return self.ask({"execute": "add_hostfwd", "arguments": ADD | arguments})

    def remove(self, **arguments: object) -> object:
        return self.ask({"execute": "remove_hostfwd", "arguments": arguments})

    def entries(self) -> list[dict[str, object]]:
        answer = self.ask(LIST)
        assert isinstance(answer, dict)
        assert answer == {"return": {"entries": answer["entries"]}, "entries": answer["entries"]}
        entries: list[dict[str, object]] = answer["entries"]
        return entries


@pytest.fixture
def world(loop: asyncio.AbstractEventLoop, runtime: Path) -> Iterator[World]:
    with ExitStack() as ending:
        made = World(loop, runtime / "api.sock", ending)
        ending.callback(made.let_run)
        ending.callback(made.api.close)
        yield made


def error(description: str) -> dict[str, dict[str, str]]:
    return {"error": {"desc": f"bad request: {description}"}}


# ── what slirp4netns's clients ask ───────────────────────────────────────────────────────────────


def test_a_port_comes_and_goes(world: World) -> None:
    assert world.entries() == []
    assert world.add(host_addr="127.0.0.1", guest_addr="10.0.2.100") == {"return": {"id": 1}}
    assert world.instance.published == (Forward(8080, 80, "tcp", ip_address("127.0.0.1")),)
    assert world.add(proto="udp", guest_addr="10.0.2.15") == {"return": {"id": 2}}
    assert world.entries() == [
        {
            "id": 1,
            "proto": "tcp",
            "host_addr": "127.0.0.1",
            "host_port": 8080,
            "guest_addr": "10.0.2.100",
            "guest_port": 80,
        },
        {
            "id": 2,
            "proto": "udp",
            "host_addr": "0.0.0.0",
            "host_port": 8080,
            "guest_addr": "10.0.2.15",
            "guest_port": 80,
        },
    ]
    assert world.remove(id=1) == {"return": {}}
    assert world.remove(id=1) == error("remove_hostfwd: bad arguments.id")
    assert [entry["id"] for entry in world.entries()] == [2]
    assert world.add() == {"return": {"id": 3}}


@pytest.mark.parametrize(
    ("arguments", "forward"),
    [
        ({}, "0.0.0.0:8080:80"),
        ({"host_addr": ""}, "0.0.0.0:8080:80"),
        ({"host_addr": None}, "0.0.0.0:8080:80"),
        ({"guest_addr": ""}, "0.0.0.0:8080:80"),
        ({"guest_addr": "10.0.2.100"}, "0.0.0.0:8080:80"),
        ({"guest_addr": "10.0.2.7"}, "0.0.0.0:8080:[10.0.2.7]:80"),
        ({"proto": "udp"}, "0.0.0.0:8080:80/udp"),
        ({"proto": "tcp4"}, "0.0.0.0:8080:80"),
        ({"proto": "udp4", "host_addr": "127.0.0.1"}, "127.0.0.1:8080:80/udp"),
        ({"proto": "tcp6"}, "[::]:8080:80"),
        ({"proto": "udp6", "host_addr": "::1"}, "[::1]:8080:80/udp"),
        ({"host_addr": "::1"}, "[::1]:8080:80"),
        ({"host_port": 65535, "guest_port": 1}, "0.0.0.0:65535:1"),
    ],
)
def test_what_is_published(world: World, arguments: dict[str, object], forward: str) -> None:
    assert world.add(**arguments) == {"return": {"id": 1}}
    assert world.instance.published == parse_forwards(forward)


@pytest.mark.parametrize(
    ("argument", "values"),
    [
        ("proto", [None, "", "sctp", 6, ["tcp"], "TCP"]),
        ("host_addr", ["localhost", "10.0.2", "::g", 5, [], "224.0.0.1", "fe80::1", "1.2.3.4 "]),
        ("host_port", [None, 0, -1, 65536, 70000, "8080", 80.5, True, [], 1e9]),
        ("guest_addr", ["guest", "192.0.2.1", "10.0.2.2", "10.0.2.3", "10.0.2.255", "::1", 1]),
        ("guest_port", [None, 0, -1, 65536, 70000, "80", False]),
    ],
)
def test_a_bad_argument_is_named(world: World, argument: str, values: list[object]) -> None:
    for value in values:
        assert world.add(**{argument: value}) == error(f"add_hostfwd: bad arguments.{argument}")
    assert world.entries() == []


@pytest.mark.parametrize("argument", list(ADD))
def test_a_missing_argument_is_named(world: World, argument: str) -> None:
    arguments = {name: value for name, value in ADD.items() if name != argument}
    answer = world.ask({"execute": "add_hostfwd", "arguments": arguments})
    assert answer == error(f"add_hostfwd: bad arguments.{argument}")


@pytest.mark.parametrize(
    ("proto", "address"),
    [("tcp4", "::1"), ("udp4", "::1"), ("tcp6", "1.2.3.4"), ("udp6", "1.2.3.4")],
)
def test_an_address_of_another_family(world: World, proto: str, address: str) -> None:
    answer = world.add(proto=proto, host_addr=address)
    assert answer == error("add_hostfwd: bad arguments.host_addr")


def test_what_cannot_be_published_says_why(world: World) -> None:
    failed = "add_hostfwd: slirp_add_hostfwd failed: cannot publish "
    assert world.add(host_port=TAKEN) == error(f"{failed}0.0.0.0:666:80/tcp: the port is taken")
    assert world.add() == {"return": {"id": 1}}
    assert world.add() == error(f"{failed}0.0.0.0:8080:80/tcp: the port is taken")
    assert len(world.entries()) == 1


def test_a_port_of_the_guest_that_leads_elsewhere(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of an instance with `to_host`. The fault is not that of an address nobody gave."""

    def refuse(*_forwards: Forward | str) -> tuple[Forward, ...]:
        raise UsageError("it leads to the host: take another")

    monkeypatch.setattr(world.instance, "publish", refuse)
    failed = "add_hostfwd: slirp_add_hostfwd failed: it leads to the host: take another"
    assert world.add() == error(failed)


@pytest.mark.parametrize("identity", [None, 0, 2, -1, "1", [1], 1.5, True, 1e999])
def test_a_port_that_is_not_there(world: World, identity: object) -> None:
    world.add()
    assert world.remove(id=identity) == error("remove_hostfwd: bad arguments.id")
    assert world.ask({"execute": "remove_hostfwd"}) == error("remove_hostfwd: bad arguments.id")
    assert len(world.entries()) == 1


def test_a_whole_number_may_be_written_as_a_fraction(world: World) -> None:
    assert world.add(host_port=8080.0, guest_port=8e1) == {"return": {"id": 1}}
    assert world.instance.published == parse_forwards("0.0.0.0:8080:80")
    assert world.remove(id=1.0) == {"return": {}}


def test_ports_that_came_and_went_in_other_ways(world: World) -> None:
    """An id is that of one port, and no other gets it."""
    world.instance.publish("1:2")
    (entry,) = world.entries()
    assert (entry["id"], entry["host_addr"], entry["host_port"]) == (1, "0.0.0.0", 1)
    world.instance.withdraw(Forward(1, 2))
    assert world.entries() == []
    assert world.remove(id=1) == error("remove_hostfwd: bad arguments.id")
    world.instance.publish("1:2")
    (entry,) = world.entries()
    assert entry["id"] == 2
    assert world.remove(id=2) == {"return": {}}
    assert world.instance.published == ()


# ── this project's own ───────────────────────────────────────────────────────────────────────────


def test_ps(world: World) -> None:
    world.add()
    answer = world.ask({"execute": "ps"})
    assert answer == {"return": json.loads(json.dumps(world.instance.describe().as_json()))}


def test_port(world: World) -> None:
    def ask(verb: str, *ports: object) -> object:
        return world.ask({"execute": f"port_{verb}", "arguments": {"ports": ports}})

    assert ask("ls") == {"return": {"ports": []}}
    assert ask("add", "8080:80", "1-2:3-4/udp") == {
        "return": {"ports": ["8080:80/tcp", "1:3/udp", "2:4/udp"]}
    }
    assert ask("rm", "1-2:3-4/udp") == {"return": {"ports": ["1:3/udp", "2:4/udp"]}}
    assert ask("ls") == {"return": {"ports": ["8080:80/tcp"]}}
    assert ask("rm", "5:6") == {
        "error": {
            "desc": "cannot withdraw 5:6/tcp: it is not published, rootlessnet port ls has what is"
        }
    }
    assert ask("add", 8080) == error("bad arguments.ports")
    assert world.ask({"execute": "port_add"}) == error("bad arguments.ports")


def test_ports_beyond_what_can_be_found_while_packets_wait(world: World) -> None:
    def add(*ports: str) -> object:
        return world.ask({"execute": "port_add", "arguments": {"ports": ports}})

    answer = add("1-1000", "2001-2025/udp")
    assert isinstance(answer, dict)
    assert "host ports for 1025 ports at once" in answer["error"]["desc"]
    assert world.instance.published == ()
    add("1-1000", "2001-2024/udp", "5001-5200:1-200")
    assert len(world.instance.published) == 1224


# ── clients of every kind ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "request_",
    [
        b"",
        b" ",
        b"hello",
        b"{",
        b'{"execute":"list_hostfwd"',
        b"\xff\xfe",
        b'{"a":"\xff"}',
        b"[" * 3000,
    ],
)
def test_what_is_no_json(world: World, request_: bytes) -> None:
    client = world.client(request_)
    world.let_run()
    client.shutdown(socket.SHUT_WR)
    assert world.hear(client) == error("cannot parse JSON")


@pytest.mark.parametrize(
    "request_", [{}, {"exec": 1}, {"execute": 5}, {"execute": None}, [1], [], "x"]
)
def test_nothing_to_execute(world: World, request_: object) -> None:
    assert world.ask(request_) == error("no execute found")


@pytest.mark.parametrize("request_", [b"5", b"null", b"true"])
def test_a_value_that_is_no_object(world: World, request_: bytes) -> None:
    client = world.client(request_)
    client.shutdown(socket.SHUT_WR)
    assert world.hear(client) == error("no execute found")


def test_something_unknown_to_execute(world: World) -> None:
    assert world.ask({"execute": "quit"}) == error("unknown execute")


@pytest.mark.parametrize("arguments", [None, [], "x", 5])
def test_arguments_that_are_none(world: World, arguments: object) -> None:
    answer = world.ask({"execute": "add_hostfwd", "arguments": arguments})
    assert answer == error("add_hostfwd: bad arguments.proto")


def test_space_before_and_anything_behind(world: World) -> None:
    client = world.client(b'\r\n\t {"execute":"list_hostfwd"}\n more')
    assert world.hear(client) == {"return": {"entries": []}, "entries": []}


def test_a_request_in_pieces(world: World) -> None:
    client = world.client()
    for byte in json.dumps({"execute": "add_hostfwd", "arguments": ADD | {"x": "é}"}}).encode():
        client.sendall(bytes([byte]))
        world.loop.run_until_complete(asyncio.sleep(0))
    assert world.hear(client) == {"return": {"id": 1}}


@pytest.mark.parametrize("size", [LIMIT, 5000, 100_000])
@pytest.mark.parametrize("is_json", [True, False])
def test_a_message_too_large(world: World, size: int, is_json: bool) -> None:
    message = json.dumps(LIST).ljust(size, " ").encode() if is_json else b"x" * size
    client = world.client()
    client.sendall(message[:LIMIT])
    assert world.hear(client) == error("too large message")
    assert world.entries() == []


def test_the_largest_message(world: World) -> None:
    message = json.dumps(LIST | {"x": ""}).encode()
    padding = b"y" * (LIMIT - 1 - len(message))
    message = message.replace(b'""', b'"' + padding + b'"')
    assert len(message) == LIMIT - 1
    assert world.hear(world.client(message)) == {"return": {"entries": []}, "entries": []}


def test_the_silent_and_the_slow_hurt_nobody(world: World) -> None:
    silent, slow = world.client(), world.client(b'{"execute":')
    world.let_run()
    assert world.entries() == []
    for one in (silent, slow):
        with pytest.raises(BlockingIOError):
            one.recv(1)
    slow.sendall(b'"list_hostfwd"}')
    assert world.hear(slow) == {"return": {"entries": []}, "entries": []}


def test_whose_time_is_up_hears_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_module, "PATIENCE", 0.02)
    silent, slow = world.client(), world.client(b'{"execute":')
    assert world.hear(silent) == error("cannot parse JSON")
    assert world.hear(slow) == error("cannot parse JSON")


def test_more_of_them_than_there_is_room_for(world: World) -> None:
    silent = [world.client() for _ in range(DEFAULTS.control_clients + 5)]
    assert world.entries() == []
    assert world.hear(silent[0]) is None
    with pytest.raises(BlockingIOError):
        silent[-1].recv(1)


def test_who_goes_away(world: World) -> None:
    for sends in (b"", b'{"execute":', json.dumps(LIST).encode()):
        world.client(sends).close()
        world.let_run()
    assert world.entries() == []


# ── the socket ───────────────────────────────────────────────────────────────────────────────────


def test_the_socket_is_removed_at_the_end(world: World) -> None:
    waiting = world.client()
    world.let_run()
    assert world.path.is_socket()
    world.api.close()
    world.api.close()
    assert not world.path.exists()
    assert world.hear(waiting) is None


def test_what_a_killed_process_left_is_replaced(world: World) -> None:
    """The older one does not remove what is no longer its own."""
    other = Api(world.loop, str(world.path), FakeInstance(), NetworkConfig().guest)
    world.api.close()
    assert world.path.is_socket()
    assert world.entries() == []
    other.close()
    assert not world.path.exists()


def test_a_file_is_not_replaced(world: World) -> None:
    path = world.path.with_name("file")
    path.write_text("precious")
    with pytest.raises(RootlessnetError) as raised:
        Api(world.loop, str(path), world.instance, NetworkConfig().guest)
    assert str(raised.value) == f"'{path}' is there already, and is no socket: name another file"
    assert path.read_text() == "precious"


def test_a_folder_that_is_not_there(world: World) -> None:
    path = world.path / "none" / "api.sock"
    with pytest.raises(RootlessnetError) as raised:
        Api(world.loop, str(path), world.instance, NetworkConfig().guest)
    assert str(raised.value) == (
        f"cannot make the socket '{path}' (Not a directory): name a file in a folder that is yours"
    )
