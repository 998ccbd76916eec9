"""Accepting: what fails, and for how many there is room."""

import errno
import os
import socket
from collections.abc import Iterator

import pytest

from rootlessnet.host.listener import Listener
from tests.host.world import LOOPBACK, FarEnd, HostReactor, port_of


class Listening(socket.socket):
    """Fails with `error` once, unless that is 0; who would have been accepted waits."""

    error = 0

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        if self.error:
            error, self.error = self.error, 0
            raise OSError(error, os.strerror(error))
        return super().accept()


class Serving:
    """A listener whose clients only ever wait."""

    def __init__(self, reactor: HostReactor, far_end: FarEnd) -> None:
        self.clients: list[socket.socket] = []
        self.most = 10
        self.told = 0
        self.socket = Listening(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.socket.bind((LOOPBACK, 0))
        self.socket.listen()
        self.listener = Listener(
            reactor,
            self.socket,
            lambda client, _address: self.clients.append(client),
            lambda: len(self.clients) >= self.most,
            self._tell,
        )
        self._far_end = far_end

    def call(self) -> None:
        self._far_end.connect(LOOPBACK, port_of(self.socket))

    def close(self) -> None:
        self.listener.close()
        for client in self.clients:
            client.close()

    def _tell(self) -> None:
        self.told += 1


@pytest.fixture
def serving(reactor: HostReactor, far_end: FarEnd) -> Iterator[Serving]:
    made = Serving(reactor, far_end)
    yield made
    made.close()


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_the_kernel_has_no_room(reactor: HostReactor, serving: Serving, error: int) -> None:
    serving.socket.error = error
    serving.call()
    reactor.let_run()
    assert serving.clients == []
    assert serving.told == 1
    assert reactor.time_is_up() == 1
    reactor.wait(lambda: serving.clients, "the client")


def test_one_that_went_away_hides_no_other(serving: Serving) -> None:
    serving.socket.error = errno.ECONNABORTED
    serving.call()
    serving.listener.accept_all()
    assert len(serving.clients) == 1
    assert serving.told == 0


def test_no_more_are_accepted_than_there_is_room_for(
    reactor: HostReactor, serving: Serving
) -> None:
    serving.most = 2
    for _ in range(3):
        serving.call()
    serving.listener.accept_all()
    assert len(serving.clients) == 2
    reactor.let_run()
    assert len(serving.clients) == 2
    assert serving.told == 1
    serving.most = 3
    assert reactor.time_is_up() == 1
    reactor.wait(lambda: len(serving.clients) == 3, "the third")
