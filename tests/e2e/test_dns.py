"""Names: the built-in DNS address, in front of nameservers of the test's own.

They listen on the loopback of a host where everybody may have port 53.
"""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.conftest import needs
from tests.e2e.outside import Outside, make_outside, peer

FIRST, SECOND = "127.0.0.2", "127.0.0.3"
RESOLV_CONF = "search example.net\noptions ndots:1\nnameserver {}\n"
BUILT_IN = "10.0.2.3"
ANSWER = "192.0.2.77"  # that of every name, see peers/nameserver.py
TEXT_SIZE = 3000


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """A host whose /etc/resolv.conf names the nameservers."""
    resolv_conf = tmp_path_factory.mktemp("etc") / "resolv.conf"
    resolv_conf.write_text(RESOLV_CONF.format(f"{FIRST}\nnameserver {SECOND}"))
    with make_outside(f"""
        echo 53 > /proc/sys/net/ipv4/ip_unprivileged_port_start
        mount --bind {resolv_conf} /etc/resolv.conf
    """) as host:
        yield host


def ask(outside: Outside, *command: str, options: tuple[str, ...] = ()) -> str:
    """What a command in the guest says."""
    done = outside.rootlessnet.run("run", *options, "--", *command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@needs("dig")
@pytest.mark.parametrize("protocol", ["+notcp", "+tcp"])
def test_dig(outside: Outside, protocol: str) -> None:
    with outside.program(*peer("nameserver", FIRST, "answer")).serving() as server:
        dig = ("dig", f"@{BUILT_IN}", protocol, "+short", "name.example", "A")
        assert ask(outside, *dig) == ANSWER
        assert server.stdout is not None
        asked = "tcp" if protocol == "+tcp" else "udp"
        assert server.stdout.readline() == f"{asked} name.example\n"


@needs("dig")
def test_truncated_answer_is_asked_for_by_tcp(outside: Outside) -> None:
    with outside.program(*peer("nameserver", FIRST, "answer")).serving():
        answer = ask(outside, "dig", "+short", "name.example", "TXT")
    assert len(answer.replace('" "', "").strip('"')) == TEXT_SIZE


@needs("dig")
@pytest.mark.parametrize("protocol", ["+notcp", "+tcp"])
def test_dns_option(outside: Outside, protocol: str) -> None:
    """Its nameserver is asked instead of the host's."""
    dig = ("dig", protocol, "+short", "name.example", "A")
    with outside.program(*peer("nameserver", "127.0.0.9", "answer")).serving():
        assert ask(outside, *dig, options=("--dns", "127.0.0.9")) == ANSWER


@needs("dig")
@pytest.mark.parametrize(
    ("first", "protocol"),
    [
        ("closed", "+notcp"),
        ("closed", "+tcp"),
        ("silent", "+notcp"),
        ("silent", "+tcp"),
        ("refuse", "+notcp"),
    ],
)
def test_next_nameserver(outside: Outside, first: str, protocol: str) -> None:
    with ExitStack() as stack:
        if first != "closed":
            stack.enter_context(outside.program(*peer("nameserver", FIRST, first)).serving())
        stack.enter_context(outside.program(*peer("nameserver", SECOND, "answer")).serving())
        dig = ("dig", f"@{BUILT_IN}", protocol, "+tries=1", "+short", "name.example", "A")
        assert ask(outside, *dig) == ANSWER


@needs("dig")
def test_no_nameserver_answers(outside: Outside) -> None:
    """The guest is told at once instead of being left to its time-outs."""
    assert "status: SERVFAIL" in ask(outside, "dig", f"@{BUILT_IN}", "+tries=1", "name.example")


@needs("dig")
def test_forged_answers_are_ignored(outside: Outside) -> None:
    with outside.program(*peer("nameserver", FIRST, "forge")).serving():
        assert ask(outside, "dig", "+tries=1", "+short", "name.example", "A") == ANSWER


def test_name_service(outside: Outside) -> None:
    with outside.program(*peer("nameserver", FIRST, "answer")).serving():
        assert ask(outside, "getent", "ahostsv4", "name.example").split()[0] == ANSWER


@needs("curl")
def test_connection_to_a_name(outside: Outside) -> None:
    """One answer of the nameserver leads to a connection: there is no route to that address."""
    with outside.program(*peer("nameserver", FIRST, "answer")).serving():
        done = outside.rootlessnet.run("run", "--", "curl", "-v", "http://name.example:5000/")
    assert f"Trying {ANSWER}:5000" in done.stderr


@pytest.mark.parametrize("options", [(), ("--map-user",)])
def test_resolv_conf(outside: Outside, options: tuple[str, ...]) -> None:
    """The host's search list and options, and one nameserver."""
    lines = ask(outside, "cat", "/etc/resolv.conf", options=options).splitlines()
    assert sorted(lines) == sorted(RESOLV_CONF.format(BUILT_IN).splitlines())


def test_resolv_conf_follows_the_cidr(outside: Outside) -> None:
    said = ask(outside, "cat", "/etc/resolv.conf", options=("--cidr", "10.9.0.0/16"))
    assert "nameserver 10.9.0.3" in said.splitlines()
