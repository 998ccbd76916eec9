"""What a guest sees of the path: its hops, its MTU, and the errors of its routers.

The gateway is the first hop; behind it come the hops of the host.
"""

import re
from collections.abc import Iterator

import pytest

from tests.e2e.addresses import IPV4, IPV6, Addresses
from tests.e2e.conftest import needs
from tests.e2e.outside import peer
from tests.e2e.routers import CHAINS, PATH_MTU, Routed, make_routers

HOPS = {ip: [ip.gateway, *(chain.hop(n) for n in range(3))] for ip, chain in CHAINS.items()}
FIRST_ROUTER, SECOND_ROUTER, FAR_END = (
    {ip: hops[n] for ip, hops in HOPS.items()} for n in (1, 2, 3)
)
FITS = {ip: PATH_MTU - ip.header - 8 for ip in HOPS}  # bytes of payload
SIZES = {  # around what one packet holds
    IPV4: "0 1 1371 1372 1373 1472 1473 9000 32768 65492 65507",
    IPV6: "0 1 1351 1352 1353 1452 1453 9000 32768 65472 65507",
}
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
def test_traceroute(
    routed: Routed, ip: Addresses, words: tuple[str, ...], options: tuple[str, ...]
) -> None:
    trace = ("traceroute", "-n", "-q", "2", "-w", "10", *words, FAR_END[ip])
    status, said = in_guest(routed, *trace, options=options)
    assert status == 0, said
    hops = re.findall(r"^ *\d+  ([0-9a-f.:]+)  [\d.]+ ms  [\d.]+ ms$", said, re.MULTILINE)
    assert hops == HOPS[ip], said


@needs("mtr")
@pytest.mark.parametrize("words", [(), ("--udp",)], ids=["icmp", "udp"])
def test_mtr(routed: Routed, ip: Addresses, words: tuple[str, ...]) -> None:
    status, said = in_guest(
        routed, "mtr", "-n", "--report", "-c", "2", "-i", "0.2", *words, FAR_END[ip]
    )
    assert status == 0, said
    assert re.findall(r"^ *\d+\.\|-- ([0-9a-f.:]+) +0\.0%", said, re.MULTILINE) == HOPS[ip], said


@needs("ping")
@pytest.mark.parametrize("options", [(), AS_USER], ids=["root", "user"])
def test_ping_with_a_ttl(routed: Routed, ip: Addresses, options: tuple[str, ...]) -> None:
    told = {IPV4: "Time to live exceeded", IPV6: "Time exceeded: Hop limit"}
    for ttl, hop in enumerate(HOPS[ip][:-1], 1):
        status, said = ping(routed, "-t", str(ttl), FAR_END[ip], options=options)
        assert status == 1
        assert f"From {hop} icmp_seq=1 {told[ip]}" in said
    status, said = ping(routed, "-t", "4", FAR_END[ip], options=options)
    assert status == 0, said


# ── the path's MTU ───────────────────────────────────────────────────────────────────────────────


@needs("tracepath")
@pytest.mark.parametrize(
    ("ip", "mtu", "found"),
    [
        (IPV4, "65520", ["65520", "1500", "1400"]),
        (IPV4, "1500", ["1500", "1400"]),
        (IPV4, "1300", ["1300"]),
        (IPV6, "65520", ["65520", "1400"]),  # the host does not know who asks: routers tell
        (IPV6, "1500", ["1500", "1400"]),
        (IPV6, "1300", ["1300"]),
    ],
)
def test_tracepath(routed: Routed, ip: Addresses, mtu: str, found: list[str]) -> None:
    status, said = in_guest(routed, "tracepath", "-n", FAR_END[ip], options=("--mtu", mtu))
    assert status == 0, said
    assert re.findall(r"pmtu (\d+)\s*$", said, re.MULTILINE) == found, said
    hops = re.findall(r"^ *\d+: +([0-9a-f.:]+) +[\d.]+ms (?!pmtu)", said, re.MULTILINE)
    assert list(dict.fromkeys(hops)) == HOPS[ip], said
    assert f"pmtu {found[-1]} hops 4" in said


