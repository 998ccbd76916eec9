"""The host's resolv.conf, followed as it changes.

It is looked at twice a second: by the path, so it does not matter whether the file is written to,
replaced, or reached through symlinks of which any may change. inotify would want a watch on each of
their directories, and a new set of them with each change. A file that is missing or says nothing,
as for a moment in which it is written anew, changes nothing. Read: stat(2), inotify(7).
"""

import asyncio
import os
import time
from collections.abc import Callable

from rootlessnet import resolv_conf
from rootlessnet.host.reactor import Reactor
from rootlessnet.resolv_conf import ResolvConf

_PERIOD = 0.5  # seconds
_SETTLED = 1_000_000_000  # nanoseconds; a file's time is too coarse to tell two writes apart


class ResolvConfWatch:
    """What resolv.conf says, now."""

    def __init__(self, reactor: Reactor, path: str = resolv_conf.PATH) -> None:
        """Read it once; `follow` goes on."""
        self._reactor = reactor
        self._path = path
        self._seen: tuple[int, ...] = ()  # the file that `conf` stood in; empty: read it again
        self._timer: asyncio.TimerHandle | None = None
        self._changed: Callable[[ResolvConf], None] | None = None
        self.conf = ResolvConf()
        self._look()

    def follow(self, changed: Callable[[ResolvConf], None]) -> None:
        """Call `changed` with what it says whenever that is something else, until `close`."""
        self._changed = changed
        self._timer = self._reactor.after(_PERIOD, self._look_again)

    def close(self) -> None:
        """Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_again(self) -> None:
        self._timer = self._reactor.after(_PERIOD, self._look_again)
        if self._look() and self._changed is not None:
            self._changed(self.conf)

    def _look(self) -> bool:
        """Whether it says something new."""
        try:
            found = os.stat(self._path)
        except OSError:
            self._seen = ()
            return False
        seen = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        if seen == self._seen:
            return False
        self._seen = seen if time.time_ns() - found.st_mtime_ns > _SETTLED else ()
        conf = resolv_conf.read(self._path)
        if conf in (self.conf, ResolvConf()):
            return False
        self.conf = conf
        return True
