"""The API socket of slirp4netns: published ports for the programs that know no other way.

A client connects, sends one JSON object and reads one, in a single write. The request ends with the
object, or where the client shuts down its side. The members of what it has in `execute` say what is
wanted: `add_hostfwd`, `list_hostfwd` and `remove_hostfwd` are slirp4netns's own, as its clients use
them; `ps`, `port_ls`, `port_add`, `port_rm` are what `rootlessnet ps` and `rootlessnet port` do.

    {"execute": "add_hostfwd", "arguments": {"proto": "tcp", "host_port": 8080, "guest_port": 80}}
    {"return": {"id": 1}}

The ids are those of all published ports, however they came to be.

Read: slirp4netns(1), API SOCKET; RFC 8259.
"""

import asyncio
import json
import re
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address
from itertools import count

from rootlessnet.bounds import DEFAULTS
from rootlessnet.control import requests
from rootlessnet.control.clients import MORE, Answer, Clients
from rootlessnet.control.protocol import Info, Publish, Withdraw, texts
from rootlessnet.control.requests import Controlled
from rootlessnet.errors import RootlessnetError, UsageError
from rootlessnet.forward import PORTS, WRITTEN, Forward
from rootlessnet.socket_file import SocketFile
from rootlessnet.words import HostAddress, address_or_none, require_single_host

PATIENCE = 60.0  # seconds from a client's connect to its answer: it may be typing
LIMIT = 4096  # bytes of a request, from which on it is too large

_BACKLOG = 128
_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")
_ANY_4 = IPv4Address("0.0.0.0")


class BadRequest(RootlessnetError):
    """What is wrong with a request, in slirp4netns's words."""

    def __init__(self, description: str) -> None:
        super().__init__(f"bad request: {description}")