TOO_BIG = {
    IPV4: f"Frag needed and DF set (mtu = {PATH_MTU})",
    IPV6: f"Packet too big: mtu={PATH_MTU}",
}


@needs("ping")
@pytest.mark.parametrize("options", [(), AS_USER], ids=["root", "user"])
def test_ping_that_must_not_be_fragmented(
    routed: Routed, ip: Addresses, options: tuple[str, ...]
) -> None:
    status, said = ping(routed, "-M", "do", "-s", str(FITS[ip]), FAR_END[ip], options=options)
    assert status == 0, said
    status, said = ping(routed, "-M", "do", "-s", str(FITS[ip] + 1), FAR_END[ip], options=options)
    assert f"From {FIRST_ROUTER[ip]} icmp_seq=1 {TOO_BIG[ip]}" in said
    assert status == 1
    # Now the host knows it: another guest needs not care, or hears of it from the gateway where
    # that can tell who asks.
    status, said = ping(routed, "-s", str(FITS[ip] + 1), FAR_END[ip], options=options)
    assert (status, TOO_BIG[ip] in said) == (0, False), said
    if ip is IPV4:
        status, said = ping(
            routed, "-M", "do", "-s", str(FITS[ip] + 1), FAR_END[ip], options=options
        )
        assert f"From {ip.gateway} icmp_seq=1 {TOO_BIG[ip]}" in said
        assert status == 1


def test_a_program_learns_the_mtu_from_a_router(routed: Routed, ip: Addresses) -> None:
    with routed.far_end.program(*peer("udp", "echo", FAR_END[ip], 5000)).serving():
        status, said = in_guest(routed, *peer("udp", "learn", FAR_END[ip], 5000, FITS[ip] + 1))
    assert (status, said) == (0, f"{PATH_MTU} {FITS[ip] + 1}\n")


LEAST_MTU = {IPV4: "576", IPV6: "1280"}


@pytest.mark.parametrize(
    ("ip", "mtu"), [(ip, mtu) for ip in HOPS for mtu in (LEAST_MTU[ip], "1500", "65520")], ids=str
)
def test_programs_that_do_not_ask_lose_nothing(routed: Routed, ip: Addresses, mtu: str) -> None:
    """Once the host knows the path, as on the host itself: no error, every size arrives."""
    with routed.far_end.program(*peer("udp", "echo", FAR_END[ip], 5000)).serving():
        done = routed.host.program(*peer("udp", "learn", FAR_END[ip], 5000, FITS[ip] + 1)).run()
        assert done.stdout == f"{PATH_MTU} {FITS[ip] + 1}\n"
        client = peer("udp", "exchange", FAR_END[ip], 5000, *SIZES[ip].split())
        status, said = in_guest(routed, *client, options=("--mtu", mtu))
    assert (status, said) == (0, f"{SIZES[ip]}\n")


# ── errors of a router ───────────────────────────────────────────────────────────────────────────

REFUSED = {
    IPV4: ("Destination Host Unreachable", "Packet filtered"),
    IPV6: (
        "Destination unreachable: No route",  # so Linux calls an unreachable destination
        "Destination unreachable: Administratively prohibited",
    ),
}


@needs("ping")
def test_ping_is_told_by_a_router(routed: Routed, ip: Addresses) -> None:
    refusing = (CHAINS[ip].unreachable, CHAINS[ip].prohibited)
    for address, told in zip(refusing, REFUSED[ip], strict=True):
        status, said = ping(routed, address)
        assert f"From {SECOND_ROUTER[ip]} icmp_seq=1 {told}" in said
        assert status == 1


def test_a_datagram_is_refused_far_away(routed: Routed, ip: Addresses) -> None:
    unreachable = {IPV4: "EHOSTUNREACH", IPV6: "ENETUNREACH"}[ip]
    for address, error in (
        (CHAINS[ip].unreachable, unreachable),
        (FAR_END[ip], "ECONNREFUSED"),
    ):
        client = peer("udp", "hear", address, 5000)
        assert routed.host.program(*client).run().stdout == f"{error}\n"
        assert in_guest(routed, *client) == (0, f"{error}\n")
