"""A resolver, what the guest asks it, and nameservers that answer as a test says."""

import socket
from ipaddress import ip_address

from rootlessnet.bounds import Bounds
from rootlessnet.host.dns.nameservers import Nameservers
from rootlessnet.host.dns.own_names import OwnNames
from rootlessnet.host.dns.resolver import Resolver
from rootlessnet.stack.host import SocketAddress
from tests.host.world import HostReactor, is_readable

QUESTION = b"\4name\7example\0\0\1\0\1"
QUERY = bytes.fromhex("beef 0100 0001 0000 0000 0000") + QUESTION
ANSWER_FLAGS = 0x8180
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)


def question(name: str, kind: int = 1) -> bytes:
    """A query for a name of one label and .example."""
    label = name.encode()
    asked = bytes((len(label),)) + label + b"\7example\0" + kind.to_bytes(2, "big") + b"\0\1"
    return QUERY[:12] + asked


def answer_to(query: bytes, code: int = NOERROR, text: bytes = b" answered") -> bytes:
    return query[:2] + (ANSWER_FLAGS | code).to_bytes(2, "big") + query[4:] + text


def failure_of(query: bytes, code: int) -> bytes:
    return answer_to(query, code, b"")


EXPECTED = answer_to(QUERY)


class Asked:
    """A resolver, and the answers to what it was asked."""

    def __init__(self, reactor: HostReactor, *servers: SocketAddress, most: int = 100) -> None:
        self.reactor = reactor
        self.nameservers = Nameservers(servers)
        names = OwnNames({"own.example": (ip_address("10.0.2.2"),)})
        self.resolver = Resolver(reactor, self.nameservers, names, Bounds(dns_queries=most))
        self.answers: list[bytes] = []
        reactor.ending.callback(self.resolver.close)

    def ask(self, query: bytes = QUERY) -> "Asked":
        self.resolver.resolve(query, self.answers.append)
        return self

    def ask_by_stream(self, query: bytes = QUERY) -> "Asked":
        self.resolver.resolve_by_stream(query, self.answers.append)
        return self

    def answer(self) -> bytes:
        """The only answer, once it has come."""
        self.reactor.wait(lambda: self.answers, "an answer")
        (answer,) = self.answers
        self.answers.clear()
        return answer

    def reach(self, server: socket.socket) -> None:
        """Wait until a query, or a connection, has reached this nameserver."""
        self.reactor.wait(lambda: is_readable(server), "a query to the next nameserver")


def respond(server: socket.socket, code: int = NOERROR, text: bytes = b" answered") -> None:
    """Answer one query as a nameserver does."""
    query, client = server.recvfrom(65535)
    assert query[2:] == QUERY[2:]
    server.sendto(answer_to(query, code, text), client)


def respond_by_stream(connected: socket.socket, text: bytes = b" answered") -> None:
    """The same on a connection."""
    length = int.from_bytes(connected.recv(2), "big")
    query = connected.recv(length)
    assert query[2:] == QUERY[2:]
    message = answer_to(query, text=text)
    connected.sendall(len(message).to_bytes(2, "big") + message)
