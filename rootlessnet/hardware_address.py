"""Hardware addresses as the user writes them. Read: RFC 9542 2.1, EUI-48."""

from rootlessnet.errors import UsageError
from rootlessnet.words import quoted

_SIZE = 6  # bytes


def parse_mac(text: str) -> bytes:
    """A hardware address, such as 02:00:5e:10:00:01."""
    pairs = text.split(":")
    if len(pairs) != _SIZE or not all(_is_hex_pair(pair) for pair in pairs):
        raise UsageError(
            f"{quoted(text)} is not a MAC address: write 6 bytes in hexadecimal, "
            "separated by ':', like 02:00:5e:10:00:01"
        )
    mac = bytes(int(pair, 16) for pair in pairs)
    check_mac(mac)
    return mac


def check_mac(mac: bytes) -> None:
    """Raise `UsageError` for what is no interface's own address, one of a group for example."""
    if len(mac) != _SIZE:
        raise UsageError(f"a MAC address has {_SIZE} bytes, not {len(mac)}: give all of them")
    if mac[0] & 1 or not any(mac):
        raise UsageError(
            f"MAC address {mac.hex(':')} is no interface's own: take one whose first byte is even, "
            "like 02:00:5e:10:00:01"
        )


def _is_hex_pair(text: str) -> bool:
    return 1 <= len(text) <= 2 and all(letter in "0123456789abcdefABCDEF" for letter in text)