class Api:
    """Answers on the loop from now on until it is closed."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        path: str,
        instance: Controlled,
        guest: HostAddress,
        most: int = DEFAULTS.control_clients,
    ) -> None:
        """`guest` is the address of a port that names none, `most` that of `Clients`. Raises
        RootlessnetError for a path that cannot be.
        """
        self._file = SocketFile(path, socket.SOCK_STREAM, _BACKLOG)
        self._clients = Clients(loop, self._file.listening, Objects(instance, guest), most)

    @property
    def folder(self) -> str:
        """As of a SocketFile."""
        return self._file.folder

    def close(self) -> None:
        """Remove the socket and leave all clients. Idempotent."""
        self._clients.close()
        self._clients.leave()
        self._file.close()


class Objects:
    """The conversation: JSON objects."""

    def __init__(self, instance: Controlled, guest: HostAddress) -> None:
        self._instance = instance
        self._guest = guest
        self._ids: dict[Forward, int] = {}
        self._next = count(1)

    @property
    def patience(self) -> float:
        return PATIENCE

    def is_welcome(self, user: int) -> bool:
        """Whoever may connect may ask: the modes of the file and its folder say who."""
        return user >= 0

    def farewell(self) -> bytes:
        return b""  # nobody waits for it

    def answer(self, received: bytes, *, complete: bool) -> Answer:
        try:
            if len(received) >= LIMIT:
                raise BadRequest("too large message")
            answer = self._execute(_decode(received))
        except (ValueError, RecursionError):  # no UTF-8, no JSON, a nesting without end
            if not complete:
                return MORE
            answer = {"error": {"desc": str(BadRequest("cannot parse JSON"))}}
        except RootlessnetError as error:
            answer = {"error": {"desc": str(error)}}
        return json.dumps(answer, separators=(",", ":")).encode()

    def _execute(self, request: object) -> dict[str, object]:
        name, arguments = _read(request)
        self._forget_the_withdrawn()
        match name:
            case "add_hostfwd":
                return {"return": {"id": self._add(arguments)}}
            case "list_hostfwd":
                # Its manual has them within `return`, the program has them beside it.
                entries = list(self._entries())
                return {"return": {"entries": entries}, "entries": entries}
            case "remove_hostfwd":
                self._remove(arguments.get("id"))
                return {"return": {}}
            case "ps":
                return {"return": requests.perform(Info(), self._instance)}
            case "port_ls":
                return {"return": {"ports": list(map(str, self._instance.published))}}
            case "port_add":
                ports = requests.perform(Publish(_ports(arguments)), self._instance)
                return {"return": {"ports": ports}}
            case "port_rm":
                ports = requests.perform(Withdraw(_ports(arguments)), self._instance)
                return {"return": {"ports": ports}}
        raise BadRequest("unknown execute")

    def _add(self, arguments: dict[str, object]) -> int:
        forward = _forward(arguments)
        if forward.guest_address == self._guest:
            forward = _forward({**arguments, "guest_addr": ""})  # one form for one thing
        try:
            (published,) = self._instance.publish(forward)
        except RootlessnetError as error:
            if isinstance(error, UsageError) and forward.guest_address is not None:
                raise _bad("guest_addr") from None  # all else of it was judged before
            raise BadRequest(f"add_hostfwd: slirp_add_hostfwd failed: {error}") from None
        return self._id(published)

    def _remove(self, wanted: object) -> None:
        for forward in self._instance.published:
            if self._id(forward) == _whole(wanted):
                self._instance.withdraw(forward)
                return
        raise BadRequest("remove_hostfwd: bad arguments.id")

    def _entries(self) -> Iterator[dict[str, object]]:
        for forward in self._instance.published:
            yield {
                "id": self._id(forward),
                "proto": forward.protocol,
                "host_addr": str(forward.host_address or "0.0.0.0"),
                "host_port": forward.host_port,
                "guest_addr": str(forward.guest_address or self._guest),
                "guest_port": forward.guest_port,
            }

    def _forget_the_withdrawn(self) -> None:
        """Ports go in other ways too. No id is given twice."""
        published = set(self._instance.published)
        self._ids = {one: number for one, number in self._ids.items() if one in published}

    def _id(self, forward: Forward) -> int:
        if forward not in self._ids:
            self._ids[forward] = next(self._next)
        return self._ids[forward]


def _decode(received: bytes) -> object:
    """The first value in it. Raises ValueError, RecursionError as long as there is none."""
    text = received.decode()
    start = _SPACE.match(text)
    assert start is not None
    value: object = _DECODER.raw_decode(text, start.end())[0]
    return value


def _read(request: object) -> tuple[str, dict[str, object]]:
    """What is to be executed, and its arguments. Raises BadRequest."""
    match request:
        case {"execute": str() as name, "arguments": dict() as arguments}:
            return name, arguments
        case {"execute": str() as name}:
            return name, {}
    raise BadRequest("no execute found")


def _forward(arguments: dict[str, object]) -> Forward:
    """What is to be published. Raises BadRequest that names the first argument at fault."""
    word = arguments.get("proto")
    if not isinstance(word, str) or word not in WRITTEN:
        raise _bad("proto")
    protocol, wildcard = WRITTEN[word]
    host = _address(arguments, "host_addr") or wildcard or _ANY_4
    if wildcard is not None and host.version != wildcard.version:
        raise _bad("host_addr")
    host_port = _port(arguments, "host_port")
    guest = _address(arguments, "guest_addr")
    return Forward(host_port, _port(arguments, "guest_port"), protocol, host, guest_address=guest)


def _address(arguments: dict[str, object], name: str) -> HostAddress | None:
    """None for one that is missing or empty."""
    word = arguments.get(name)
    if word is None or word == "":
        return None
    address = address_or_none(word) if isinstance(word, str) else None
    if address is None:
        raise _bad(name)
    try:
        require_single_host(address)
    except UsageError:
        raise _bad(name) from None
    return address


def _port(arguments: dict[str, object], name: str) -> int:
    port = _whole(arguments.get(name))
    if port is None or port not in PORTS:
        raise _bad(name)
    return port


def _whole(value: object) -> int | None:
    """JSON has numbers of one kind: 80.0 is 80. `true` is none."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _ports(arguments: dict[str, object]) -> tuple[str, ...]:
    ports = texts(arguments.get("ports"))
    if ports is None:
        raise BadRequest("bad arguments.ports")
    return ports


def _bad(argument: str) -> BadRequest:
    return BadRequest(f"add_hostfwd: bad arguments.{argument}")
