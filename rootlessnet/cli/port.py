"""`rootlessnet port`: the published ports of a running instance, shown and changed."""

import argparse

from rootlessnet.cli import output
from rootlessnet.cli.parser import Parser
from rootlessnet.control import client
from rootlessnet.errors import UsageError
from rootlessnet.forward import parse_forwards

_HELP = """\
usage: rootlessnet port ls|add|rm ID [PORTS...]

Show and change the ports that a running instance publishes. ID is its name,
the beginning of its name, or its process id: `rootlessnet ps` shows them.

  ls ID            show them, one a line, in the form that `rm` takes
  add ID PORTS...  publish these too, all of them or none, and show them
  rm ID PORTS...   publish these no more, all of them or none

PORTS is written as for -p of `rootlessnet run`; a port that it leaves open is
shown with the number that was found. Connections that stand go on, those of
the ports that are withdrawn too. What -P publishes is among them; if it is
withdrawn it stays so until the guest listens on it anew.

options:
  -h, --help       show this text and exit

examples:
  rootlessnet port add web 8080:80 127.0.0.1:5353:53/udp
  rootlessnet port rm web 8080:80

exit status:
  0; 2 for a usage error, 1 for any other failure.
"""


class _Arguments(argparse.Namespace):
    id: str
    ports: list[str]


def port(words: list[str]) -> int:
    """Do what `words` ask for; returns 0."""
    match words:
        case ["-h" | "--help", *_] | ["ls" | "add" | "rm", "-h" | "--help", *_]:
            output.write(_HELP)
        case ["ls", *rest]:
            _show(client.ports(_parse("ls", rest).id))
        case ["add", *rest]:
            arguments = _parse("add", rest)
            _show(client.publish(arguments.id, tuple(arguments.ports)))
        case ["rm", *rest]:
            arguments = _parse("rm", rest)
            client.withdraw(arguments.id, tuple(arguments.ports))
        case [word, *_]:
            raise UsageError(f"unknown action {word!r}: see rootlessnet port --help")
        case _:
            raise UsageError("no action given: see rootlessnet port --help")
    return 0


def _parse(action: str, words: list[str]) -> _Arguments:
    parser = Parser("port", action, "", "")
    parser.add_argument("id", metavar="ID")
    if action != "ls":
        parser.add_argument("ports", nargs="+", type=_ports, metavar="PORTS")
    return parser.parse(words, _Arguments())


def _ports(text: str) -> str:
    """The text itself, once it is known to make sense. Raises UsageError."""
    parse_forwards(text)
    return text


def _show(ports: tuple[str, ...]) -> None:
    output.write("".join(f"{one}\n" for one in ports))
