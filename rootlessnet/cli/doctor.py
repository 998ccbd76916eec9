"""`rootlessnet doctor`: what this machine has to allow, whether it does, and how to mend it."""

from argparse import Namespace
from collections.abc import Iterator

from rootlessnet.cli import output
from rootlessnet.cli.parser import Parser
from rootlessnet.hardening import landlock, seccomp
from rootlessnet.netns import prerequisites
from rootlessnet.netns.prerequisites import Check, Problem

_DESCRIPTION = """\
Check what this machine has to allow before `rootlessnet run` can work for
you. Each check says pass or fail, what it found, and how to mend it. Without
the optional ones the network works, but not all of it. Nothing is changed."""

_EPILOG = """\
exit status:
  0 when everything that is required passes, 1 otherwise."""

_GREEN, _YELLOW, _RED = 32, 33, 31  # "Select Graphic Rendition" of ECMA-48


def doctor(words: list[str]) -> int:
    """Print every check; returns 0 when all required ones pass, 1 otherwise."""
    Parser("doctor", "[options]", _DESCRIPTION, _EPILOG).parse(words, Namespace())
    results = list(checks())
    output.write(report(results, colour=output.colour_wanted()))
    return 0 if _can_run(results) else 1


def checks() -> Iterator[Check]:
    """All of them, each made when it is asked for."""
    yield from prerequisites.checks()
    yield check_seccomp(available=seccomp.is_available())
    yield check_landlock(landlock.version())


def check_seccomp(*, available: bool) -> Check:
    """Can the process outside do without most system calls?"""
    if not available:
        return Problem(
            "system calls are not filtered",
            "the network works without, less protected; a kernel with CONFIG_SECCOMP_FILTER on "
            "x86_64 or aarch64 has it",
        ).check("seccomp", required=False)
    return Check("seccomp", True, "system calls are filtered", required=False)


def check_landlock(version: int) -> Check:
    """Can it do without most files?"""
    if not version:
        return Problem(
            "files of this user are not kept from rootlessnet",
            "the network works without, less protected; Linux 5.13 and later have it, where "
            "landlock is among lsm= of the kernel's command line",
        ).check("Landlock", required=False)
    detail = f"files are kept from rootlessnet (version {version})"
    return Check("Landlock", True, detail, required=False)


def report(results: list[Check], *, colour: bool) -> str:
    """Aligned lines, one a check, the remedy below a failed one, and a verdict at the end."""
    width = max((len(_title(check)) for check in results), default=0)
    lines = []
    for check in results:
        detail = output.one_line(check.detail)
        lines.append(f"{_verdict(check, colour)}  {_title(check):<{width}}  {detail}")
        if not check.passed:
            lines.append(f"{'':<{len('pass') + width + 4}}-> {output.one_line(check.remedy)}")
    lines += ["", _summary(results)]
    return "".join(f"{line}\n" for line in lines)


def _title(check: Check) -> str:
    name = output.one_line(check.name)
    return name if check.required else f"{name} (optional)"


def _verdict(check: Check, colour: bool) -> str:
    word = "pass" if check.passed else "fail"
    if not colour:
        return word
    code = _GREEN if check.passed else _RED if check.required else _YELLOW
    return f"\x1b[{code}m{word}\x1b[m"


def _summary(results: list[Check]) -> str:
    if not _can_run(results):
        return "rootlessnet cannot run here yet: mend what fails and is not optional."
    if all(check.passed for check in results):
        return "rootlessnet can run here."
    return "rootlessnet can run here, without the optional things that fail."


def _can_run(results: list[Check]) -> bool:
    return all(check.passed for check in results if check.required)
