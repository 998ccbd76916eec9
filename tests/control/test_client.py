"""The client against instances that answer as they should, oddly, or not at all."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from rootlessnet.config import RunConfig
from rootlessnet.control import client
from rootlessnet.control.description import describe
from rootlessnet.control.protocol import encode_error, encode_result
from rootlessnet.control.state import Claim, claim
from rootlessnet.errors import RootlessnetError
from tests.control.test_state import leave_stale
from tests.host.world import no_descriptor_left

Answer = Callable[[bytes], bytes]


class Fakes:
    """Instances with one line of behaviour each."""

    def __init__(self, ending: ExitStack) -> None:
        self._ending = ending

    def silent(self, name: str) -> Claim:
        """Runs, and answers nobody."""
        claimed = claim(name)
        assert claimed is not None
        self._ending.callback(claimed.release)
        return claimed

    def answering(self, name: str, answer: Answer | None = None) -> None:
        """Answers every request with what `answer` makes of it, by default a description."""
        claimed = self.silent(name)
        claimed.listening.setblocking(True)
        described = describe(RunConfig(("true",)), name, os.getpid(), 1.5, ("80:80/tcp",))
        line = encode_result(described.as_json())
        thread = threading.Thread(
            target=_serve, args=(claimed.listening, answer or (lambda _: line))
        )
        thread.start()
        self._ending.callback(thread.join)
        self._ending.callback(claimed.listening.shutdown, socket.SHUT_RDWR)


def _serve(listening: socket.socket, answer: Answer) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:  # it was shut down
            return
        with connection:
            if request := connection.recv(1 << 17):
                connection.sendall(answer(request))


@pytest.fixture
def fakes() -> Iterator[Fakes]:
    with ExitStack() as ending:
        yield Fakes(ending)


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """For those who wait in vain."""
    monkeypatch.setattr(client, "PATIENCE", 0.2)
    monkeypatch.setattr(client, "LISTING", 0.2)


def test_none_runs(folder: Path) -> None:
    assert client.instances() == []
    assert not folder.exists()


def test_those_that_run(fakes: Fakes, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LISTING", 10.0)
    fakes.answering("web")
    fakes.answering("db")
    stale = leave_stale(folder, "dead")
    found = client.instances()
    assert [one.name for one in found] == ["db", "web"]
    assert {one.pid for one in found} == {os.getpid()}
    assert found[0].command == ("true",)
    assert not stale.exists()
    assert client.ports("db") == ("80:80/tcp",)


@pytest.mark.parametrize("answer", [b"x\n", encode_error("no"), encode_result(1)])
def test_odd_answers_and_none(fakes: Fakes, answer: bytes) -> None:
    """What the socket alone tells is said all the same."""
    fakes.answering("odd", lambda _: answer)
    fakes.silent("silent")
    found = client.instances()
    assert [(one.name, one.pid, one.answers) for one in found] == [
        ("odd", os.getpid(), False),
        ("silent", os.getpid(), False),
    ]
    assert abs(found[0].started - found[1].started) < 60


def test_one_that_ends_meanwhile(fakes: Fakes) -> None:
    fakes.answering("web", lambda _: b"")
    assert client.instances() == []
    with pytest.raises(RootlessnetError, match="hung up: try again"):
        client.ports("web")


def test_more_wait_than_can(fakes: Fakes) -> None:
    claimed = fakes.silent("web")
    claimed.listening.listen(0)
    with socket.socket(socket.AF_UNIX) as first:
        first.connect(claimed.listening.getsockname())
        (found,) = client.instances()
        assert (found.name, found.answers) == ("web", False)
        with pytest.raises(RootlessnetError, match="does not answer"):
            client.ports("web")


def test_no_descriptor_left(fakes: Fakes) -> None:
    fakes.silent("web")
    with no_descriptor_left():
        for ask in (client.instances, lambda: client.ports("web")):
            with pytest.raises(RootlessnetError, match=r"raise the limit \(ulimit -n\)"):
                ask()


# Its name in a report is the same in every process that collects the tests.
OUR_PID = pytest.param(str(os.getpid()), id="process")


@pytest.mark.parametrize("identity", ["web", "we", "web-2", OUR_PID])
def test_what_names_one(fakes: Fakes, identity: str) -> None:
    """A whole name goes before the beginning of another."""
    fakes.answering("web-2" if identity == "web-2" else "web")
    if identity == "web":
        fakes.silent("web-2")
    assert client.ports(identity) == ("80:80/tcp",)


@pytest.mark.parametrize(
    ("identity", "said"),
    [
        ("", "no instance '' runs: rootlessnet ps shows"),
        ("dead", "no instance 'dead' runs"),
        ("webx", "no instance 'webx' runs"),
        ("0", "no instance '0' runs"),
        ("9" * 5000, "no instance '9999"),
        ("a/../web", "no instance 'a/../web' runs"),
        ("web", "'web' stands for web-1, web-2: write the whole name of one"),
        pytest.param(str(os.getpid()), f"'{os.getpid()}' stands for web-1, web-2", id="process"),
    ],
)
def test_what_names_none_or_several(fakes: Fakes, folder: Path, identity: str, said: str) -> None:
    fakes.silent("web-1")
    fakes.silent("web-2")
    leave_stale(folder, "dead")
    with pytest.raises(RootlessnetError) as failed:
        client.ports(identity)
    assert str(failed.value).startswith(said)


def test_an_error_is_the_instances_own(fakes: Fakes) -> None:
    fakes.answering("web", lambda _: encode_error("the port is taken: take another"))
    with pytest.raises(RootlessnetError, match="the port is taken: take another"):
        client.publish("web", ("80:80",))


def test_one_that_does_not_answer(fakes: Fakes) -> None:
    fakes.silent("web")
    with pytest.raises(RootlessnetError, match=f"continue it with kill -CONT {os.getpid()}"):
        client.withdraw("web", ("80:80",))


def test_one_that_dies_when_it_is_stopped(fakes: Fakes, folder: Path) -> None:
    def die(_: bytes) -> bytes:
        (folder / "web.sock").unlink()
        return b""

    fakes.answering("web", die)
    client.stop("web", 0)


def test_one_that_hangs_up_on_a_stop_and_runs(fakes: Fakes) -> None:
    fakes.answering("web", lambda _: b"")
    with pytest.raises(RootlessnetError, match="hung up"):
        client.stop("web", 0)
