"""Which client of DHCP has which address, and until when.

A table by address, so it is as small as the pool. A client gets what is reserved for its hardware
address, else what it had before, else what it asks for, else what nobody had yet, else what has
been free for longest. An address that a client found in use by another rests for a while. Time is
injected; a lease that has ended stands in the table until its address is needed, so that a client
that comes back finds its own. Read: RFC 2131 3.1 and 4.3.1.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

LEASE_TIME = 86400  # seconds
OFFER_TIME = 60.0  # seconds for which an address that was offered is kept
DECLINED_TIME = 600.0  # seconds for which nobody gets an address that is in use
_NOBODY = b""


class Client(NamedTuple):
    """A client: what it is known by, and its hardware address."""

    identifier: bytes
    mac: bytes


class _Lease(NamedTuple):
    identifier: bytes
    until: float


class Leases:
    """The addresses of `pool`, and those that are reserved, by hardware address."""

    def __init__(self, pool: Sequence[bytes], reserved: Mapping[bytes, bytes]) -> None:
        self._reserved = reserved
        taken = set(reserved.values())
        self._pool = [address for address in pool if address not in taken]
        self._leases: dict[bytes, _Lease] = {}

    def choose(self, client: Client, wanted: bytes | None, now: float) -> bytes | None:
        """An address that `client` may have, and would like best; None: there is none left."""
        leases = self._leases
        candidates = [
            self._reserved.get(client.mac),
            *(
                address
                for address, lease in leases.items()
                if lease.identifier == client.identifier
            ),
            wanted,
            *(address for address in self._pool if address not in leases),
            *sorted(leases, key=lambda address: leases[address].until),
        ]
        for address in candidates:
            if address is not None and self.may_have(client, address, now):
                return address
        return None

    def may_have(self, client: Client, address: bytes, now: float) -> bool:
        """Whether `address` can be given to `client`, or left to it."""
        lease = self._leases.get(address)
        holder = None if lease is None or lease.until <= now else lease.identifier
        if self._reserved.get(client.mac) == address:
            return holder != _NOBODY
        return address in self._pool and holder in (None, client.identifier)

    def keep(self, client: Client, address: bytes, until: float) -> None:
        """Give `address` to `client` until then, or for as long as it has it already."""
        self._forget_others(client, address)
        lease = self._leases.get(address)
        if lease is not None and lease.identifier == client.identifier:
            until = max(until, lease.until)
        self._leases[address] = _Lease(client.identifier, until)

    def release(self, client: Client, address: bytes, now: float) -> bool:
        """`client` needs `address` no more; whether it had it."""
        had = self._has(client, address)
        if had:
            self._leases[address] = _Lease(client.identifier, now)
        return had

    def decline(self, client: Client, address: bytes, now: float) -> bool:
        """`client` was given `address` and found it in use; whether it was given it."""
        had = self._has(client, address)
        if had:
            self._leases[address] = _Lease(_NOBODY, now + DECLINED_TIME)
        return had

    def _has(self, client: Client, address: bytes) -> bool:
        lease = self._leases.get(address)
        return lease is not None and lease.identifier == client.identifier

    def _forget_others(self, client: Client, address: bytes) -> None:
        """A client has one address."""
        for other in [one for one in self._leases if one != address and self._has(client, one)]:
            del self._leases[other]
