"""Urgent data: each byte arrives in line, in its place, whichever side marks it.

TCP's urgent pointer tells where in the stream urgent data ends; it takes nothing out of the stream.
The kernel's sockets do, by default: the byte before the pointer is read with MSG_OOB alone. Between
a guest and the host there is nobody to read it so, and it stays where it was sent.

Read: RFC 6093, tcp(7).
"""

import subprocess

import pytest

from tests.e2e.addresses import Addresses
from tests.e2e.outside import Outside, peer
from tests.e2e.processes import line_of
from tests.e2e.test_tcp import inbound, outbound

# Who marks the data, as a server and a client that fit together.
SENDERS = [
    ("speak_urgently", "give_back"),
    ("answer_late", "ask_urgently"),
    ("interrupt_client", "give_back_at_once"),
    ("echo", "interrupt_server"),
]


def judgement(server: subprocess.Popen[str], said: str) -> str:
    """What the side says that has marked the data."""
    line_of(server)  # the connection
    return line_of(server) if said == "done" else said


@pytest.mark.parametrize(("server", "client"), SENDERS)
def test_urgent_data_outbound(outside: Outside, ip: Addresses, server: str, client: str) -> None:
    with outside.program(*peer("tcp", server, ip.address, 5000)).serving() as process:
        said = outbound(outside, *peer("tcp", client, ip.address, 5000))
        assert judgement(process, said) == "same"


@pytest.mark.parametrize(("server", "client"), SENDERS)
def test_urgent_data_inbound(outside: Outside, ip: Addresses, server: str, client: str) -> None:
    words = peer("tcp", server, ip.every, 5000)
    with outside.rootlessnet.serving("run", "-p", "8080:5000", "--", *words) as process:
        said = inbound(outside, *peer("tcp", client, ip.address, 8080))
        assert judgement(process, said) == "same"
