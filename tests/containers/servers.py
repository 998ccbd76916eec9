"""What there is to be reached from inside: servers on the machine that stands for the internet."""

import hashlib
import random
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.containers.machine import NAMESERVER, Machine
from tests.e2e.outside import ADDRESS, ADDRESS_6, peer

PORT = 5000  # TCP and UDP, IPv4 and IPv6: tells a client its address
FILE_PORT = 5080  # HTTP: a file of several megabytes
LOOPBACK, LOOPBACK_PORT = "127.0.0.1", 5001  # TCP, there alone: tells a client its address
NAME, NAMED = "www.example", "192.0.2.77"  # what the nameserver knows

_SIZE = 20_000_000  # bytes


@dataclass(frozen=True, slots=True)
class Servers:
    """What runs. `digest` is the SHA-256 of the file, in hexadecimal."""

    digest: str


def start_servers(machine: Machine, directory: Path, stack: ExitStack) -> Servers:
    """Start them; they end with the stack."""
    content = random.Random(2).randbytes(_SIZE)
    file = directory / "file"
    file.write_bytes(content)
    for words in (
        peer("tcp", "tell_address", ADDRESS, PORT),
        peer("tcp", "tell_address", ADDRESS_6, PORT),
        peer("tcp", "tell_address", LOOPBACK, LOOPBACK_PORT),
        peer("udp", "tell_address", ADDRESS, PORT),
        peer("udp", "tell_address", ADDRESS_6, PORT),
        peer("http_files", ADDRESS, FILE_PORT, file),
        peer("nameserver", NAMESERVER, "answer"),
    ):
        stack.enter_context(machine.program(*words).serving())
    return Servers(hashlib.sha256(content).hexdigest())
