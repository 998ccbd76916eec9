"""`rootlessnet ps`: the running instances."""

import argparse
import shlex
import time

from rootlessnet.cli import output
from rootlessnet.cli.parser import Parser
from rootlessnet.control.client import instances
from rootlessnet.control.description import InstanceDescription

_DESCRIPTION = """\
List your running instances of `rootlessnet run` and `rootlessnet attach`, and
those of programs that use the Python API: the name, the process id, the age,
the host's address if ports are published on one, the published ports and
those of the host that the guest can reach (to-host=), and the command or the
namespace that it serves."""

_EPILOG = """\
examples:
  the names alone
    rootlessnet ps --json | jq -r '.[].name'

exit status:
  0, also when none runs; 2 for a usage error, 1 for any other failure."""

_HEAD = ("NAME", "PID", "AGE", "HOST-IP", "PORTS", "COMMAND")
_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


class _Arguments(argparse.Namespace):
    json: bool


def ps(words: list[str]) -> int:
    """Print them; returns 0."""
    parser = Parser("ps", "[options]", _DESCRIPTION, _EPILOG)
    parser.add_argument(
        "--json",
        action="store_true",
        help="as a JSON array of objects, with the addresses of the network too "
        "(default: as a table)",
    )
    as_json = parser.parse(words, _Arguments()).json
    found = instances()
    output.write(_json(found) if as_json else table(found, time.time()))
    return 0


def table(found: list[InstanceDescription], now: float) -> str:
    """Aligned columns, one line an instance."""
    rows = [_HEAD, *(_row(one, now) for one in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = (
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "".join(f"{output.one_line(line.rstrip())}\n" for line in lines)


def _row(one: InstanceDescription, now: float) -> tuple[str, ...]:
    pid = str(one.pid or "?")
    network = one.network
    host_ip = (network.host_ip if network is not None else None) or "-"
    return (one.name, pid, _age(now - one.started), host_ip, _ports(one), _what(one))


def _ports(one: InstanceDescription) -> str:
    to_host = one.network.to_host if one.network is not None else ()
    return " ".join((*one.ports, *(f"to-host={way}" for way in to_host))) or "-"


def _what(one: InstanceDescription) -> str:
    if one.command is not None:
        return shlex.join(one.command)
    if one.target is not None:
        return f"(attached to {one.target})"
    return "(does not answer: stopped?)"


def _age(seconds: float) -> str:
    """In the largest unit that it has one of."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return "0s"


def _json(found: list[InstanceDescription]) -> str:
    import json

    return json.dumps([one.as_json() for one in found], indent=2) + "\n"
