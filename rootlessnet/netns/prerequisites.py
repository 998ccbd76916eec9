"""What the system must allow, whether it does, and how to mend it.

Each check tries the thing itself, in a forked child where that would change this process, and reads
settings only to say why it failed: a setting that looks wrong but does no harm is not reported. The
explain functions give the error of a real attempt the same remedies.

Read: user_namespaces(7), namespaces(7), Documentation/networking/tuntap.rst, icmp(7), ip(7),
subuid(5).
"""

import errno
import fcntl
import os
import pwd
import socket
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rootlessnet import limits, resolv_conf
from rootlessnet.errors import RootlessnetError
from rootlessnet.netns import interface, syscalls, user_namespace
from rootlessnet.netns.child import Child
from rootlessnet.netns.messages import Channel, Kind, Message

TUN = Path("/dev/net/tun")
PROC_SYS = Path("/proc/sys")

_GUEST_NAMESPACES = syscalls.CLONE_NEWNET | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID
_SUBORDINATE_IDS = 65536  # what container engines ask for
_FIRST_SUBORDINATE_ID = 100000  # where useradd(8) begins
_CAP_NET_BIND_SERVICE = 10  # capabilities(7)

_TUN_NUMBER = os.makedev(10, 200)  # Documentation/admin-guide/devices.txt

# Requests and flags of <linux/if_tun.h>
_TUNSETOFFLOAD = 0x400454D0
_TUN_F_CSUM, _TUN_F_TSO4, _TUN_F_TSO6 = 1, 2, 4


@dataclass(frozen=True, slots=True)
class Check:
    """One prerequisite. `remedy` is empty when it passed; `required`: nothing works without it."""

    name: str
    passed: bool
    detail: str
    remedy: str = ""
    required: bool = True


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something failed, and what to do about it."""

    detail: str
    remedy: str

    def error(self) -> RootlessnetError:
        """The same as the line that ends the program."""
        return RootlessnetError(f"{self.detail}: {self.remedy}")

    def check(self, name: str, *, required: bool = True) -> Check:
        """The same as a check that did not pass."""
        return Check(name, False, self.detail, self.remedy, required)


def checks() -> Iterator[Check]:
    """All of them, each made when it is asked for; none but the first without /proc."""
    try:
        limits.require_proc()
    except RootlessnetError as error:
        detail, _, remedy = str(error).partition(": ")
        yield Problem(detail, remedy).check("/proc")
        return
    yield check_namespaces()
    yield check_tun()
    yield check_offload()
    yield check_ping()
    yield check_low_ports()
    yield check_subordinate_ids(Path("/etc/subuid"))
    yield check_subordinate_ids(Path("/etc/subgid"))
    yield check_nameservers()


def check_namespaces() -> Check:
    """May this process make a user namespace with all that `run` puts in it?"""
    error = _attempt(lambda: None)
    if error is not None:
        return explain_namespaces(error).check("user namespaces")
    return Check("user namespaces", True, "this user can make them")


def check_tun(path: Path = TUN) -> Check:
    """Is the device node there, is it that device, and may this user open it?"""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        return explain_tap(error, path=path).check(str(path))
    status = os.fstat(descriptor)
    os.close(descriptor)
    if not stat.S_ISCHR(status.st_mode) or status.st_rdev != _TUN_NUMBER:
        return explain_tap(_os_error(errno.ENOTTY), path=path).check(str(path))
    return Check(str(path), True, "present and accessible")


def check_offload() -> Check:
    """Does a TAP take the virtio-net header and segmentation offload? It is slower without."""
    if not (check_namespaces().passed and check_tun().passed):
        return Problem("not tried, for there is no TAP", "mend what fails above").check(
            "TAP offload", required=False
        )
    error = _attempt(_make_tap_with_offload)
    if error is not None:
        return Problem(
            f"not accepted ({error.strerror})",
            "the network works without, slower; a newer kernel offers it",
        ).check("TAP offload", required=False)
    return Check("TAP offload", True, "accepted", required=False)


def check_ping() -> Check:
    """May this user open an ICMP socket? Else ping is answered by the gateway only."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP).close()
    except OSError:
        setting = "net.ipv4.ping_group_range"
        return Problem(
            f"{setting} ({_sysctl(setting)}) has no group of this user: only the gateway answers",
            _assign(setting, "0 2147483647"),
        ).check("ping", required=False)
    return Check("ping", True, "this user can open ICMP sockets", required=False)


def check_low_ports(proc_sys: Path = PROC_SYS) -> Check:
    """From which port on may this user publish?"""
    setting = "net.ipv4.ip_unprivileged_port_start"
    first = int(_sysctl(setting, proc_sys) or 1024)
    if first > 1 and not _has_capability(_CAP_NET_BIND_SERVICE):
        return Problem(
            f"this user can publish ports from {first} on, not below",
            _assign(setting, "0"),
        ).check("low ports", required=False)
    return Check("low ports", True, "this user can publish every port", required=False)


