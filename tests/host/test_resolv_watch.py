"""The host's resolv.conf, as it changes under our eyes."""

import os
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest

from rootlessnet.host.dns.watch import ResolvConfWatch
from rootlessnet.resolv_conf import ResolvConf
from tests.host.world import HostReactor

FIRST, SECOND = (ResolvConf((ip_address(f"192.0.2.{n}"),)) for n in (1, 2))


class Followed:
    """A watch on `path`, and what it has told."""

    def __init__(self, reactor: HostReactor, path: Path) -> None:
        self.reactor = reactor
        self.told: list[ResolvConf] = []
        self.watch = ResolvConfWatch(reactor, str(path))
        self.watch.follow(self.told.append)

    def look(self) -> list[ResolvConf]:
        """What it tells when it looks again."""
        self.told.clear()
        assert self.reactor.time_is_up() == 1
        self.reactor.let_run()
        return self.told


def write(path: Path, conf: ResolvConf) -> None:
    path.write_text(str(conf))


def replace(path: Path, conf: ResolvConf) -> None:
    write(path.with_suffix(".new"), conf)
    path.with_suffix(".new").rename(path)


def in_another_folder(path: Path, conf: ResolvConf) -> None:
    """As `ln -sfn` does it: a symlink in the way leads elsewhere."""
    folder = path.parent / f"folder-{conf.nameservers[0]}"
    folder.mkdir()
    write(folder / "resolv.conf", conf)
    (path.parent / "new").symlink_to(folder)
    (path.parent / "new").rename(path.parent / "current")
    if not path.is_symlink():
        path.symlink_to("current/resolv.conf")


@pytest.mark.parametrize("change", [write, replace, in_another_folder])
def test_a_change_is_told_once(
    reactor: HostReactor, tmp_path: Path, change: Callable[[Path, ResolvConf], None]
) -> None:
    path = tmp_path / "resolv.conf"
    change(path, FIRST)
    followed = Followed(reactor, path)
    assert followed.watch.conf == FIRST
    assert followed.look() == []
    change(path, SECOND)
    assert followed.look() == [SECOND]
    assert followed.watch.conf == SECOND
    assert followed.look() == []


def test_one_that_says_nothing_changes_nothing(reactor: HostReactor, tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    write(path, FIRST)
    followed = Followed(reactor, path)
    path.write_text("")
    assert followed.look() == []
    path.unlink()
    assert followed.look() == []
    assert followed.watch.conf == FIRST
    write(path, FIRST)
    assert followed.look() == []
    write(path, SECOND)
    assert followed.look() == [SECOND]


def test_one_that_comes_later(reactor: HostReactor, tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.symlink_to("none")
    followed = Followed(reactor, path)
    assert followed.watch.conf == ResolvConf()
    assert followed.look() == []
    write(tmp_path / "none", FIRST)
    assert followed.look() == [FIRST]


def test_two_writes_at_the_same_time_as_the_clock_has_it(
    reactor: HostReactor, tmp_path: Path
) -> None:
    path = tmp_path / "resolv.conf"
    write(path, FIRST)
    followed = Followed(reactor, path)
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    write(path, SECOND)
    os.utime(path, ns=times)
    assert followed.look() == [SECOND]


def test_a_file_that_stays_is_not_read_again(
    reactor: HostReactor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "resolv.conf"
    write(path, FIRST)
    os.utime(path, (1, 1))
    followed = Followed(reactor, path)
    monkeypatch.setattr("rootlessnet.resolv_conf.read", None)
    assert followed.look() == []


def test_nothing_is_looked_at_after_the_end(reactor: HostReactor, tmp_path: Path) -> None:
    followed = Followed(reactor, tmp_path / "resolv.conf")
    followed.watch.close()
    assert reactor.time_is_up() == 0
    followed.watch.close()
