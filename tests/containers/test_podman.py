"""`podman run` in its ways to publish ports and to arrange namespaces, pods and networks."""

from collections.abc import Iterator

import pytest

from tests.containers.engine import PUBLISH, PUBLISHED_HTTP, PUBLISHED_UDP, Client, Podman
from tests.containers.image import GREETING, HTTP_PORT, UDP_PORT
from tests.containers.machine import Machine
from tests.containers.programs import NetworkProgram
from tests.containers.servers import FILE_PORT, NAME, NAMED, Servers
from tests.e2e.outside import ADDRESS, ADDRESS_6, OTHER_ADDRESS, peer

GUEST, GATEWAY, DNS = "10.0.2.100", "10.0.2.2", "10.0.2.3"


def test_a_container_reaches_the_internet(
    podman: Podman, program: NetworkProgram, servers: Servers
) -> None:
    """By name and by address, with nothing said about its network: this is the default."""
    script = f"""
    nslookup {NAME} {DNS} | grep -A1 {NAME}
    ping -c 1 -W 5 {ADDRESS} | grep received
    ping -c 1 -W 5 {GATEWAY} | grep received
    wget -q -O - http://{ADDRESS}:{FILE_PORT}/ | sha256sum
    grep {DNS} /etc/resolv.conf
    """
    said = podman.shell(script)
    assert f"Address: {NAMED}" in said
    assert sum("1 packets received" in line for line in said) == 2
    assert f"{servers.digest}  -" in said
    assert f"nameserver {DNS}" in said
    (call,) = program.calls()
    assert {"--configure", "-c"}.intersection(call.arguments)
    assert "--netns-type=path" in call.arguments


def test_the_program_is_named_on_the_command_line(
    machine: Machine, program: NetworkProgram, image: str
) -> None:
    """Nothing else is configured."""
    words = ("podman", "--network-cmd-path", str(program.path), "run", "--rm")
    options = ("--network", "slirp4netns", "--cap-add", "NET_RAW")  # for ping
    done = machine.program(*words, *options, image, "ping", "-c1", "-W5", GATEWAY).run()
    assert done.returncode == 0, done.stderr
    assert "1 packets received" in done.stdout


@pytest.mark.parametrize(
    ("handler", "over_tcp", "over_udp"),
    [("slirp4netns", OTHER_ADDRESS, ADDRESS), ("rootlesskit", GUEST, GUEST)],
)
def test_ports_are_published(
    podman: Podman,
    program: NetworkProgram,
    client: Client,
    handler: str,
    over_tcp: str,
    over_udp: str,
) -> None:
    """Over TCP and UDP, until the container has ended; the second time like the first."""
    with podman.serving(f"--network=slirp4netns:port_handler={handler}", *PUBLISH) as container:
        for _ in range(2):
            assert client.is_greeted()
            assert client.seen_over_tcp() == over_tcp
            assert client.seen_over_udp() == over_udp
            podman("stop", "--time=0", container)
            assert client.is_refused()
            podman("start", container)
    calls = program.calls()
    assert len(calls) == 3
    assert all(("--api-socket" in call.arguments) == (handler == "slirp4netns") for call in calls)


def test_a_port_that_is_taken_is_an_error(
    podman: Podman, program: NetworkProgram, machine: Machine
) -> None:
    """It ends the container before its command, and leaves nothing."""
    with machine.program(*peer("tcp", "echo", "0.0.0.0", PUBLISHED_HTTP)).serving():
        network = "--network=slirp4netns:port_handler=slirp4netns"
        said = podman.fails("run", "--rm", network, *PUBLISH, podman.image, "true")
    assert "bad request: add_hostfwd: slirp_add_hostfwd failed" in said
    assert program.name == "slirp4netns" or str(PUBLISHED_HTTP) in said
    assert not podman("ps", "--all", "--quiet")


def test_a_port_of_an_ipv6_address(podman: Podman, program: NetworkProgram, client: Client) -> None:
    """Which slirp4netns has no words for."""
    network = "--network=slirp4netns:port_handler=slirp4netns"
    publish = (
        f"--publish=[{ADDRESS_6}]:{PUBLISHED_HTTP}:{HTTP_PORT}",
        f"--publish=[{ADDRESS_6}]:{PUBLISHED_UDP}:{UDP_PORT}/udp",
    )
    if program.name == "slirp4netns":
        said = podman.fails("run", "--rm", network, *publish, podman.image, "true")
        assert "bad arguments.host_addr" in said
    else:
        with podman.serving(network, *publish):
            assert client.is_greeted(ADDRESS_6)
            assert client.seen_over_udp(ADDRESS_6) == GATEWAY


def test_the_user_keeps_their_id(podman: Podman, program: NetworkProgram, client: Client) -> None:
    with podman.serving("--userns=keep-id", *PUBLISH) as container:
        assert client.is_greeted()
        assert client.seen_over_udp()
        assert podman("exec", container, "id", "-u") != "0"
    (call,) = program.calls()
    *_, target, interface = call.arguments
    assert target.isdigit()
    assert interface == "tap0"


def test_a_pod_shares_its_network(podman: Podman, program: NetworkProgram, client: Client) -> None:
    pod = podman("pod", "create", "--network=slirp4netns", *PUBLISH)
    try:
        with podman.serving(f"--pod={pod}"):
            assert client.is_greeted()
            assert client.seen_over_udp()
            said = podman.shell(f"wget -q -O - http://127.0.0.1:{HTTP_PORT}/", f"--pod={pod}")
            assert said == [GREETING]
            assert len(program.calls()) == 1
    finally:
        podman("pod", "rm", "--force", "--time=0", pod)


@pytest.fixture
def bridge(podman: Podman) -> Iterator[str]:
    """The name of a network of its own, behind which the machine is."""
    name = "between"
    podman("network", "create", name)
    yield name
    podman("network", "rm", name)


def test_a_network_of_containers(
    podman: Podman, program: NetworkProgram, client: Client, bridge: str, servers: Servers
) -> None:
    """Whose common namespace has one program, which lives as long as the last of them."""
    with podman.serving(f"--network={bridge}", *PUBLISH) as container:
        assert client.is_greeted()
        template = f"{{{{.NetworkSettings.Networks.{bridge}.IPAddress}}}}"
        address = podman("inspect", f"--format={template}", container)
        script = f"""
        wget -q -O - http://{address}:{HTTP_PORT}/ && echo
        wget -q -O - http://{ADDRESS}:{FILE_PORT}/ | sha256sum
        """
        said = podman.shell(script, f"--network={bridge}")
        assert said == [GREETING, f"{servers.digest}  -"]
        assert len(program.calls()) == 1
