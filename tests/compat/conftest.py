"""A host for each test, every tool on it in turn, and no survivors."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compat.network import Network
from tests.compat.tools import TOOLS
from tests.e2e.conftest import nothing_left_behind
from tests.e2e.outside import Outside, make_outside

__all__ = ["nothing_left_behind"]  # a fixture that is for every test here too

FIRST_NAMESERVER, SECOND_NAMESERVER = "192.0.2.53", "192.0.2.54"

# pasta wants an interface with a default route to start from. Nobody is behind this one, and the
# documentation network of tests/e2e/outside.py that has no route has none still.
PREPARE = f"""
ip link add up0 type bridge
ip link set up0 up
ip address add 100.64.0.1/24 dev up0
ip route add default via 100.64.0.2 dev up0
ip route add throw 203.0.113.0/24
ip -6 address add 2001:db8:1::1/64 dev up0 nodad
ip -6 route add default via 2001:db8:1::2 dev up0
ip address add {FIRST_NAMESERVER}/32 dev lo
ip address add {SECOND_NAMESERVER}/32 dev lo
echo 53 > /proc/sys/net/ipv4/ip_unprivileged_port_start
"""


@pytest.fixture(scope="session")
def resolv_conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("etc") / "resolv.conf"
    path.write_text(f"nameserver {FIRST_NAMESERVER}\nnameserver {SECOND_NAMESERVER}\n")
    return path


@pytest.fixture
def outside(resolv_conf: Path) -> Iterator[Outside]:
    with make_outside(f"{PREPARE} mount --bind {resolv_conf} /etc/resolv.conf\n") as host:
        yield host


@pytest.fixture(params=TOOLS)
def network(request: pytest.FixtureRequest, outside: Outside) -> Network:
    tool = TOOLS[request.param]
    if shutil.which(tool.program) is None:
        pytest.skip(f"not installed: apt-get install {tool.package}")
    return Network(tool, outside)
