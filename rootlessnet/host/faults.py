"""What the host's kernel refuses, as an event for the user: what it means, and what would mend it.

The guest meets such a thing as a delay or an error of its own, so no connection is lost that need
not be. That there is no way to some address is nobody's fault: it is told to who looks for a
defect. Read: socket(2), connect(2), tun(4), ERRORS.
"""

import errno
import os
from collections.abc import Mapping

from rootlessnet import limits, resolv_conf
from rootlessnet.log import Level, Log

_NO_DESCRIPTOR = (
    "descriptors used up",
    f"no descriptor is left for connections of the guest: new ones wait; {limits.MORE_DESCRIPTORS}",
)
_NO_MEMORY = (
    "kernel memory used up",
    "the kernel has no memory for sockets or frames: what it refuses is tried again",
)
_MORE_PORTS = "widen net.ipv4.ip_local_port_range"
_NO_PORT = (
    "ports used up",
    f"no port of this host is left for connections of the guest: new ones wait; {_MORE_PORTS}",
)
_DOWN = ("interface down", "an interface of this host is down: what would leave by it fails")
_SOCKETS = {
    **dict.fromkeys(limits.DESCRIPTORS_USED_UP, _NO_DESCRIPTOR),
    **dict.fromkeys((errno.ENOBUFS, errno.ENOMEM, errno.ENOSPC), _NO_MEMORY),
    **dict.fromkeys((errno.EAGAIN, errno.EADDRINUSE), _NO_PORT),  # of a connect, and of a bind
    errno.ENETDOWN: _DOWN,
}
# What becomes of new flows where a table is full, by the bound that has it so.
_FULL = {
    "tcp_flows": "connections: a new one waits until another ends",
    "tcp_connecting": "connections under way: the oldest gives way, and is tried again",
    "udp_flows": "UDP flows: the one that was idle for longest ends",
    "echo_flows": "ping flows: the one that was idle for longest ends",
    "openings": "flows that wait to be opened: the guest opens them faster than that can be done",
}
_NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH)


def socket_refused(log: Log, error: int) -> None:
    """Log that the guest gets no socket, or no connection, for this errno."""
    if error in _SOCKETS:
        log.fault(*_SOCKETS[error])
    elif error in _NO_WAY:
        text = f"there is no way to where the guest connects ({os.strerror(error)})"
        log.fault("no way", text, Level.DEBUG)


def frame_refused(log: Log, error: int) -> None:
    """Log that the guest's device did not take a frame, for this errno."""
    if error in (errno.ENOBUFS, errno.ENOMEM):
        log.fault(*_NO_MEMORY)
    else:  # EIO: the guest has taken its interface down
        text = f"the guest's interface takes no frames ({os.strerror(error)})"
        log.fault("frames refused", text, Level.DEBUG)


def table_full(log: Log, bound: str) -> None:
    """Log that the guest has as many flows as this one of `Bounds` allows, or as many as its share
    of the descriptors.
    """
    name = bound.replace("_", "-")
    log.fault(
        f"{name} reached",
        f"the guest has too many {_FULL[bound]}; raise --limit {name}=NUMBER, "
        f"and what it needs of descriptors (ulimit -n)",
    )


def names_unresolved(log: Log) -> None:
    """Log that the nameservers have not helped for several queries of the guest's in a row."""
    log.fault(
        "names unresolved",
        "the nameservers fail, refuse or stay silent, so the guest resolves no names: "
        f"mend {resolv_conf.PATH}, or give --dns ADDRESS",
    )


def guest_reads_slowly(log: Log) -> None:
    """Log that frames are lost because the guest does not read them from its socket."""
    text = "the guest does not read its frames: those that come are lost until it does"
    log.fault("frames not read", text, Level.DEBUG)


def defect(log: Log, context: Mapping[str, object]) -> None:
    """Log that an exception has reached the event loop, which goes on: its `context` as loops have
    it.
    """
    error = context.get("exception")
    text = str(context.get("message"))
    if isinstance(error, BaseException):
        from traceback import format_exception

        text += f": {''.join(format_exception(error))}"
    log.fault(f"defect: {type(error).__name__}", text, Level.ERROR)
