"""What every word of the user has in common: how it is read, judged and quoted.

Nothing here knows an option. The parse functions and the dataclasses of `config` and `forward`
share it, so that a number is a number in all of them. Errors are `UsageError`, one line each.

Read: ipaddress in the Python Library Reference; ipv6(7) for scopes.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address
from types import UnionType

from rootlessnet.errors import UsageError

HostAddress = IPv4Address | IPv6Address

_BROADCAST = IPv4Address("255.255.255.255")
_QUOTED_LENGTH = 160  # characters of a user's word that a message repeats; most paths fit


def number(word: str) -> int | None:
    """The decimal number in `word`, or None; int() takes spaces, signs and any script's digits.

    Ten digits are more than any number here has, and keep int() from refusing the length.
    """
    if word.isascii() and word.isdigit() and len(word) <= 10:
        return int(word)
    return None


def address_or_none(word: str) -> HostAddress | None:
    """The address in `word`, whose scope, if it has one, can be that of an interface."""
    try:
        address = ip_address(word)
    except ValueError:
        return None
    scope = address.scope_id if isinstance(address, IPv6Address) else None
    if scope is not None and not is_interface_name(scope):
        return None
    return address


def require(what: str, value: object, kind: type | UnionType, wanted: str) -> None:
    """Refuse a value of a wrong type, for callers who have no type checker."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise UsageError(f"{what} {quoted(value)} is of type {type(value).__name__}: give {wanted}")


def require_flags(config: object, *names: str) -> None:
    """Refuse what is neither True nor False under one of these names."""
    for name in names:
        require(name, getattr(config, name), bool, "True or False")


def require_single_host(address: HostAddress) -> None:
    """Refuse what no socket binds or connects to, and a second way of writing an address."""
    if address.is_multicast or address == _BROADCAST:
        raise UsageError(f"{address} is a multicast or broadcast address: name that of one host")
    if isinstance(address, IPv4Address):
        return
    if address.ipv4_mapped is not None:
        raise UsageError(f"{address} is an IPv4 address: write it as {address.ipv4_mapped}")
    if address.is_link_local and address.scope_id is None:
        raise UsageError(f"{address} is link-local: add its interface, like {address}%eth0")
    if not address.is_link_local and address.scope_id is not None:
        bare = str(address).removesuffix(f"%{address.scope_id}")
        raise UsageError(f"{address} is not link-local: write it without interface, as {bare}")


def is_interface_name(name: str) -> bool:
    """What the kernel takes (dev_valid_name), but no bytes beyond ASCII, some of which it refuses.

    It has no place for "all" and "default" either: their sysctl directories exist already.
    """
    plain = name.isascii() and name.isprintable() and not any(c in "/:% " for c in name)
    return plain and 1 <= len(name) <= 15 and name not in (".", "..", "all", "default")


def shortened(text: str) -> str:
    """The beginning of an endless text, all of any other."""
    return text if len(text) <= _QUOTED_LENGTH else text[:_QUOTED_LENGTH] + "..."


def quoted(value: object) -> str:
    """A text for a message: in quotes, on one line, control characters escaped, not endless.

    Of any other value, its representation.
    """
    return repr(shortened(value)) if isinstance(value, str) else shortened(ascii(value))
