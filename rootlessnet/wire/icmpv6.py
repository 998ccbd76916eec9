"""The numbers of ICMP for IPv6. Read: RFC 4443."""

from rootlessnet.wire import ip
from rootlessnet.wire.icmp import Dialect, Reason

DESTINATION_UNREACHABLE = 1
PACKET_TOO_BIG = 2
TIME_EXCEEDED = 3
PARAMETER_PROBLEM = 4

# Codes of a parameter problem. The last: RFC 7112.
ERRONEOUS_FIELD, UNKNOWN_NEXT_HEADER, UNKNOWN_OPTION, INCOMPLETE_CHAIN = range(4)

DIALECT = Dialect(
    protocol=ip.ICMPV6,
    echo_request=128,
    echo_reply=129,
    numbers={
        Reason.NO_ROUTE: (DESTINATION_UNREACHABLE, 0),
        Reason.PROHIBITED: (DESTINATION_UNREACHABLE, 1),
        Reason.BEYOND_SCOPE: (DESTINATION_UNREACHABLE, 2),
        Reason.HOST_UNREACHABLE: (DESTINATION_UNREACHABLE, 3),
        Reason.PORT_UNREACHABLE: (DESTINATION_UNREACHABLE, 4),
        Reason.PROTOCOL_UNREACHABLE: (PARAMETER_PROBLEM, UNKNOWN_NEXT_HEADER),
        Reason.TOO_BIG: (PACKET_TOO_BIG, 0),
        Reason.HOP_LIMIT_EXCEEDED: (TIME_EXCEEDED, 0),
    },
    errors=frozenset(range(128)),  # RFC 4443 2.1: also those that nobody knows yet
    deliveries=frozenset(
        (DESTINATION_UNREACHABLE, PACKET_TOO_BIG, TIME_EXCEEDED, PARAMETER_PROBLEM)
    ),
    # Prohibited, port, policy and reject route; and who does not know TCP.
    refusals=frozenset(
        (
            (PARAMETER_PROBLEM, UNKNOWN_NEXT_HEADER),
            *((DESTINATION_UNREACHABLE, code) for code in (1, 4, 5, 6)),
        )
    ),
    # Multicast listeners (RFC 2710, RFC 3810), routers, neighbours and redirects (RFC 4861).
    link_messages=frozenset((*range(130, 138), 143)),
    parameter_problem=PARAMETER_PROBLEM,
    pointer_shift=0,
    max_quote=1280 - 40 - 8,  # as much as fits the least MTU
    sums_addresses=True,
)