def check_subordinate_ids(path: Path) -> Check:
    """Has this user a range of further ids? `run` needs none; rootless container engines do."""
    user = str(os.getuid())
    try:
        owners = {user, pwd.getpwuid(os.getuid()).pw_name}
    except KeyError:  # an id without a name
        owners = {user}
    ranges = list(_subordinate_ranges(path))
    count = sum(ids for owner, _, ids in ranges if owner in owners)
    if count < _SUBORDINATE_IDS:
        option = "--add-subuids" if path.name == "subuid" else "--add-subgids"
        # Behind all that are given away: two users of one id could read each other's files.
        first = max([_FIRST_SUBORDINATE_ID, *(start + ids for _, start, ids in ranges)])
        name = min(owners - {user}, default=user)
        return Problem(
            f"{count} ids for this user, rootless container engines want {_SUBORDINATE_IDS}",
            f"as root: usermod {option} {first}-{first + _SUBORDINATE_IDS - 1} {name}",
        ).check(str(path), required=False)
    return Check(str(path), True, f"{count} ids for this user", required=False)


def _subordinate_ranges(path: Path) -> Iterator[tuple[str, int, int]]:
    """Owner, first id and number of ids of each line of `path` that makes sense."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        match line.split(":"):
            case [owner, start, ids] if start.isdecimal() and ids.isdecimal():
                yield owner, int(start), int(ids)


def check_nameservers(path: str = resolv_conf.PATH) -> Check:
    """Does the host name anyone to forward the guest's DNS queries to? It may later."""
    nameservers = resolv_conf.read(path).nameservers
    if not nameservers:
        return Problem(
            f"{path} names none",
            f"add a line like `nameserver 192.0.2.1` with the address of yours to {path}",
        ).check("nameservers", required=False)
    return Check("nameservers", True, ", ".join(map(str, nameservers)))


def explain_namespaces(error: OSError, proc_sys: Path = PROC_SYS) -> Problem:
    """Why making the namespaces failed with `error`."""
    remedies = []
    if error.errno in (errno.EPERM, errno.EACCES):
        if _sysctl("kernel.unprivileged_userns_clone", proc_sys) == "0":
            remedies.append(_assign("kernel.unprivileged_userns_clone", "1"))
        if _sysctl("kernel.apparmor_restrict_unprivileged_userns", proc_sys) not in ("", "0"):
            remedies.append(_assign("kernel.apparmor_restrict_unprivileged_userns", "0"))
        fallback = (
            "allow it in the seccomp profile, security module or chroot this process runs under"
        )
    elif error.errno == errno.ENOSPC:
        for kind in ("user", "net", "mnt", "pid"):
            setting = f"user.max_{kind}_namespaces"
            if _sysctl(setting, proc_sys) == "0":
                remedies.append(_assign(setting, "15000"))
        fallback = "raise the limits user.max_*_namespaces, or nest fewer namespaces"
    elif error.errno == errno.EINVAL:
        fallback = "run a kernel built with CONFIG_USER_NS, CONFIG_NET_NS and CONFIG_PID_NS"
    else:
        fallback = "see user_namespaces(7)"
    detail = f"cannot make a user namespace ({error.strerror})"
    return Problem(detail, ", and ".join(remedies) or fallback)


def explain_tap(error: OSError, name: str = "", path: Path = TUN) -> Problem:
    """Why opening /dev/net/tun, or making the TAP `name` with it, failed with `error`."""
    detail = f"cannot open {path} ({error.strerror})"
    match error.errno:
        case errno.EBUSY | errno.EEXIST | errno.EINVAL if name:
            detail = f"cannot make the interface {name!r} ({error.strerror})"
            return Problem(detail, "choose another name with --tap-name")
        case errno.ENOENT if Path("/sys/class/misc/tun").exists():
            node = f"mkdir -p {path.parent} && mknod -m 0666 {path} c 10 200"
            return Problem(detail, f"as root: {node} (in a container: --device {path})")
        case errno.ENOENT | errno.ENODEV | errno.ENXIO:
            return Problem(detail, f"as root: modprobe tun (in a container: --device {path})")
        case errno.EACCES:
            return Problem(detail, f"as root: chmod 0666 {path}")
        case errno.EPERM:
            return Problem(detail, f"allow the device to this container: --device {path}")
        case errno.ENOTTY:
            detail = f"{path} is not the TUN/TAP device"
            return Problem(detail, f"as root: rm {path} && mknod -m 0666 {path} c 10 200")
    return Problem(detail, "see Documentation/networking/tuntap.rst of the kernel")


def _attempt(action: Callable[[], None]) -> OSError | None:
    """What goes wrong when a child enters the namespaces of a guest and does `action` there."""

    def work(channel: Channel) -> None:
        number = 0
        try:
            user_namespace.enter(_GUEST_NAMESPACES, map_user=False)
            action()
        except OSError as error:
            number = error.errno or errno.EIO
        channel.send(Message(Kind.DONE, number))

    child = Child(work, name="the check")
    try:
        number = child.receive(Kind.DONE).number
    finally:
        child.close()
    return _os_error(number) if number else None


def _os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _make_tap_with_offload() -> None:
    tap = interface.make_tap("tap0")
    if not tap.vnet:
        raise _os_error(errno.EOPNOTSUPP)
    fcntl.ioctl(tap.fd, _TUNSETOFFLOAD, _TUN_F_CSUM | _TUN_F_TSO4 | _TUN_F_TSO6)


def _sysctl(name: str, proc_sys: Path = PROC_SYS) -> str:
    """The value of a sysctl, its words separated by one space; empty when the kernel has none."""
    try:
        return " ".join((proc_sys / name.replace(".", "/")).read_text().split())
    except OSError:
        return ""


def _assign(name: str, value: str) -> str:
    return f'as root: sysctl -w {name}="{value}"'


def _has_capability(number: int) -> bool:
    status = Path("/proc/self/status").read_text()
    effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective.split()[1], 16) >> number & 1)
