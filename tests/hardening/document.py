"""The list of system calls in docs/security.md, made from `rootlessnet.hardening.allowed`.

`python -m tests.hardening.document` writes it between its marks; the text around is by hand.
"""

from pathlib import Path

from rootlessnet.hardening.allowed import ALWAYS, MISSING, allowed

DOCUMENT = Path(__file__).parents[2] / "docs" / "security.md"
BEGIN, END = "<!-- made by tests/hardening/document.py -->\n", "<!-- end -->\n"
WIDTH = 110

CONDITIONS = {
    "socket": "AF_INET and AF_INET6, SOCK_STREAM and SOCK_DGRAM; AF_UNIX, SOCK_DGRAM; AF_NETLINK, "
    "NETLINK_ROUTE",
    "socketpair": "AF_UNIX",
    "ioctl": "SIOCOUTQ, FIONREAD, FIONBIO, FIOCLEX, FIONCLEX, SIOCGIFNAME, SIOCGIFINDEX, TCGETS, "
    "TIOCGWINSZ, TIOCGPGRP, TIOCSPGRP",
    "fcntl": "F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, F_GETPIPE_SZ, F_SETPIPE_SZ",
    "mmap": "not writable and executable at once",
    "mprotect": "not writable and executable at once",
    "openat": "to read",
    "open": "to read",
    "clone": "a thread, no process and no namespace",
    "prctl": "PR_SET_NAME, PR_SET_CHILD_SUBREAPER, PR_SET_VMA",
    "prlimit64": "of the process itself",
    "tgkill": "the process itself",
    "kill": "the process itself and the guest's init; with `--no-pid` any process; signal 0 to any",
}


def listing() -> str:
    rules = allowed(0, ())
    always = [name for name, rule in rules.items() if rule == ALWAYS]
    lines = ["", *_wrapped(always), "", "| call | with |", "|---|---|"]
    lines += [f"| {name} | {CONDITIONS[name]} |" for name, rule in rules.items() if rule != ALWAYS]
    lines.append(
        f"| {', '.join(MISSING)} | answered with ENOSYS, as any call newer than the list |"
    )
    return "\n".join([*lines, "", ""])


def with_listing(document: str) -> str:
    """The document with what the list says now."""
    before, _, rest = document.partition(BEGIN)
    return before + BEGIN + listing() + END + rest.partition(END)[2]


def _wrapped(names: list[str]) -> list[str]:
    lines = [""]
    for name in sorted(names):
        if len(lines[-1]) + len(name) + 1 > WIDTH:
            lines.append("")
        lines[-1] += f"{' ' if lines[-1] else ''}{name}"
    return lines


if __name__ == "__main__":
    DOCUMENT.write_text(with_listing(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
