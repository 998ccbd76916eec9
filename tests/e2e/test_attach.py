"""A network for a namespace that exists: by process, by path, and what is refused."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from rootlessnet.config import AttachConfig, NetworkConfig
from rootlessnet.errors import RootlessnetError
from rootlessnet.netns.attach import attach
from tests.e2e.family import PATIENCE, Family

pytestmark = pytest.mark.usefixtures("needs_namespaces")


@pytest.fixture
def target(family: Family) -> Iterator[int]:
    """A process in namespaces of its own."""
    words = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", "echo; exec cat"]
    with subprocess.Popen(
        words, env=family.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


def inside(target: int, *command: str) -> str:
    """What a command says in the target's namespaces."""
    enter = [
        "nsenter",
        "--target",
        str(target),
        "--user",
        "--preserve-credentials",
        "--net",
        *command,
    ]
    return subprocess.run(enter, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("by_path", [False, True])
def test_attach(target: int, by_path: bool) -> None:
    config = AttachConfig(target)
    if by_path:
        config = AttachConfig(f"/proc/{target}/ns/net", f"/proc/{target}/ns/user")
    attachment = attach(config)
    tap = attachment.receive_tap()
    try:
        assert "10.0.2.100/24" in inside(target, "ip", "address", "show", "dev", "tap0")
        assert "default via 10.0.2.2" in inside(target, "ip", "route")
        assert tap.mac.hex(":") in inside(target, "ip", "link", "show", "dev", "tap0")
        assert not attachment.gone()
        os.kill(target, signal.SIGKILL)
        await_end_of_namespace(tap.fd)
        assert attachment.gone() is not by_path
    finally:
        attachment.close()
        os.close(tap.fd)


def await_end_of_namespace(tap: int) -> None:
    """The TAP must say that its device is gone, though we hold it."""
    poll = select.poll()
    poll.register(tap, select.POLLIN)
    os.set_blocking(tap, False)
    deadline = time.monotonic() + PATIENCE
    while True:
        assert time.monotonic() < deadline
        for _, event in poll.poll(1000):
            if event & select.POLLERR:
                return
            with suppress(BlockingIOError):
                os.read(tap, 65536)


def failure(config: AttachConfig) -> str:
    """The line that says why attaching failed."""
    with pytest.raises(RootlessnetError) as caught, closing(attach(config)) as attachment:
        attachment.receive_tap()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_attach_fails(target: int, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    user = f"/proc/{target}/ns/user"
    assert "does not exist" in failure(AttachConfig(2**22 + 1))
    assert "No such file" in failure(AttachConfig(str(tmp_path / "none")))
    assert "Invalid argument" in failure(AttachConfig(str(plain)))
    assert "Invalid argument" in failure(AttachConfig(user, user))
    if os.geteuid() != 0:
        assert "not permitted" in failure(AttachConfig(1))
        assert "--userns-path" in failure(AttachConfig(f"/proc/{target}/ns/net"))


def test_attach_to_what_is_taken(target: int) -> None:
    attachment = attach(AttachConfig(target))
    tap = attachment.receive_tap()
    other = NetworkConfig(cidr=IPv4Network("10.0.3.0/24"))
    same_address = NetworkConfig(tap_name="tap1")
    other_name = NetworkConfig(cidr=IPv4Network("10.0.3.0/24"), tap_name="tap1")
    assert "--tap-name" in failure(AttachConfig(target, network=other))
    assert "--cidr" in failure(AttachConfig(target, network=same_address))
    assert "default route" in failure(AttachConfig(target, network=other_name))
    assert "tap1" not in inside(target, "ip", "link")
    attachment.close()
    os.close(tap.fd)
