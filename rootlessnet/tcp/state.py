"""The states of a connection. Read: RFC 9293 3.3.2.

LISTEN is missing: the stack answers for every address, so a connection is born by a SYN, in
SYN_RECEIVED, or by a forward, in SYN_SENT.
"""

from enum import Enum, auto


class State(Enum):
    SYN_SENT = auto()
    SYN_RECEIVED = auto()
    ESTABLISHED = auto()
    FIN_WAIT_1 = auto()
    FIN_WAIT_2 = auto()
    CLOSE_WAIT = auto()
    CLOSING = auto()
    LAST_ACK = auto()
    TIME_WAIT = auto()
    CLOSED = auto()
