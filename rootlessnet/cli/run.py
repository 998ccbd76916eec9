"""`rootlessnet run`: a command in a network of its own."""

import argparse
import os

import rootlessnet
from rootlessnet.cli.network_options import (
    PORTS_HELP,
    NetworkArguments,
    add_network_options,
    tell_published,
)
from rootlessnet.cli.parser import Parser
from rootlessnet.config import RunConfig

_DESCRIPTION = """\
Run COMMAND in a network, user, mount and PID namespace of its own, with a
network that works: no root, no setuid program, no other tool. COMMAND is
root in there; outside, it remains you. Without COMMAND, your shell is run.
What stands after COMMAND belongs to COMMAND."""

_EPILOG = f"""\
{PORTS_HELP}
log:
  SIGUSR1 has counters and connections written to the log; COMMAND gets that
  signal too, unless it would die of it.

examples:
  a shell whose network is its own
    rootlessnet run
  a web server, seen at http://localhost:8080
    rootlessnet run -p 8080:5000 -- python3 -m http.server 5000
  the same, with a name by which it can be changed and stopped
    rootlessnet run --name web -p 8080:5000 -- python3 -m http.server 5000
  a DNS server, for programs on this machine only
    rootlessnet run -p 127.0.0.1:5353:53/udp -- dnsmasq --no-daemon
  every port that it opens, on an address of the host of its own
    rootlessnet run -P --host-ip auto -- ./start-services
  a database of the host, where it is at home
    rootlessnet run --to-host 5432 -- psql -h 127.0.0.1

exit status:
  that of COMMAND, or 128+N when signal N ended it; 127 when COMMAND is not
  found, 126 when it cannot be executed, 2 for a usage error, 1 for any other
  failure. `rootlessnet doctor` says what this machine lacks."""


class _Arguments(NetworkArguments):
    map_user: bool
    pid_namespace: bool
    command: list[str]


def run(words: list[str]) -> int:
    """Run the command that `words` describe and return its exit status."""
    config, arguments = _read(words)
    log = arguments.open_log()
    return rootlessnet.run(
        config, published=tell_published(log), log=log, hardening=arguments.hardening
    )


def parse(words: list[str]) -> RunConfig:
    """The config that `words`, the arguments after `run`, describe. Raises `UsageError`."""
    return _read(words)[0]


def _read(words: list[str]) -> tuple[RunConfig, NetworkArguments]:
    """The config, and the options for this process."""
    parser = Parser("run", "[options] [--] [COMMAND [ARG...]]", _DESCRIPTION, _EPILOG)
    add_network_options(parser)
    group = parser.add_argument_group("namespaces")
    group.add_argument(
        "--map-user",
        action="store_true",
        help="keep your user and group id inside (default: 0, root)",
    )
    group.add_argument(
        "--no-pid",
        dest="pid_namespace",
        action="store_false",
        help="share the host's process ids (default: a PID namespace, with its own /proc); what "
        "COMMAND has started then outlives it in one case: when this program and its child, the "
        "init, are both killed by SIGKILL at once",
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    arguments = parser.parse(words, _Arguments())
    match arguments.command:
        case ["--", *command]:
            pass
        case [first, *_] if first.startswith("-"):
            # argparse takes "-", "-5" and "-a b" for operands.
            parser.error(f"unknown option {first!r}")
        case command:
            pass
    config = RunConfig(
        command=tuple(command) or (_shell(),),
        network=arguments.network_config(),
        map_user=arguments.map_user,
        pid_namespace=arguments.pid_namespace,
        name=arguments.name,
    )
    return config, arguments


def _shell() -> str:
    """The user's shell: $SHELL, else that of the user database, else /bin/sh."""
    shell = os.environ.get("SHELL")
    if shell:
        return shell

    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_shell or "/bin/sh"
    except KeyError:  # a user id without an entry, as containers have
        return "/bin/sh"
