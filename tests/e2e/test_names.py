"""Names on a host whose resolver is dnsmasq, and whose /etc changes while the guest runs."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.addresses import IPV6
from tests.e2e.conftest import needs, wait_for
from tests.e2e.guest import Guest, make_guest
from tests.e2e.outside import Outside, make_outside
from tests.e2e.processes import descriptors, most_memory
from tests.e2e.target import make_target
from tests.e2e.test_hardening import await_hardened

pytestmark = needs("dig", "dnsmasq", "getent")

RESOLVER, OTHER = "127.0.0.53", "127.0.0.2"
BUILT_IN, GATEWAY = "10.0.2.3", "10.0.2.2"
GATEWAY_NAME = "host.rootlessnet.internal"
LARGE = 3000  # bytes of the text of large.example
HOSTS = "127.0.0.1\tlocalhost\n192.0.2.9\tof-the-host\n"
AT_ONCE = 2000  # queries
MEMORY = 100 << 20  # bytes that the program may come to, at most


@pytest.fixture
def etc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The host's /etc, which the test may change."""
    etc = tmp_path_factory.mktemp("etc")
    (etc / "passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (etc / "group").write_text("root:x:0:\n")
    (etc / "nsswitch.conf").write_text("hosts: files dns\n")
    (etc / "hosts").write_text(HOSTS)
    (etc / "resolv.conf").write_text(f"nameserver {RESOLVER}\nsearch example\n")
    return etc


@pytest.fixture
def outside(etc: Path) -> Iterator[Outside]:
    with make_outside(f"""
        echo 53 > /proc/sys/net/ipv4/ip_unprivileged_port_start
        mount --bind {etc} /etc
    """) as host:
        yield host


@contextmanager
def resolver(
    outside: Outside, address: str = RESOLVER, answer: str = "192.0.2.77"
) -> Iterator[None]:
    """A dnsmasq that knows *.name.example and large.example."""
    text = ",".join(["a long text " * 20] * (LARGE // 240 + 1))
    options = [
        *("--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file="),
        *("--bind-interfaces", f"--listen-address={address}", "--edns-packet-max=4096"),
        *(f"--address=/name.example/{answer}", f"--txt-record=large.example,{text}"),
        *("--user=root", "--group=root"),  # it asks /etc who that is, no more
        "--local=/example/",  # nothing else exists there
    ]
    with outside.program("dnsmasq", *options).started() as process:
        asked = outside.program("dig", f"@{address}", "+short", "+tries=1", "name.example")

        def answers() -> bool:
            assert process.poll() is None, process.communicate()
            return asked.run().stdout.startswith(answer)

        wait_for(answers, "dnsmasq")
        yield


def say(guest: Guest, *words: str) -> str:
    """What a program in the guest says."""
    done = guest.program(*words).run()
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def dig(guest: Guest, *words: str) -> str:
    return say(guest, "dig", f"@{BUILT_IN}", "+tries=1", *words)


# ── large answers, many queries ──────────────────────────────────────────────────────────────────


def test_edns_and_large_answers(outside: Outside) -> None:
    with resolver(outside), make_guest(outside) as guest:
        whole = dig(guest, "+bufsize=4096", "+ignore", "large.example", "TXT")
        assert "tc" not in flags(whole)
        assert whole.count("a long text") >= LARGE // 12, whole
        cut = dig(guest, "+noedns", "+ignore", "large.example", "TXT")
        assert "tc" in flags(cut)
        cut = dig(guest, "+bufsize=1000", "+ignore", "large.example", "TXT")
        assert "tc" in flags(cut)
        assert "EDNS: version: 0" in cut
        by_tcp = dig(guest, "+noedns", "large.example", "TXT")
        assert "Truncated, retrying in TCP mode" in by_tcp
        assert by_tcp.count("a long text") >= LARGE // 12


def flags(answer: str) -> list[str]:
    """Those of dig's answer."""
    (line,) = (one for one in answer.splitlines() if one.startswith(";; flags:"))
    return line.partition(":")[2].partition(";")[0].split()


def test_several_queries_on_one_connection(outside: Outside) -> None:
    with resolver(outside), make_guest(outside) as guest:
        names = ("a.name.example", "b.name.example", GATEWAY_NAME, "none.example")
        said = dig(guest, "+tcp", "+keepopen", *names)
        assert said.count("status: NOERROR") == 3
        assert said.count("status: NXDOMAIN") == 1


@needs("dnsperf")
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_thousands_at_once(outside: Outside, tmp_path: Path, protocol: str) -> None:
    """All of them are answered, and what they took is given back."""
    questions = tmp_path / "questions"
    questions.write_text("".join(f"n{number}.name.example A\n" for number in range(AT_ONCE)))
    words = ("-s", BUILT_IN, "-d", str(questions), "-n", "1", "-q", str(AT_ONCE), "-c", "10")
    with resolver(outside), make_guest(outside) as guest:
        before = len(descriptors(guest.network))
        said = say(guest, "dnsperf", "-m", protocol, "-t", "20", *words)
        assert f"Queries completed:    {AT_ONCE} (100.00%)" in said
        assert f"Response codes:       NOERROR {AT_ONCE} (100.00%)" in said
        wait_for(
            lambda: len(descriptors(guest.network)) == before, "the descriptors to be given back"
        )
        assert most_memory(guest.network) < MEMORY


FLOOD = f"""
import os, random, socket
target = ("{BUILT_IN}", 53)
random.seed(1)
query = bytes.fromhex("0001 0100 0001 0000 0000 0000") + b"\\4name\\7example\\0\\0\\1\\0\\1"
for number in range(4000):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        message = bytearray(query + os.urandom(random.choice((0, 1, 30, 5000))))
        for _ in range(random.randrange(6)):
            message[random.randrange(len(message))] = random.randrange(256)
        sender.sendto(message[:random.choice((len(message), 11, 12, 20))], target)
for number in range(300):
    with socket.create_connection(target, 10) as connected:
        connected.sendall(os.urandom(random.randrange(1, 3000)))
print("done")
"""


def test_a_guest_without_manners(outside: Outside) -> None:
    with resolver(outside), make_guest(outside) as guest:
        assert say(guest, sys.executable, "-c", FLOOD) == "done"
        assert dig(guest, "+short", "name.example") == "192.0.2.77"
        assert dig(guest, "+tcp", "+short", "name.example") == "192.0.2.77"
        assert most_memory(guest.network) < MEMORY


# ── the host changes ─────────────────────────────────────────────────────────────────────────────


def write(etc: Path, text: str) -> None:
    (etc / "resolv.conf").write_text(text)


def replace(etc: Path, text: str) -> None:
    (etc / "new").write_text(text)
    (etc / "new").rename(etc / "resolv.conf")


def switch_symlink(etc: Path, text: str) -> None:
    """/etc/resolv.conf stays what it is, a symlink by way of another, which is switched."""
    (etc / "run").mkdir()
    (etc / "run" / "resolv.conf").write_text(text)
    (etc / "new").symlink_to("run")
    (etc / "new").rename(etc / "current")


@pytest.mark.parametrize("change", [write, replace, switch_symlink])
def test_a_change_of_resolv_conf_is_followed(
    outside: Outside, etc: Path, change: Callable[[Path, str], None]
) -> None:
    if change is switch_symlink:
        (etc / "before").mkdir()
        (etc / "resolv.conf").rename(etc / "before" / "resolv.conf")
        (etc / "current").symlink_to("before")
        (etc / "resolv.conf").symlink_to("current/resolv.conf")
    with resolver(outside), resolver(outside, OTHER, "192.0.2.78"), make_guest(outside) as guest:
        assert say(guest, "getent", "ahostsv4", "name").startswith("192.0.2.77 ")
        change(etc, f"nameserver {OTHER}\nsearch x.name.example\noptions ndots:2\n")
        wait_for(lambda: dig(guest, "+short", "name.example") == "192.0.2.78", "the other resolver")
        expected = f"nameserver {BUILT_IN}\nsearch x.name.example\noptions ndots:2"
        wait_for(lambda: say(guest, "cat", "/etc/resolv.conf") == expected, "the search list")


def test_a_hardened_process_follows_resolv_conf_out_of_etc(
    outside: Outside, etc: Path, tmp_path: Path
) -> None:
    """A file beyond /etc is replaced, and then the symlink that led there."""
    (etc / "resolv.conf").rename(tmp_path / "resolv.conf")
    (etc / "resolv.conf").symlink_to(tmp_path / "resolv.conf")
    with resolver(outside), resolver(outside, OTHER, "192.0.2.78"), make_guest(outside) as guest:
        await_hardened(guest.network)
        assert dig(guest, "+short", "name.example") == "192.0.2.77"
        replace(tmp_path, f"nameserver {OTHER}\n")
        wait_for(lambda: dig(guest, "+short", "name.example") == "192.0.2.78", "the other resolver")
        replace(etc, f"nameserver {RESOLVER}\n")
        wait_for(lambda: dig(guest, "+short", "name.example") == "192.0.2.77", "the first one")


@pytest.mark.parametrize("missing", [False, True], ids=["empty", "missing"])
def test_a_host_that_has_no_network_yet(outside: Outside, etc: Path, missing: bool) -> None:
    """It is said, the guest runs, its own names resolve, and later the others."""
    if missing:
        (etc / "resolv.conf").unlink()
    else:
        write(etc, "")
    done = outside.rootlessnet.run("run", "--", "true")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("rootlessnet: no nameserver in /etc/resolv.conf, so the guest")
    assert done.stderr.count("\n") == 1
    with make_guest(outside) as guest:
        assert "status: SERVFAIL" in dig(guest, "name.example")
        assert dig(guest, "+short", GATEWAY_NAME) == GATEWAY
        with resolver(outside):
            replace(etc, f"nameserver {RESOLVER}\nsearch example\n")
            wait_for(lambda: dig(guest, "+short", "name.example") == "192.0.2.77", "the resolver")
            seen = f"nameserver {BUILT_IN}\nsearch example"
            wait_for(lambda: say(guest, "cat", "/etc/resolv.conf") == seen, "the search list")


def test_a_host_that_loses_its_network(outside: Outside, etc: Path) -> None:
    """The last nameservers are still asked, and the next ones when it is back."""
    with resolver(outside), make_guest(outside) as guest:
        assert dig(guest, "+short", "name.example") == "192.0.2.77"
        (etc / "resolv.conf").unlink()
        assert dig(guest, "+short", "name.example") == "192.0.2.77"
        with resolver(outside, OTHER, "192.0.2.78"):
            write(etc, f"nameserver {OTHER}\n")
            wait_for(
                lambda: dig(guest, "+short", "name.example") == "192.0.2.78", "the other resolver"
            )


# ── own names ────────────────────────────────────────────────────────────────────────────────────

ADDED = [
    *("--add-host", "db:192.0.2.5", "--add-host", "db:[2001:db8::5]"),
    *("--add-host", "six.example:2001:db8::6", "--add-host", "me:host-gateway"),
]


@pytest.mark.parametrize("protocol", ["+notcp", "+tcp"])
def test_own_names_by_dns(outside: Outside, protocol: str) -> None:
    """Nobody else needs to be there."""
    with make_guest(outside, *ADDED) as guest:
        for name, kind, expected in (
            (GATEWAY_NAME, "A", GATEWAY),
            ("me", "A", GATEWAY),
            ("db", "A", "192.0.2.5"),
            ("db", "AAAA", "2001:db8::5"),
            ("six.example", "AAAA", "2001:db8::6"),
            ("six.example", "A", ""),
        ):
            assert dig(guest, protocol, "+short", name, kind) == expected, name
        answer = dig(guest, protocol, "six.example", "A")
        assert "status: NOERROR" in answer
        assert dig(guest, protocol, "+short", "-x", "192.0.2.5") == "db."
        assert dig(guest, protocol, "+short", "-x", "2001:db8::6") == "six.example."


@pytest.mark.parametrize("protocol", ["+notcp", "+tcp"])
def test_the_dns_address_of_ipv6(outside: Outside, protocol: str) -> None:
    """It answers as the other does, and the gateway has an address of either family."""
    with resolver(outside), make_guest(outside, "--ipv6") as guest:
        ask = ("dig", f"@{IPV6.dns}", "+tries=1", protocol, "+short")
        assert say(guest, *ask, "name.example", "A") == "192.0.2.77"
        assert say(guest, *ask, GATEWAY_NAME, "A") == GATEWAY
        assert say(guest, *ask, GATEWAY_NAME, "AAAA") == IPV6.gateway
        assert dig(guest, protocol, "+short", GATEWAY_NAME, "AAAA") == IPV6.gateway


def test_own_names_in_the_hosts_file(outside: Outside, etc: Path) -> None:
    """Beside what the host's says, also when the host replaces it."""
    with make_guest(outside, *ADDED) as guest:
        lines = say(guest, "cat", "/etc/hosts").splitlines()
        assert lines[-2:] == HOSTS.splitlines()
        assert f"{GATEWAY}\t{GATEWAY_NAME}" in lines
        assert say(guest, "getent", "ahostsv4", GATEWAY_NAME).startswith(f"{GATEWAY} ")
        assert say(guest, "getent", "ahostsv6", "db").startswith("2001:db8::5 ")
        assert say(guest, "getent", "hosts", "of-the-host").startswith("192.0.2.9 ")
        assert say(guest, "getent", "hosts", "2001:db8::6").split() == [
            "2001:db8::6",
            "six.example",
        ]
        assert (etc / "hosts").read_text() == HOSTS
        (etc / "new").write_text("192.0.2.10\tnew-of-the-host\n")
        (etc / "new").rename(etc / "hosts")
        wait_for(
            lambda: guest.program("getent", "hosts", "new-of-the-host").run().stdout, "the new line"
        )
        assert say(guest, "getent", "ahostsv4", "me").startswith(f"{GATEWAY} ")


@pytest.mark.parametrize("first", ["hosts", "resolv.conf"])
def test_the_host_removes_its_files(outside: Outside, etc: Path, first: str) -> None:
    """An overlay replaces what was removed, and hides no file of the guest's."""
    with make_guest(outside) as guest:
        for name in (first, *({"hosts", "resolv.conf"} - {first})):
            (etc / name).unlink()
            wait_until_in(guest, "/etc/hosts", GATEWAY_NAME)
            wait_until_in(guest, "/etc/resolv.conf", f"nameserver {BUILT_IN}")


def wait_until_in(guest: Guest, path: str, text: str) -> None:
    """Wait until the guest sees this text in a file."""
    grep = guest.program("grep", "-qs", text, path)
    wait_for(lambda: grep.run().returncode == 0, f"{text} in {path}")


def test_a_host_without_a_hosts_file(outside: Outside, etc: Path) -> None:
    (etc / "hosts").unlink()
    with make_guest(outside) as guest:
        assert guest.program("cat", "/etc/hosts").run().returncode == 1
        assert say(guest, "getent", "ahostsv4", GATEWAY_NAME).startswith(f"{GATEWAY} ")


def test_own_names_of_an_attached_namespace(outside: Outside) -> None:
    """By DNS alone: its mounts are its own."""
    with (
        make_target(outside) as target,
        outside.rootlessnet.started("attach", *ADDED, str(target.pid)),
    ):
        ask = target.program("dig", f"@{BUILT_IN}", "+tries=1", "+time=1", "+short")
        wait_for(lambda: ask.run("me").stdout.strip() == GATEWAY, "the name")
