"""The state folder: where it is, who may use it, and names that are had, freed and left behind."""

import os
import socket
import stat
from pathlib import Path

import pytest

from rootlessnet.control import state
from rootlessnet.control.state import Claim, Folder, claim
from rootlessnet.errors import RootlessnetError
from rootlessnet.state_folder import folder_path
from rootlessnet.target import SOCKET_PATH_SIZE
from tests.host.world import descriptors, no_descriptor_left

ME = os.geteuid()


def claimed(name: str) -> Claim:
    made = claim(name)
    assert made is not None
    return made


def leave_stale(folder: Path, name: str = "web") -> Path:
    """What an instance leaves that was killed."""
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{name}.sock"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
        bound.listen()
    return path


# The folder


def test_it_is_in_the_runtime_directory(runtime: Path) -> None:
    assert folder_path() == f"{runtime}/rootlessnet"


@pytest.mark.parametrize("value", [None, "", "relative"])
def test_without_a_runtime_directory(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if value is None:
        monkeypatch.delenv("XDG_RUNTIME_DIR")
    else:
        monkeypatch.setenv("XDG_RUNTIME_DIR", value)
    owners = {f"/run/user/{ME}": ME + 1}
    stat_of = os.stat

    def pretend(path: str) -> os.stat_result:
        if path not in owners:
            raise FileNotFoundError(path)
        found = list(stat_of("/"))
        found[stat.ST_UID] = owners[path]
        return os.stat_result(found)

    monkeypatch.setattr(os, "stat", pretend)
    assert folder_path() == f"/tmp/rootlessnet-{ME}"
    owners[f"/run/user/{ME}"] = ME
    assert folder_path() == f"/run/user/{ME}/rootlessnet"
    owners.clear()
    assert folder_path() == f"/tmp/rootlessnet-{ME}"


def test_it_is_for_its_owner_alone(folder: Path) -> None:
    assert Folder.find() is None
    before = os.umask(0)
    try:
        made = claimed("web")
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "web.sock").stat().st_mode) == 0o600
    made.release()


def test_a_folder_that_is_open_to_others_is_not_used(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o750)
    with pytest.raises(RootlessnetError, match="open to other users: chmod 0700"):
        claim("web")
    with pytest.raises(RootlessnetError, match="open to other users"):
        Folder.find()
    assert claim(None) is None


def test_a_folder_of_another_user_is_not_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: ME + 1)
    with pytest.raises(RootlessnetError, match="is another user's: remove it"):
        Folder(str(folder))
    with pytest.raises(RootlessnetError, match="is another user's: remove it"):
        Folder.find()


def test_a_runtime_directory_of_another_user_is_left_alone(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `sudo -E` leaves it to root."""
    monkeypatch.setattr(os, "geteuid", lambda: ME + 1)
    with pytest.raises(RootlessnetError, match="another user's: unset XDG_RUNTIME_DIR"):
        claim("web")
    assert claim(None) is None
    assert list(runtime.iterdir()) == []


def test_a_symbolic_link_is_not_followed(folder: Path, runtime: Path) -> None:
    (runtime / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(runtime / "elsewhere")
    with pytest.raises(RootlessnetError, match="cannot use the state folder"):
        claim("web")
    assert claim(None) is None
    assert list((runtime / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("path", ["/nonexistent", "/proc", "/dev/null"])
def test_a_runtime_directory_that_takes_nothing(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has not asked for a name goes on without."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", path)
    with pytest.raises(RootlessnetError, match="set XDG_RUNTIME_DIR"):
        claim("web")
    assert claim(None) is None


def test_a_path_too_long_for_a_socket(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its limit is in bytes."""
    deep = runtime / ("ä" * ((SOCKET_PATH_SIZE - len(f"{runtime}/")) // 2))
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    with pytest.raises(RootlessnetError, match="take a shorter name"):
        claim("web")
    assert claim(None) is None


def test_the_longest_path(folder: Path) -> None:
    name = "x" * (SOCKET_PATH_SIZE - len(f"{folder}/.sock"))
    claimed(name).release()
    with pytest.raises(RootlessnetError, match="108 bytes"):
        claim(f"{name}x")


# Names


def test_a_name_is_had_once(folder: Path) -> None:
    first = claimed("web")
    with pytest.raises(RootlessnetError, match="runs already: choose another --name, or end it"):
        claim("web")
    other = claimed("db")
    first.release()
    first.release()
    claimed("web").release()
    assert Folder(str(folder)).names() == ["db"]
    other.release()


def test_random_names_differ() -> None:
    made = [claim(None) for _ in range(50)]
    names = {one.name for one in made if one is not None}
    assert len(names) == 50
    assert not any(name.isdigit() for name in names)
    for one in made:
        assert one is not None
        one.release()


def test_what_a_killed_instance_left_is_no_obstacle(folder: Path) -> None:
    leave_stale(folder)
    made = claimed("web")
    assert not state.is_stale(str(folder / "web.sock"))
    made.release()


def test_only_what_is_stale_is_removed(folder: Path) -> None:
    path = leave_stale(folder)
    running = claimed("db")
    found = Folder(str(folder))
    for name in ("web", "db", "none"):
        found.remove_stale(name)
    assert not path.exists()
    assert found.names() == ["db"]
    running.release()


def test_who_begins_without_a_name_removes_a_few(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the long run all: where each looks first is left to chance."""
    monkeypatch.setattr(state, "_REMOVED_MOST", 2)
    for number in range(3):
        leave_stale(folder, f"stale{number}")
    running = claimed("web")
    found = Folder(str(folder))
    for _ in range(100):
        made = claim(None)
        assert made is not None
        made.release()
        if found.names() == ["web"]:
            break
    assert found.names() == ["web"]
    running.release()


def test_releasing_leaves_the_socket_of_a_successor(folder: Path) -> None:
    """Somebody has emptied the folder meanwhile."""
    first = claimed("web")
    (folder / "web.sock").unlink()
    second = claimed("web")
    first.release()
    assert Folder(str(folder)).names() == ["web"]
    second.release()
    assert Folder(str(folder)).names() == []


def test_a_lock_that_is_never_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "_PATIENCE", 0.0)
    folder.mkdir(mode=0o700)
    with Folder(str(folder)).locked():
        with pytest.raises(RootlessnetError, match="stays locked"):
            claim("web")
        assert claim(None) is None
    claimed("web").release()


def test_no_descriptor_left() -> None:
    with no_descriptor_left():
        with pytest.raises(RootlessnetError, match=r"raise the limit \(ulimit -n\)"):
            claim("web")
        assert claim(None) is None


def test_a_failed_claim_leaves_no_descriptor(folder: Path) -> None:
    made = claimed("web")
    before = descriptors()
    for _ in range(3):
        with pytest.raises(RootlessnetError):
            claim("web")
    assert descriptors() == before
    made.release()
