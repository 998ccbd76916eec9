"""A network for a namespace that exists: by process, by path, and what is refused."""

import os
import select
import signal
import time
from contextlib import closing, suppress
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from rootlessnet.config import AttachConfig, NetworkConfig
from rootlessnet.errors import RootlessnetError
from rootlessnet.netns.attach import attach
from rootlessnet.netns.tap import Tap
from tests.e2e.conftest import PATIENCE
from tests.e2e.target import Target

pytestmark = pytest.mark.usefixtures("needs_namespaces")


@pytest.mark.parametrize("by_path", [False, True])
def test_attach(target: Target, by_path: bool) -> None:
    config = AttachConfig(target.pid)
    if by_path:
        config = AttachConfig(target.network, target.user)
    attachment = attach(config)
    tap = attachment.receive_link()
    assert isinstance(tap, Tap)
    try:
        assert "10.0.2.100/24" in target.inside("ip", "address", "show", "dev", "tap0")
        assert "default via 10.0.2.2" in target.inside("ip", "route")
        assert tap.mac.hex(":") in target.inside("ip", "link", "show", "dev", "tap0")
        assert not attachment.gone()
        os.kill(target.pid, signal.SIGKILL)
        await_end_of_namespace(tap.fd)
        assert attachment.gone()
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
        attachment.receive_link()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_attach_fails(target: Target, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    user = target.user
    assert "does not exist" in failure(AttachConfig(2**22 + 1))
    assert "No such file" in failure(AttachConfig(str(tmp_path / "none")))
    assert "Invalid argument" in failure(AttachConfig(str(plain)))
    assert "Invalid argument" in failure(AttachConfig(user, user))
    if os.geteuid() != 0:
        assert "not permitted" in failure(AttachConfig(1))
        assert "--userns-path" in failure(AttachConfig(target.network))


def test_attach_to_what_is_taken(target: Target) -> None:
    attachment = attach(AttachConfig(target.pid))
    tap = attachment.receive_link()
    other = NetworkConfig(cidr=IPv4Network("10.0.3.0/24"))
    same_address = NetworkConfig(tap_name="tap1")
    other_name = NetworkConfig(cidr=IPv4Network("10.0.3.0/24"), tap_name="tap1")
    assert "--tap-name" in failure(AttachConfig(target.pid, network=other))
    assert "--cidr" in failure(AttachConfig(target.pid, network=same_address))
    assert "default route" in failure(AttachConfig(target.pid, network=other_name))
    assert "tap1" not in target.inside("ip", "link")
    attachment.close()
    os.close(tap.fd)
