"""RootlessKit, the launcher of rootless Docker: it makes the TAP itself and has it attached to."""

from pathlib import Path

import pytest

from tests.containers.engine import PUBLISHED_HTTP, PUBLISHED_UDP, Client
from tests.containers.image import HTTP_PORT, SERVER, UDP_PORT
from tests.containers.machine import Machine
from tests.containers.programs import NetworkProgram
from tests.e2e.conftest import PATIENCE
from tests.e2e.outside import ADDRESS, OTHER_ADDRESS

PLAIN = ("--mtu=65520",)
ALL = (
    *("--mtu=1500", "--cidr=10.9.8.0/24", "--ipv6", "--disable-host-loopback"),
    *("--slirp4netns-sandbox=true", "--slirp4netns-seccomp=true"),
)


@pytest.mark.parametrize(
    ("driver", "over_tcp", "over_udp"),
    [("slirp4netns", OTHER_ADDRESS, ADDRESS), ("builtin", "127.0.0.1", "127.0.0.1")],
)
@pytest.mark.parametrize("options", [PLAIN, ALL], ids=["plain", "all"])
def test_a_command_serves(
    machine: Machine,
    program: NetworkProgram,
    client: Client,
    root: Path,
    driver: str,
    over_tcp: str,
    over_udp: str,
    options: tuple[str, ...],
) -> None:
    launcher = machine.program(
        *("rootlesskit", "--net=slirp4netns", f"--slirp4netns-binary={program.path}", *options),
        *("--copy-up=/etc", "--pidns", f"--port-driver={driver}"),
        f"--publish=0.0.0.0:{PUBLISHED_HTTP}:{HTTP_PORT}/tcp",
        f"--publish=0.0.0.0:{PUBLISHED_UDP}:{UDP_PORT}/udp",
        *("sh", "-c", '"$@" & exec cat', "sh", f"{root}/{SERVER}", str(root)),
    )
    with launcher.started() as process:
        assert client.is_greeted()
        assert client.seen_over_tcp() == over_tcp
        assert client.seen_over_udp() == over_udp
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, said
    (call,) = program.calls()
    assert ("--api-socket" in call.arguments) == (driver == "slirp4netns")
    assert options != ALL or {"--enable-sandbox", "--enable-seccomp"} <= set(call.arguments)
    *_, target, interface = call.arguments
    assert target.isdigit()
    assert interface == "tap0"
