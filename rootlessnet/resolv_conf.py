"""resolv.conf: text to values and back, without touching a file.

Lines that a resolver would skip are skipped here too: unknown keywords, comments, addresses that
are none. Of several `search` or `domain` lines the last one counts; `options` lines add up.

Read: resolv.conf(5).
"""

import os
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

PATH = "/etc/resolv.conf"
PORT = 53  # of every nameserver: the format has no word for another


class ResolvConf(NamedTuple):
    """What a resolv.conf says. An IPv6 nameserver keeps its scope, as in fe80::1%eth0."""

    nameservers: tuple[IPv4Address | IPv6Address, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"nameserver {address}" for address in self.nameservers]
        if self.search:
            lines.append("search " + " ".join(self.search))
        if self.options:
            lines.append("options " + " ".join(self.options))
        return "".join(f"{line}\n" for line in lines)


def parse(text: str) -> ResolvConf:
    """Read the text of a resolv.conf. Any text is legal."""
    nameservers: list[IPv4Address | IPv6Address] = []
    search: tuple[str, ...] = ()
    options: list[str] = []
    for line in text.splitlines():
        match line.split():
            case ["nameserver", word, *_]:
                try:
                    nameservers.append(ip_address(word))
                except ValueError:
                    continue
            case ["domain", word, *_]:
                search = (word,)
            case ["search", *words]:
                search = tuple(words)
            case ["options", *words]:
                options += words
    return ResolvConf(tuple(nameservers), search, tuple(options))


def read(path: str = PATH) -> ResolvConf:
    """Read the resolv.conf at `path`; a missing or unreadable file says nothing."""
    try:
        # O_NONBLOCK: if it is a FIFO, nobody waits here for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, encoding="utf-8", errors="replace") as file:
            return parse(file.read())
    except OSError:
        return ResolvConf()
