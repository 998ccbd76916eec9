"""Guests on the real kernel, as whoever runs the tests: exits, deaths, users, files.

The parent is tests/netns/parent.py, which has no stack: nothing here sends a packet anywhere.
"""

import os
import random
import select
import shlex
import signal
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from rootlessnet.config import RunConfig
from rootlessnet.netns import processes, syscalls
from rootlessnet.netns.launch import Guest, launch
from tests.e2e.family import PATIENCE, Family
from tests.e2e.processes import child_of

pytestmark = pytest.mark.usefixtures("needs_namespaces")


# The end of a command


@pytest.mark.parametrize("options", [(), ("--no-pid",), ("--map-user",)])
@pytest.mark.parametrize(
    ("script", "status"),
    [("exit 0", 0), ("exit 77", 77), ("kill -TERM $$", 143), ("kill -9 $$", 137)],
)
def test_exit_status(family: Family, options: tuple[str, ...], script: str, status: int) -> None:
    # The shell of a guest's first process ignores nothing, so it can kill itself.
    assert family.run("sh", "-c", script, options=options).returncode == status


def test_command_not_found(family: Family) -> None:
    done = family.run("no-such-command-here")
    assert done.returncode == 127
    assert done.stderr == (
        "parent: command 'no-such-command-here' not found: "
        "check the spelling, or install it into PATH\n"
    )


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        ("#!/no/such/interpreter\n", 0o755, "interpreter"),
        ("echo no first line\n", 0o755, "first line"),
        ("#!/bin/true\n", 0o644, "chmod +x"),
    ],
)
def test_command_not_executable(
    family: Family, tmp_path: Path, content: str, mode: int, reason: str
) -> None:
    program = tmp_path / "program"
    program.write_text(content)
    program.chmod(mode)
    done = family.run(str(program))
    assert done.returncode == 126
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


def test_empty_command(family: Family) -> None:
    done = family.run("")
    assert done.returncode == 127
    assert done.stderr == (
        "parent: command '' not found: check the spelling, or install it into PATH\n"
    )


def test_directory_is_not_executable(family: Family, tmp_path: Path) -> None:
    done = family.run(str(tmp_path))
    assert done.returncode == 126
    assert "directory" in done.stderr


# The parent's side


def launched(*command: str) -> "closing[Guest]":
    """A guest of this very process."""
    return closing(launch(RunConfig(command)))


def wait(guest: Guest) -> int:
    """The exit status of a guest's command."""
    while (status := guest.poll()) is None:
        ready, _, _ = select.select([guest], [], [], PATIENCE)
        assert ready
    return status


def test_signal_from_the_parent() -> None:
    with launched("sleep", "1000") as guest:
        os.close(guest.receive_link().fd)
        guest.start_command()
        assert guest.poll() is None
        guest.send_signal(signal.SIGUSR1)
        assert wait(guest) == 128 + signal.SIGUSR1
        guest.send_signal(signal.SIGUSR1)  # too late, and no harm
        with pytest.raises(ValueError, match="999"):
            guest.send_signal(999)


def test_two_guests_and_nothing_left_of_them() -> None:
    descriptors = {entry.name for entry in Path("/proc/self/fd").iterdir()}
    subreaper = syscalls.is_child_subreaper()
    with launched("sleep", "1000") as one, launched("true") as other:
        taps = {one.receive_link(), other.receive_link()}
        assert len({tap.mac for tap in taps}) == 2
        one.start_command()
        other.start_command()
        assert wait(other) == 0
        other.close()
        assert one.poll() is None
        for tap in taps:
            assert tap.vnet
            os.close(tap.fd)
    assert {entry.name for entry in Path("/proc/self/fd").iterdir()} == descriptors
    assert syscalls.is_child_subreaper() == subreaper
    assert not list(processes.children())


def test_close_before_anything_happened() -> None:
    with launched("true") as guest:
        guest.close()
    assert not list(processes.children())


# What the system refuses


