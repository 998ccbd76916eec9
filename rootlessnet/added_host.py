"""Names that the user adds to those that the guest can resolve: text to values.

The grammar is that of Docker and podman, NAME:ADDRESS, where an IPv6 address may stand in brackets
and `host-gateway` means the address of the gateway, whichever that will be.

Read: docker-run(1) and podman-run(1), --add-host; RFC 1035 2.3.1 and hosts(5) on names.
"""

from dataclasses import dataclass

from rootlessnet.errors import UsageError
from rootlessnet.words import HostAddress, address_or_none, quoted, require

GATEWAY = "host-gateway"

_LABEL_MAX, _NAME_MAX = 63, 253  # characters


@dataclass(frozen=True, slots=True)
class AddedHost:
    """A name in lower case, without a dot at its end, and its address; None: the gateway's.

    A name may be added several times, with an address each. Raises `UsageError`.
    """

    name: str
    address: HostAddress | None = None

    def __post_init__(self) -> None:
        require("name of a host", self.name, str, "a text")
        _check_name(self.name)
        require("address of a host", self.address, HostAddress | None, "ip_address('192.0.2.1')")
        if "%" in str(self.address):
            raise UsageError(
                f"{self.address} names an interface, which no name can lead to: "
                "give an address without one"
            )


def parse_added_host(text: str) -> AddedHost:
    """Read NAME:ADDRESS."""
    name, colon, word = text.partition(":")
    if not colon:
        raise UsageError(f"{quoted(text)} has no address: write NAME:ADDRESS, like db:192.0.2.1")
    name = name.lower().removesuffix(".")
    if word == GATEWAY:
        return AddedHost(name)
    bracketed = word.startswith("[") and word.endswith("]")
    address = address_or_none(word[1:-1] if bracketed else word)
    if address is None or (bracketed and address.version != 6):
        raise UsageError(
            f"{quoted(word)} is not an IP address: write one like 192.0.2.1 or ::1, "
            f"or {GATEWAY} for that of the gateway"
        )
    return AddedHost(name, address)


def _check_name(name: str) -> None:
    """What stands in /etc/hosts and in a DNS message alike; underscores are found in the wild."""
    labels = name.split(".")
    plain = name.isascii() and name.replace("-", "").replace("_", "").replace(".", "").isalnum()
    short = len(name) <= _NAME_MAX and all(1 <= len(label) <= _LABEL_MAX for label in labels)
    if not plain or not short or name != name.lower() or any(one[0] == "-" for one in labels):
        raise UsageError(
            f"host name {quoted(name)} is not possible: take letters a to z, digits, '-' and '_', "
            f"in parts of 1 to {_LABEL_MAX} that are joined by dots"
        )
