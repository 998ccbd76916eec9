"""Lists of domain names as DHCP, DHCPv6 and router advertisements carry them: labels, uncompressed.

Read: RFC 1035 3.1 (labels), RFC 3397, RFC 3646 4, RFC 8106 5.2 (who carries them).
"""

from collections.abc import Iterable

from rootlessnet.wire import dns

LIST_SIZE = 255  # bytes: as many as one option of DHCP for IPv4 holds


def encode(name: str) -> bytes | None:
    """One name, with or without its last dot; None for what is no domain name."""
    name = name.removesuffix(".")
    if not name.isascii() or not all(0 < len(label) <= dns.LABEL_MAX for label in name.split(".")):
        return None
    encoded = dns.name_from_text(name)
    return encoded if len(encoded) <= dns.NAME_MAX else None


def encode_list(names: Iterable[str]) -> bytes:
    """The names, in their order, as far as they fit into LIST_SIZE; what is none is left out."""
    encoded = b""
    for name in names:
        one = encode(name)
        if one is None:
            continue
        if len(encoded) + len(one) > LIST_SIZE:
            break
        encoded += one
    return encoded