@pytest.mark.parametrize(
    ("obstacle", "remedy"),
    [
        ("mount -t tmpfs tmpfs /dev/net", "/dev/net/tun"),
        ("echo 0 > /proc/sys/user/max_net_namespaces", "user.max_net_namespaces"),
        ("echo 0 > /proc/sys/user/max_mnt_namespaces", "user.max_mnt_namespaces"),
        ("mount -t tmpfs tmpfs /dev; mkdir /dev/net; touch /dev/net/tun", "not the TUN/TAP"),
    ],
)
def test_refusal_is_one_line(family: Family, obstacle: str, remedy: str) -> None:
    words = family.words("true")
    script = f'{obstacle}; exec "$@"'
    done = family.run_words(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-euc", script, "sh", *words]
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert remedy in done.stderr


# What the command finds


def test_end_does_not_wait_for_the_interface(family: Family) -> None:
    """The kernel removes it with the namespace, on a thread of its own."""
    done = family.run("ip", "-details", "link", "show", "tap0")
    assert " persist on " in done.stdout


def test_default_route(family: Family) -> None:
    done = family.run("cat", "/proc/net/route")
    assert "tap0\t00000000\t0202000A" in done.stdout


@pytest.mark.parametrize(
    ("options", "user", "group"),
    [((), 0, 0), (("--map-user",), os.geteuid(), os.getegid()), (("--no-pid",), 0, 0)],
)
def test_user(family: Family, options: tuple[str, ...], user: int, group: int) -> None:
    script = "id -u; id -g; cat /proc/sys/net/ipv4/ping_group_range"
    words = family.run("sh", "-c", script, options=options).stdout.split()
    assert words[:2] == [str(user), str(group)]
    assert int(words[2]) <= group <= int(words[3])


def test_mapped_user_has_no_capability(family: Family) -> None:
    if os.geteuid() == 0:
        pytest.skip("needs an unprivileged user")
    done = family.run("grep", "CapEff", "/proc/self/status", options=("--map-user",))
    assert done.stdout.split() == ["CapEff:", "0" * 16]


@pytest.mark.parametrize("options", [(), ("--map-user",)])
def test_server_on_a_low_port(family: Family, options: tuple[str, ...]) -> None:
    script = "import socket; socket.create_server(('', 80))"
    done = family.run(sys.executable, "-c", script, options=options)
    assert done.returncode == 0, done.stderr


def test_processes_are_its_own(family: Family) -> None:
    done = family.run("sh", "-c", "echo $$; ls /proc | grep -c '^[0-9]'")
    shell, count = map(int, done.stdout.split())
    assert shell == 2
    assert count <= 5


@pytest.mark.parametrize("options", [(), ("--no-pid",)])
def test_descriptors(family: Family, options: tuple[str, ...]) -> None:
    """What the caller passes on arrives, and nothing else."""
    script = 'exec 9>/dev/null; "$@"'
    show = "for link in /proc/$$/fd/*; do readlink -f $link >&2; echo ${link##*/}; done"
    bare = family.run_words(["sh", "-c", script, "sh", "sh", "-c", show])
    words = family.words("sh", "-c", show, options=options)
    guest = family.run_words(["sh", "-c", script, "sh", *words])
    assert guest.stdout == bare.stdout
    assert "9" in guest.stdout.split()


def test_signal_dispositions(family: Family) -> None:
    script = "grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status"
    bare = family.run_words(["sh", "-c", f'trap "" HUP; exec {script}'])
    words = family.words("sh", "-c", f"exec {script}")
    inside = family.run_words(["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *words])
    assert inside.stdout == bare.stdout
    assert bare.stdout


def test_closed_standard_streams(family: Family) -> None:
    words = family.words("sh", "-c", "ls /proc/self/fd | wc -l > $OUT; exit 5")
    done = family.run_words(["sh", "-c", 'exec 0<&- 1>&- 2>&-; OUT=/dev/null "$@"', "sh", *words])
    assert done.returncode == 5


def test_unreadable_directory(family: Family, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    words = family.words("sh", "-c", "exit 6")
    script = (
        'cd "$0"; chmod 0 .; HOME=/no/such/home "$@"; status=$?; chmod 700 "$PWD"; exit $status'
    )
    assert family.run_words(["sh", "-c", script, str(closed), *words]).returncode == 6


# Deaths


@pytest.mark.parametrize("options", [(), ("--no-pid",)])
@pytest.mark.parametrize("victim", ["parent", "init", "command"])
def test_death_takes_all_along(family: Family, victim: str, options: tuple[str, ...]) -> None:
    script = "setsid sh -c 'sleep 1000 & sleep 1000' & echo running; sleep 1000; true"
    parent = family.start("sh", "-c", script, options=options)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "running\n"
    init = child_of(parent.pid)
    victims = {"parent": parent.pid, "init": init, "command": child_of(init)}
    os.kill(victims[victim], signal.SIGKILL)
    assert parent.wait(PATIENCE) == (-9 if victim == "parent" else 137)
    assert not family.end()


@pytest.mark.parametrize("options", [(), ("--no-pid",)])
def test_end_of_command_takes_all_along(family: Family, options: tuple[str, ...]) -> None:
    script = "setsid sh -c 'sleep 1000 & sleep 1000' & exit 3"
    assert family.run("sh", "-c", script, options=options).returncode == 3


@pytest.mark.timeout(120)
@pytest.mark.parametrize("options", [(), ("--no-pid",)])
def test_parent_dies_at_any_moment(family: Family, options: tuple[str, ...]) -> None:
    for _ in range(12):
        parent = family.start("sh", "-c", "setsid sleep 1000 & sleep 1000", options=options)
        time.sleep(random.uniform(0.02, 0.25))  # from before the fork to after the exec
        parent.kill()
        assert not family.end()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("options", [(), ("--no-pid",)])
def test_anyone_else_dies_at_any_moment(family: Family, options: tuple[str, ...]) -> None:
    for _ in range(12):
        parent = family.start("sleep", "0.5", options=options)
        time.sleep(random.uniform(0.03, 0.25))
        others: set[int] = set()
        while not others and parent.poll() is None:
            others = family.members() - {parent.pid}
        if others:
            with suppress(ProcessLookupError):  # the configurer ended by itself
                os.kill(random.choice(sorted(others)), signal.SIGKILL)
        _, error = parent.communicate(timeout=PATIENCE)
        # The configurer's death just before its end does no harm, any other ends the guest.
        assert parent.returncode in (0, 1, 137)
        assert error.count("\n") == (1 if parent.returncode == 1 else 0), error
        assert not family.end()


# resolv.conf, on a host of our own: a mount namespace with another /etc


def on_host(family: Family, prepare: str, script: str, meanwhile: str = "") -> str:
    """What `script` says in a guest, on a host with an empty /etc where `prepare` ran first.

    `meanwhile` runs on the host at the same time.
    """
    guest = shlex.join(family.words("sh", "-euc", script))
    host = f"""
        mount -t tmpfs tmpfs /etc
        {prepare}
        {guest} &
        {meanwhile}
        wait $!
    """
    done = family.run_words(["unshare", "--user", "--map-root-user", "--mount", "sh", "-euc", host])
    assert done.returncode == 0, done.stderr
    return done.stdout


HOST_FILE = "nameserver 192.0.2.1\nsearch example.org\noptions ndots:2\n"
GUEST_FILE = "nameserver 10.0.2.3\nsearch example.org\noptions ndots:2\n"
WRITE = f"printf '{HOST_FILE}' > ".replace("\n", "\\n")


@pytest.mark.parametrize(
    ("prepare", "expected"),
    [
        (WRITE + "/etc/resolv.conf", GUEST_FILE),
        (WRITE + "/etc/stub; ln -s stub /etc/resolv.conf", GUEST_FILE),
        ("ln -s /no/such/stub /etc/resolv.conf", "nameserver 10.0.2.3\n"),
        ("true", "nameserver 10.0.2.3\n"),
    ],
    ids=["file", "symlink", "dangling", "missing"],
)
def test_resolv_conf(family: Family, prepare: str, expected: str) -> None:
    assert on_host(family, prepare, "cat /etc/resolv.conf") == expected


@pytest.mark.parametrize(
    ("prepare", "replace"),
    [
        (WRITE + "/etc/resolv.conf", "mv /etc/new /etc/resolv.conf"),
        (WRITE + "/etc/stub; ln -s stub /etc/resolv.conf", "mv /etc/new /etc/resolv.conf"),
        (WRITE + "/etc/resolv.conf", "ln -sf new /etc/resolv.conf"),
        (WRITE + "/etc/resolv.conf", "rm -f /etc/resolv.conf"),
    ],
    ids=["file", "symlink", "by symlink", "removed"],
)
def test_resolv_conf_replaced(family: Family, tmp_path: Path, prepare: str, replace: str) -> None:
    """Two times: what was mounted again must survive like what was mounted first. One that is gone
    leaves what it said.
    """
    ready = tmp_path / "ready"
    script = f"""
        for n in 1 2; do
            touch {ready}
            while [ -e {ready} ]; do sleep 0.02; done
            while ! grep -qs 10.0.2.3 /etc/resolv.conf; do sleep 0.02; done
            cat /etc/resolv.conf
        done
    """
    meanwhile = f"""
        for n in 1 2; do
            while ! [ -e {ready} ]; do sleep 0.02; done
            echo search $n.example > /etc/new
            {replace}
            rm {ready}
        done
    """
    said = on_host(family, prepare, script, meanwhile)
    if replace.startswith("rm"):
        assert said == GUEST_FILE * 2
    else:
        each = "nameserver 10.0.2.3\nsearch {}.example\n"
        assert said == each.format(1) + each.format(2)
