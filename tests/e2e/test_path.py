"""What a guest sees of the path: its hops, its MTU, and the errors of its routers.

The gateway is the first hop; behind it come the hops of the host.
"""

import re
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import needs
from tests.e2e.outside import peer
from tests.e2e.routers import (
    FAR_END,
    FIRST_ROUTER,
    PATH_MTU,
    PROHIBITED,
    SECOND_ROUTER,
    UNREACHABLE,
    Routed,
    make_routers,
)

GATEWAY = "10.0.2.2"
HOPS = [GATEWAY, FIRST_ROUTER, SECOND_ROUTER, FAR_END]
FITS = PATH_MTU - 28  # bytes of payload
SIZES = "0 1 1371 1372 1373 1472 1473 9000 32768 65492 65507"  # around what one packet holds
AS_USER = ("--map-user",)


@pytest.fixture
def routed() -> Iterator[Routed]:
    with make_routers() as routed:
        yield routed


def in_guest(routed: Routed, *words: str, options: tuple[str, ...] = ()) -> tuple[int, str]:
    """The exit status and the output of a program in a guest."""
    done = routed.host.rootlessnet.run("run", *options, "--", *words)
    return done.returncode, done.stdout + done.stderr


def ping(routed: Routed, *words: str, options: tuple[str, ...] = ()) -> tuple[int, str]:
    return in_guest(routed, "ping", "-n", "-c", "1", "-W", "10", *words, options=options)


# ── hops ─────────────────────────────────────────────────────────────────────────────────────────


@needs("traceroute")
@pytest.mark.parametrize(
    ("words", "options"),
    [
        ((), ()),
        ((), AS_USER),
        (("-F",), ()),
        (("--icmp",), ()),
        (("--sim-queries=1", "--sport=4000"), ()),  # one port of the guest's for all
    ],
)
def test_traceroute(routed: Routed, words: tuple[str, ...], options: tuple[str, ...]) -> None:
    trace = ("traceroute", "-n", "-q", "2", "-w", "10", *words, FAR_END)
    status, said = in_guest(routed, *trace, options=options)
    assert status == 0, said
    assert re.findall(r"^ *\d+  ([\d.]+)  [\d.]+ ms  [\d.]+ ms$", said, re.MULTILINE) == HOPS, said


@needs("mtr")
@pytest.mark.parametrize("words", [(), ("--udp",)], ids=["icmp", "udp"])
def test_mtr(routed: Routed, words: tuple[str, ...]) -> None:
    status, said = in_guest(
        routed, "mtr", "-n", "--report", "-c", "2", "-i", "0.2", *words, FAR_END
    )
    assert status == 0, said
    assert re.findall(r"^ *\d+\.\|-- ([\d.]+) +0\.0%", said, re.MULTILINE) == HOPS, said


@needs("ping")
@pytest.mark.parametrize("options", [(), AS_USER], ids=["root", "user"])
def test_ping_with_a_ttl(routed: Routed, options: tuple[str, ...]) -> None:
    for ttl, hop in enumerate(HOPS[:-1], 1):
        status, said = ping(routed, "-t", str(ttl), FAR_END, options=options)
        assert status == 1
        assert f"From {hop} icmp_seq=1 Time to live exceeded" in said
    status, said = ping(routed, "-t", "4", FAR_END, options=options)
    assert status == 0, said


# ── the path's MTU ───────────────────────────────────────────────────────────────────────────────


@needs("tracepath")
@pytest.mark.parametrize(
    ("mtu", "found"),
    [("65520", ["65520", "1500", "1400"]), ("1500", ["1500", "1400"]), ("1300", ["1300"])],
)
def test_tracepath(routed: Routed, mtu: str, found: list[str]) -> None:
    status, said = in_guest(routed, "tracepath", "-n", FAR_END, options=("--mtu", mtu))
    assert status == 0, said
    assert re.findall(r"pmtu (\d+)\s*$", said, re.MULTILINE) == found, said
    hops = re.findall(r"^ *\d+: +([\d.]+) +[\d.]+ms (?!pmtu)", said, re.MULTILINE)
    assert list(dict.fromkeys(hops)) == HOPS, said
    assert f"pmtu {found[-1]} hops 4" in said


@needs("ping")
@pytest.mark.parametrize("options", [(), AS_USER], ids=["root", "user"])
def test_ping_that_must_not_be_fragmented(routed: Routed, options: tuple[str, ...]) -> None:
    status, said = ping(routed, "-M", "do", "-s", str(FITS), FAR_END, options=options)
    assert status == 0, said
    status, said = ping(routed, "-M", "do", "-s", str(FITS + 1), FAR_END, options=options)
    assert f"From {FIRST_ROUTER} icmp_seq=1 Frag needed and DF set (mtu = {PATH_MTU})" in said
    assert status == 1
    # Now the host knows it: another guest hears of it from the gateway, or needs not care.
    status, said = ping(routed, "-M", "do", "-s", str(FITS + 1), FAR_END, options=options)
    assert f"From {GATEWAY} icmp_seq=1 Frag needed and DF set (mtu = {PATH_MTU})" in said
    assert status == 1
    status, said = ping(routed, "-s", str(FITS + 1), FAR_END, options=options)
    assert (status, "Frag needed" in said) == (0, False), said


def test_a_program_learns_the_mtu_from_a_router(routed: Routed) -> None:
    with routed.far_end.program(*peer("udp", "echo", FAR_END, 5000)).serving():
        status, said = in_guest(routed, *peer("udp", "learn", FAR_END, 5000, FITS + 1))
    assert (status, said) == (0, f"{PATH_MTU} {FITS + 1}\n")


@pytest.mark.parametrize("mtu", ["576", "1500", "65520"])
def test_programs_that_do_not_ask_lose_nothing(routed: Routed, mtu: str) -> None:
    """Once the host knows the path, as on the host itself: no error, every size arrives."""
    with routed.far_end.program(*peer("udp", "echo", FAR_END, 5000)).serving():
        done = routed.host.program(*peer("udp", "learn", FAR_END, 5000, FITS + 1)).run()
        assert done.stdout == f"{PATH_MTU} {FITS + 1}\n"
        client = peer("udp", "exchange", FAR_END, 5000, *SIZES.split())
        status, said = in_guest(routed, *client, options=("--mtu", mtu))
    assert (status, said) == (0, f"{SIZES}\n")


# ── errors of a router ───────────────────────────────────────────────────────────────────────────


@needs("ping")
@pytest.mark.parametrize(
    ("address", "told"),
    [(UNREACHABLE, "Destination Host Unreachable"), (PROHIBITED, "Packet filtered")],
)
def test_ping_is_told_by_a_router(routed: Routed, address: str, told: str) -> None:
    status, said = ping(routed, address)
    assert f"From {SECOND_ROUTER} icmp_seq=1 {told}" in said
    assert status == 1


@pytest.mark.parametrize(
    ("address", "error"), [(UNREACHABLE, "EHOSTUNREACH"), (FAR_END, "ECONNREFUSED")]
)
def test_a_datagram_is_refused_far_away(routed: Routed, address: str, error: str) -> None:
    client = peer("udp", "hear", address, 5000)
    assert routed.host.program(*client).run().stdout == f"{error}\n"
    assert in_guest(routed, *client) == (0, f"{error}\n")
