"""Names that we know ourselves: that of the gateway, and those the user has added.

They are answered in both families, a family that a name lacks by no data, and their addresses by
their names. dnspython makes the answers; why it is loaded so late is told in
`rootlessnet.host.dns`. Read: RFC 1035 3.3, RFC 2308 2.2 (no data), RFC 6761 on private names.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rootlessnet.wire import dns as wire
from rootlessnet.wire.dns import Query
from rootlessnet.words import HostAddress

if TYPE_CHECKING:
    from dns.message import Message, QueryMessage

_TTL = 60  # seconds
_LARGEST = 65535  # bytes of a DNS message
_ADDRESSES = ((wire.A, "A", 4), (wire.AAAA, "AAAA", 6))


class OwnNames:
    """Answers by name and by address."""

    def __init__(self, names: Mapping[str, Sequence[HostAddress]]) -> None:
        """The addresses of each name: in ASCII, in lower case, without a dot at its end."""
        self._addresses = {wire.name_from_text(name): found for name, found in names.items()}
        self._pointers: dict[bytes, str] = {}  # the first name of each address
        for name, addresses in names.items():
            for address in addresses:
                reverse = wire.name_from_text(address.reverse_pointer)
                self._pointers.setdefault(reverse, f"{name}.")

    def answer(self, query: Query) -> bytes | None:
        """The answer to a query; None: others know better."""
        if query.opcode != wire.QUERY or query.klass != wire.IN:
            return None
        if query.name not in self._addresses and query.name not in self._pointers:
            return None

        from dns.exception import DNSException
        from dns.message import QueryMessage, from_wire, make_response

        try:
            asked = from_wire(query.message, ignore_trailing=True)
        except DNSException:
            return wire.failure(query, wire.FORMERR)
        if not isinstance(asked, QueryMessage):
            return wire.failure(query, wire.FORMERR)
        response = make_response(asked, recursion_available=True)
        response.flags |= wire.AA
        self._add_records(query, asked, response)
        try:
            # Of any size: by UDP it is cut to what the guest takes, by TCP it need not be.
            return response.to_wire(max_size=_LARGEST)
        except DNSException:
            return wire.failure(query, wire.SERVFAIL)

    def _add_records(self, query: Query, asked: "QueryMessage", response: "Message") -> None:
        from dns import rrset

        name = asked.question[0].name
        addresses = self._addresses.get(query.name, ())
        for kind, word, version in _ADDRESSES:
            found = [str(address) for address in addresses if address.version == version]
            if found and query.kind in (kind, wire.ANY):
                response.answer.append(rrset.from_text(name, _TTL, "IN", word, *found))
        pointer = self._pointers.get(query.name)
        if pointer is not None and query.kind in (wire.PTR, wire.ANY):
            response.answer.append(rrset.from_text(name, _TTL, "IN", "PTR", pointer))
