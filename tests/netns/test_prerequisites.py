"""Each prerequisite's remedy, on systems made of files."""

import errno
import os
from pathlib import Path

import pytest

from rootlessnet.errors import RootlessnetError
from rootlessnet.netns import prerequisites


def system(root: Path, **settings: str) -> Path:
    """A /proc/sys with the settings, named with a double underscore for a dot."""
    for name, value in settings.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    return root


def error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES])
@pytest.mark.parametrize(
    ("setting", "bad", "good"),
    [
        ("kernel.unprivileged_userns_clone", "0", "1"),
        ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
    ],
)
def test_namespaces_forbidden(
    tmp_path: Path, number: int, setting: str, bad: str, good: str
) -> None:
    name = setting.replace(".", "__")
    problem = prerequisites.explain_namespaces(error(number), system(tmp_path, **{name: bad}))
    assert problem.remedy == f'as root: sysctl -w {setting}="{good}"'
    harmless = prerequisites.explain_namespaces(error(number), system(tmp_path, **{name: good}))
    assert "sysctl" not in harmless.remedy


def test_namespaces_forbidden_twice(tmp_path: Path) -> None:
    root = system(
        tmp_path,
        kernel__unprivileged_userns_clone="0",
        kernel__apparmor_restrict_unprivileged_userns="1",
    )
    remedy = prerequisites.explain_namespaces(error(errno.EPERM), root).remedy
    assert remedy.count("sysctl -w") == 2


@pytest.mark.parametrize("kind", ["user", "net", "mnt", "pid"])
def test_namespaces_limited_to_none(tmp_path: Path, kind: str) -> None:
    root = system(tmp_path, **{f"user__max_{kind}_namespaces": "0"})
    remedy = prerequisites.explain_namespaces(error(errno.ENOSPC), root).remedy
    assert f"user.max_{kind}_namespaces" in remedy


def test_namespaces_used_up(tmp_path: Path) -> None:
    root = system(tmp_path, user__max_user_namespaces="1000")
    remedy = prerequisites.explain_namespaces(error(errno.ENOSPC), root).remedy
    assert "user.max_*_namespaces" in remedy


def test_kernel_without_namespaces(tmp_path: Path) -> None:
    remedy = prerequisites.explain_namespaces(error(errno.EINVAL), tmp_path).remedy
    assert "CONFIG_USER_NS" in remedy


def test_tun_missing(tmp_path: Path) -> None:
    check = prerequisites.check_tun(tmp_path / "tun")
    assert not check.passed
    assert check.required
    assert "modprobe tun" in check.remedy or "mknod" in check.remedy


def test_tun_closed(tmp_path: Path) -> None:
    problem = prerequisites.explain_tap(error(errno.EACCES), path=tmp_path / "tun")
    assert problem.remedy == f"as root: chmod 0666 {tmp_path / 'tun'}"


def test_tun_present() -> None:
    if not prerequisites.TUN.exists():
        pytest.skip(f"no {prerequisites.TUN} here")
    check = prerequisites.check_tun()
    assert check.passed or "chmod 0666" in check.remedy


def test_what_is_not_tun(tmp_path: Path) -> None:
    plain, fifo = tmp_path / "plain", tmp_path / "fifo"
    plain.touch()
    os.mkfifo(fifo)
    for path in (plain, fifo, Path("/dev/null")):
        check = prerequisites.check_tun(path)
        assert not check.passed
        assert check.remedy == f"as root: rm {path} && mknod -m 0666 {path} c 10 200"


def test_offload_is_not_tried_without_a_tap(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = prerequisites.Check("tun", False, "no", "yes")
    monkeypatch.setattr(prerequisites, "check_tun", lambda: missing)
    check = prerequisites.check_offload()
    assert not check.passed
    assert "kernel" not in check.remedy


def test_tap_name_taken() -> None:
    problem = prerequisites.explain_tap(error(errno.EBUSY), "tap7")
    assert "'tap7'" in problem.detail
    assert "--tap-name" in problem.remedy


def test_low_ports(tmp_path: Path) -> None:
    every = system(tmp_path / "all", net__ipv4__ip_unprivileged_port_start="0")
    assert prerequisites.check_low_ports(every).passed
    if os.geteuid() != 0:
        usual = system(tmp_path / "usual", net__ipv4__ip_unprivileged_port_start="1024")
        check = prerequisites.check_low_ports(usual)
        assert not check.passed
        assert not check.required
        assert "ip_unprivileged_port_start" in check.remedy


@pytest.mark.parametrize(
    ("lines", "passed"),
    [
        (f"{os.getuid()}:100000:65536\n", True),
        (f"{os.getuid()}:100000:60000\n{os.getuid()}:200000:10000\n", True),
        (f"{os.getuid()}:100000:1000\n", False),
        ("somebody-else:100000:65536\n", False),
        ("# no line of this kind\n\n", False),
        (f"{os.getuid()}:x:y\n{os.getuid()}:100000:-1\n", False),
        (f"caf\udce9:1:1\n{os.getuid()}:100000:65536\n", True),
    ],
)
def test_subordinate_ids(tmp_path: Path, lines: str, passed: bool) -> None:
    path = tmp_path / "subuid"
    path.write_text(lines, errors="surrogateescape")
    check = prerequisites.check_subordinate_ids(path)
    assert check.passed is passed
    assert not check.required
    assert passed or "usermod --add-subuids" in check.remedy


def test_nobody_elses_subordinate_ids_are_recommended(tmp_path: Path) -> None:
    path = tmp_path / "subuid"
    path.write_text("somebody:300000:65536\nelse:100000:65536\n")
    assert "365536-431071" in prerequisites.check_subordinate_ids(path).remedy


def test_no_subordinate_ids(tmp_path: Path) -> None:
    assert "--add-subgids" in prerequisites.check_subordinate_ids(tmp_path / "subgid").remedy


def test_nameservers(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 192.0.2.1\nnameserver 192.0.2.2\n")
    assert prerequisites.check_nameservers(str(path)).detail == "192.0.2.1, 192.0.2.2"
    path.write_text("search example.org\n")
    check = prerequisites.check_nameservers(str(path))
    assert not check.passed
    assert not check.required
    assert str(path) in check.remedy


def test_problem_is_one_line() -> None:
    problem = prerequisites.explain_namespaces(error(errno.EPERM))
    assert isinstance(problem.error(), RootlessnetError)
    assert "\n" not in str(problem.error())


def test_all_checks_have_a_remedy_or_passed() -> None:
    checks = list(prerequisites.checks())
    assert len({check.name for check in checks}) == len(checks)
    for check in checks:
        assert check.passed is not bool(check.remedy), check
