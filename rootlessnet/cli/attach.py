"""`rootlessnet attach`: the same network for a namespace that exists already."""

import argparse

import rootlessnet
from rootlessnet.cli.network_options import (
    PORTS_HELP,
    NetworkArguments,
    add_network_options,
    tell_published,
)
from rootlessnet.cli.parser import Parser
from rootlessnet.config import AttachConfig
from rootlessnet.target import parse_target

_DESCRIPTION = """\
Give a network namespace that exists a network that works, until its process
ends or this program is interrupted. The namespace is that of process PID, or
the file NETNS_PATH. Digits alone are a PID: write ./123 for such a file."""

_EPILOG = f"""\
{PORTS_HELP}
log:
  SIGUSR1 has counters and connections written to the log.

examples:
  a namespace made by unshare(1), with a port published
    unshare --user --map-root-user --net sleep infinity &
    rootlessnet attach -p 8080:80 $!
  the same, named by its files
    rootlessnet attach --userns-path /proc/PID/ns/user /proc/PID/ns/net

exit status:
  0 when the namespace's process ended, or a signal told this program to end,
  2 for a usage error, 1 for any other failure. `rootlessnet doctor` says what
  this machine lacks."""


class _Arguments(NetworkArguments):
    target: int | str
    userns_path: str | None


def attach(words: list[str]) -> int:
    """Serve the namespace that `words` name until it ends; returns the exit status."""
    config, arguments = _read(words)
    log = arguments.open_log()
    return rootlessnet.serve(
        config, published=tell_published(log), log=log, hardening=arguments.hardening
    )


def parse(words: list[str]) -> AttachConfig:
    """The config that `words`, the arguments after `attach`, describe. Raises `UsageError`."""
    return _read(words)[0]


def _read(words: list[str]) -> tuple[AttachConfig, NetworkArguments]:
    """The config, and the options for this process."""
    parser = Parser("attach", "[options] PID|NETNS_PATH", _DESCRIPTION, _EPILOG)
    add_network_options(parser)
    group = parser.add_argument_group("namespaces")
    group.add_argument(
        "--userns-path",
        metavar="PATH",
        help="the user namespace that owns NETNS_PATH (default: for a PID, that of the process; "
        "for a path, the caller's)",
    )
    parser.add_argument(
        "target", type=parse_target, metavar="PID|NETNS_PATH", help=argparse.SUPPRESS
    )
    arguments = parser.parse(words, _Arguments())
    config = AttachConfig(
        target=arguments.target,
        userns_path=arguments.userns_path,
        network=arguments.network_config(),
        name=arguments.name,
    )
    return config, arguments
