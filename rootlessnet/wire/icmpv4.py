"""The numbers of ICMP for IPv4. Read: RFC 792, RFC 1812 4.3.2.3 and 5.2.7.1, RFC 9293 3.9.2.2."""

from rootlessnet.wire import ip
from rootlessnet.wire.icmp import Dialect, Reason

DESTINATION_UNREACHABLE = 3
SOURCE_QUENCH = 4
REDIRECT = 5
TIME_EXCEEDED = 11
PARAMETER_PROBLEM = 12

DIALECT = Dialect(
    protocol=ip.ICMP,
    echo_request=8,
    echo_reply=0,
    numbers={
        Reason.NO_ROUTE: (DESTINATION_UNREACHABLE, 0),
        Reason.HOST_UNREACHABLE: (DESTINATION_UNREACHABLE, 1),
        Reason.PROTOCOL_UNREACHABLE: (DESTINATION_UNREACHABLE, 2),
        Reason.PORT_UNREACHABLE: (DESTINATION_UNREACHABLE, 3),
        Reason.TOO_BIG: (DESTINATION_UNREACHABLE, 4),
        Reason.PROHIBITED: (DESTINATION_UNREACHABLE, 13),
        Reason.BEYOND_SCOPE: (DESTINATION_UNREACHABLE, 13),
        Reason.HOP_LIMIT_EXCEEDED: (TIME_EXCEEDED, 0),
    },
    errors=frozenset(
        (DESTINATION_UNREACHABLE, SOURCE_QUENCH, REDIRECT, TIME_EXCEEDED, PARAMETER_PROBLEM)
    ),
    deliveries=frozenset((DESTINATION_UNREACHABLE, TIME_EXCEEDED, PARAMETER_PROBLEM)),
    # Protocol, port, and the three prohibitions. The others may pass (MUST-56), or are about sizes.
    refusals=frozenset((DESTINATION_UNREACHABLE, code) for code in (2, 3, 9, 10, 13)),
    link_messages=frozenset(),
    parameter_problem=PARAMETER_PROBLEM,
    pointer_shift=24,
    max_quote=548,  # as much as fits a message of 576 bytes
    sums_addresses=False,
)
