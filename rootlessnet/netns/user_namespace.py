"""Entering a user namespace of our own: which ids it has, and who may write them down.

An unprivileged process may map one id, its own. Root may map every id that it has, and then does,
so that programs that change their user (apt, su) work inside as they do outside. The kernel asks
root to write such a map from outside of the new namespace: a helper forked beforehand does it for
the process that enters.

Read: user_namespaces(7), "Defining user and group ID mappings".
"""

import os

from rootlessnet.netns import kernel_file, processes, syscalls

_KINDS = ("gid", "uid")  # in the order of writing


def enter(other_namespaces: int, *, map_user: bool) -> None:
    """Move this process to a new user namespace, and to new ones of the kinds in the flags
    `other_namespaces`, which the user namespace owns.

    This process must have one thread. It is uid 0 inside, or keeps its ids with `map_user`. Raises
    `OSError` when the system does not allow it: `prerequisites.explain_namespaces` says why.
    """
    user, group = os.geteuid(), os.getegid()
    flags = syscalls.CLONE_NEWUSER | other_namespaces
    if user == 0:
        _unshare_and_have_mapped(flags)
    else:
        syscalls.unshare(flags)
    if not is_mapped("gid"):
        kernel_file.write("/proc/self/setgroups", "deny")
        kernel_file.write("/proc/self/gid_map", single_map(group if map_user else 0, group))
    if not is_mapped("uid"):
        kernel_file.write("/proc/self/uid_map", single_map(user if map_user else 0, user))


def is_mapped(kind: str) -> bool:
    """Whether this process's user namespace has a map of `kind`, "uid" or "gid"."""
    return bool(kernel_file.read(f"/proc/self/{kind}_map"))


def single_map(inside: int, outside: int) -> str:
    """The map that an unprivileged process may write for itself."""
    return f"{inside} {outside} 1\n"


def identity_map(current: str) -> str:
    """The map of a child namespace that has every id of the current one under the same number.

    `current` is the text of /proc/self/uid_map or gid_map.
    """
    lines = (line.split() for line in current.splitlines())
    return "".join(f"{inside} {inside} {count}\n" for inside, _, count in lines)


def group_range(current: str) -> tuple[int, int]:
    """The first and last id of the first unbroken range inside; `current` as in `identity_map`."""
    ranges = sorted((int(line.split()[0]), int(line.split()[2])) for line in current.splitlines())
    first, end = ranges[0][0], ranges[0][0]
    for inside, count in ranges:
        if inside == end:
            end += count
    return first, end - 1


def _unshare_and_have_mapped(flags: int) -> None:
    """Unshare, and have a child that stayed outside write the maps, as far as it may."""
    maps = {kind: identity_map(kernel_file.read(f"/proc/self/{kind}_map")) for kind in _KINDS}
    target = os.getpid()
    go_read, go_write = os.pipe()
    helper = processes.fork()
    if helper == 0:
        os.close(go_write)
        if os.read(go_read, 1):  # else the one to map is gone
            for kind in _KINDS:
                try:
                    kernel_file.write(f"/proc/{target}/{kind}_map", maps[kind])
                except OSError:
                    continue  # the caller sees the empty map, and writes the single one
        os._exit(0)
    os.close(go_read)
    try:
        syscalls.unshare(flags)
        os.write(go_write, b"\n")
    finally:
        os.close(go_write)
        os.waitpid(helper, 0)
