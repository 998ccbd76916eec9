"""What each tool does with each check: the one place that says so.

A row has what is right, which is what a program sees on the bare host, and what is seen with the
tools that do otherwise. The tests prove every cell (tests/compat/network.py), docs/compatibility.md
shows the same (tests/compat/document.py). The keys are the names of the checks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

ROOTLESSNET, SLIRP4NETNS, PASTA, ROOTLESSKIT = "rootlessnet", "slirp4netns", "pasta", "RootlessKit"

# Versions of the Debian packages.
TESTED_VERSIONS = {
    SLIRP4NETNS: "1.2.0-1",
    PASTA: "0.0~git20230309.7c7625d-1",
    ROOTLESSKIT: "1.1.0-1+b4",
}


@dataclass(frozen=True, slots=True)
class Short:
    """How a tool falls short: what the check sees, and in words for a reader.

    `sometimes` is for a race, which may end well too.
    """

    seen: str
    words: str
    sometimes: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """`inexpressible` has why a tool has no words for it."""

    title: str
    right: str
    short: Mapping[str, Short] = field(default_factory=dict)
    inexpressible: Mapping[str, str] = field(default_factory=dict)


NO_COMMAND = "starts no command"

TABLE: Mapping[str, Mapping[str, Row]] = {
    "TCP from the guest": {
        "test_connect": Row("a connection, data both ways", "10"),
        "test_refused": Row(
            "refused is ECONNREFUSED", "ECONNREFUSED", {PASTA: Short("no progress", "silence")}
        ),
        "test_unreachable": Row(
            "no route is ENETUNREACH, at once",
            "ENETUNREACH",
            {PASTA: Short("no progress", "silence")},
        ),
        "test_dead_host": Row("a host that does not answer is not connected to", "pending"),
        "test_half_close_by_client": Row(
            "the client ends first, the server answers",
            "same",
            {PASTA: Short("no progress", "silence after the end")},
        ),
        "test_half_close_by_server": Row("the server ends first, the client sends", "same same"),
        "test_reset_by_server": Row("the server's reset is ECONNRESET", "ECONNRESET"),
        "test_reset_by_client": Row(
            "the guest's reset is ECONNRESET outside",
            "ECONNRESET",
            {
                PASTA: Short("end of file", "end of file", sometimes=True),
                SLIRP4NETNS: Short("end of file", "end of file"),
                ROOTLESSKIT: Short("end of file", "end of file"),
            },
        ),
        "test_end_with_data": Row("the last data before an immediate close arrives", "50"),
        "test_urgent_data": Row("an urgent byte arrives in line", "before,!,after"),
        "test_port_used_again": Row(
            "a port used again at once",
            "6",
            {
                SLIRP4NETNS: Short("ECONNREFUSED", "ECONNREFUSED"),
                ROOTLESSKIT: Short("ECONNREFUSED", "ECONNREFUSED"),
            },
        ),
        "test_upload": Row("50 MB up, the same SHA-256", "same"),
        "test_download": Row("50 MB down, the same SHA-256", "same"),
    },
    "TCP through a published port": {
        "test_published": Row("a connection, data both ways", "10"),
        "test_published_from_loopback": Row("a client on the host's loopback", "10"),
        "test_published_on_ipv6": Row(
            "published on an IPv6 address",
            "reached",
            inexpressible={SLIRP4NETNS: "IPv4 alone"},
        ),
        "test_published_shows_client": Row(
            "the guest sees the client's address",
            "198.51.100.1",
            {ROOTLESSKIT: Short("127.0.0.1", "127.0.0.1")},
        ),
        "test_published_half_close_by_client": Row("the client ends first", "same"),
        "test_published_half_close_by_server": Row(
            "the server ends first",
            "same same",
            {PASTA: Short("same no progress", "the client's end does not arrive")},
        ),
        "test_published_reset_by_server": Row(
            "the guest's reset is ECONNRESET",
            "ECONNRESET",
            {
                SLIRP4NETNS: Short("end of file", "end of file"),
                PASTA: Short("end of file", "end of file"),
                ROOTLESSKIT: Short("end of file", "end of file"),
            },
        ),
        "test_published_reset_by_client": Row(
            "the client's reset is ECONNRESET",
            "ECONNRESET",
            {ROOTLESSKIT: Short("end of file", "end of file")},
        ),
        "test_published_nobody_listens": Row(
            "nobody listens in the guest: a reset",
            "ECONNRESET",
            {
                ROOTLESSKIT: Short("end of file", "end of file"),
                SLIRP4NETNS: Short("end of file", "end of file"),
                PASTA: Short("end of file", "end of file"),
            },
        ),
        "test_published_server_speaks_first": Row(
            "the guest's server speaks first",
            "!",
            {PASTA: Short("no progress", "its data does not arrive")},
        ),
        "test_published_download": Row("50 MB out, the same SHA-256", "same"),
        "test_published_upload": Row("50 MB in, the same SHA-256", "same"),
    },
    "UDP and ICMP": {
        "test_udp": Row("datagrams both ways", "1 1000"),
        "test_udp_largest": Row(
            "65,507 bytes both ways", "65507", {PASTA: Short("", "arrives damaged")}
        ),
        "test_udp_refused": Row(
            "a closed port is ECONNREFUSED",
            "ECONNREFUSED",
            {PASTA: Short("no answer", "no answer")},
        ),
        "test_udp_unreachable": Row(
            "no route is ENETUNREACH", "ENETUNREACH", {PASTA: Short("no answer", "no answer")}
        ),
        "test_udp_published": Row("through a published port", "1 1000"),
        "test_udp_published_from_loopback": Row(
            "a client on the host's loopback", "1 1000", {PASTA: Short("no answer", "no answer")}
        ),
        "test_udp_published_shows_client": Row(
            "the guest sees the client's address",
            "198.51.100.1",
            {ROOTLESSKIT: Short("127.0.0.1", "127.0.0.1")},
        ),
        "test_ping_gateway": Row(
            "ping of the gateway",
            "answered",
            {PASTA: Short("no progress", "asks the host's gateway")},
        ),
        "test_ping_outside": Row("ping of an address outside", "answered"),
    },
    "Names": {
        "test_dns_by_udp": Row("the built-in nameserver, over UDP", "answered"),
        "test_dns_by_tcp": Row(
            "the built-in nameserver, over TCP",
            "answered",
            {PASTA: Short("no progress", "no answer")},
        ),
        "test_second_nameserver": Row(
            "the second nameserver when nobody is at the first",
            "answered",
            {
                SLIRP4NETNS: Short("no progress", "asks the first alone"),
                PASTA: Short("no progress", "asks the first alone"),
                ROOTLESSKIT: Short("no progress", "asks the first alone"),
            },
        ),
    },
    "The host and the command": {
        "test_loopback_is_shut": Row(
            "the host's loopback is out of reach by default",
            "shut",
            {
                SLIRP4NETNS: Short("open", "open"),
                PASTA: Short("open", "open"),
                ROOTLESSKIT: Short("open", "open"),
            },
        ),
        "test_loopback_can_be_shut": Row("the host's loopback can be put out of reach", "shut"),
        "test_exit_status": Row(
            "the exit status is the command's", "7", inexpressible={SLIRP4NETNS: NO_COMMAND}
        ),
        "test_signal": Row(
            "SIGTERM reaches the command",
            "9",
            {PASTA: Short("0", "ends itself, status 0")},
            inexpressible={SLIRP4NETNS: NO_COMMAND},
        ),
    },
}
