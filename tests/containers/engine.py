"""Podman on the machine, with one of the programs, and what clients of its containers see.

Read: podman-run(1), containers.conf(5).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.containers.image import CLIENT_PATH, GREETING, HTTP_PORT, SERVER, UDP_PORT
from tests.containers.machine import Machine
from tests.containers.programs import NetworkProgram
from tests.e2e.addresses import bracketed
from tests.e2e.conftest import wait_for
from tests.e2e.outside import ADDRESS, OTHER_ADDRESS, peer

PUBLISHED_HTTP, PUBLISHED_UDP = 8080, 5353
PUBLISH = (
    f"--publish={PUBLISHED_HTTP}:{HTTP_PORT}",
    f"--publish={PUBLISHED_UDP}:{UDP_PORT}/udp",
)
SERVE = (f"/{SERVER}", "")


class Podman:
    """The engine of the machine's user, for containers of one image."""

    def __init__(self, machine: Machine, network: NetworkProgram, image: str) -> None:
        configuration = network.directory / "containers.conf"
        configuration.write_text(f'[engine]\nnetwork_cmd_path = "{network.path}"\n')
        environment = {"CONTAINERS_CONF": str(configuration)}
        self._podman = machine.program("podman", environment=environment)
        self.image = image

    def __call__(self, *words: str) -> str:
        """What a command of podman says, which must succeed."""
        done = self._podman.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def fails(self, *words: str) -> str:
        """What a command of podman says that must fail."""
        done = self._podman.run(*words)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def shell(self, script: str, *options: str) -> list[str]:
        """The lines that a script says in a container, which must succeed."""
        return self("run", "--rm", *options, self.image, "sh", "-euc", script).splitlines()

    @contextmanager
    def serving(self, *options: str) -> Iterator[str]:
        """While a container with the image's servers runs in the background; its id."""
        container = self("run", "--detach", *options, self.image, *SERVE)
        try:
            yield container
        finally:
            self("rm", "--force", "--time=0", container)


class Client:
    """A user of the ports that the machine publishes, who has an address of its own."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def is_greeted(self, host: str = ADDRESS) -> bool:
        """By the server inside, once that runs."""
        return self._fetch(host, "") == GREETING

    def seen_over_tcp(self, host: str = ADDRESS) -> str:
        """The address that the server inside sees."""
        said = self._fetch(host, CLIENT_PATH)
        return said.strip("[]").removeprefix("::ffff:")

    def seen_over_udp(self, host: str = ADDRESS) -> str:
        """As above. A datagram may come too early, when nobody is there."""
        words = peer("udp", "hear", host, PUBLISHED_UDP)
        ask = self._machine.program(*words, environment={"PEER_PATIENCE": "1"})

        def seen() -> str:
            said = ask.run().stdout.strip()
            return "" if said in ("no answer", "ECONNREFUSED") else said

        return wait_for(seen, "an answer over UDP")

    def is_refused(self, host: str = ADDRESS) -> bool:
        """Whether nothing listens on the published TCP port."""
        ask = self._machine.program(*peer("tcp", "hear", host, PUBLISHED_HTTP))
        return ask.run().stdout.strip() == "ECONNREFUSED"

    def _fetch(self, host: str, path: str) -> str:
        """The body of a document, once there is one."""
        options = ["--silent", "--fail", "--max-time", "2"]
        if ":" not in host:
            options += ["--interface", OTHER_ADDRESS]
        url = f"http://{bracketed(host)}:{PUBLISHED_HTTP}/{path}"
        curl = self._machine.program("curl", *options, url)
        return wait_for(lambda: curl.run().stdout, f"an answer from {url}")
