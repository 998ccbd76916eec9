"""`rootlessnet slirp4netns`, also a program of its own: the command line of slirp4netns.

What a caller of slirp4netns says is translated into the configuration of `rootlessnet attach`, and
what it hears is what slirp4netns would say, in its words where programs look for them. Every
failure is an exit status of 1. `--help` and `--version` are asked for often, before each container
by some, so they come before anything else is imported.

Read: slirp4netns(1); docs/slirp4netns.md for its callers and for what differs.
"""

import os
from typing import TYPE_CHECKING

from rootlessnet import __version__
from rootlessnet.cli import getopt, output
from rootlessnet.cli.getopt import OPERAND, Option
from rootlessnet.errors import RootlessnetError, UsageError
from rootlessnet.log import Log

if TYPE_CHECKING:
    from rootlessnet.config import AttachConfig

_CONFIG_VERSION = 4  # of libslirp's SlirpConfig, up to which there is an option for everything

OPTIONS = (
    Option("configure", "c", "", "give the interface its addresses and routes, and bring it up"),
    Option("exit-fd", "e", "FD", "end when the other end of this descriptor is closed"),
    Option("ready-fd", "r", "FD", "write 1 to this descriptor once everything works"),
    Option("mtu", "m", "BYTES", "MTU of the interface, up to 65521 (default: 1500)"),
    Option("enable-ipv6", "6", "", "IPv6 as well"),
    Option("api-socket", "a", "PATH", "take requests on a unix socket, to publish ports"),
    Option("cidr", "", "NETWORK", "the guest's network (default: 10.0.2.0/24)"),
    Option("cidr6", "", "NETWORK", "the guest's IPv6 network, implies -6 (default: fd00::/64)"),
    Option("disable-host-loopback", "", "", "keep the guest from the host's 127.0.0.1"),
    Option("netns-type", "", "TYPE", "what the operand is: pid (default), path or tapfd"),
    Option("userns-path", "", "PATH", "the user namespace to enter"),
    Option("enable-sandbox", "", "", "give up privileges and files once everything works"),
    Option("enable-seccomp", "", "", "give up system calls once everything works"),
    Option("outbound-addr", "", "IPV4|IFACE", "where connections of the guest come from"),
    Option("outbound-addr6", "", "IPV6|IFACE", "the same for IPv6"),
    Option("disable-dns", "", "", "no nameserver at the network's third address"),
    Option("macaddress", "", "MAC", "hardware address of the interface, with -c"),
    Option("target-type", "", "TYPE", "netns (default), or bess for a socket with frames"),
    Option("help", "h", "", "show this text and exit"),
    Option("version", "v", "", "show the version and exit"),
)

_USAGE = """\
usage: slirp4netns [OPTION]... PID|PATH|FD [TAPNAME]

A network for an unprivileged network namespace, as slirp4netns has it, by
rootlessnet. The interface is TAPNAME (default: tap0). With --target-type=bess
PATH is a socket to be made, to which the guest connects. The environment may
have ROOTLESSNET_LOG_FILE, ROOTLESSNET_LOG_FORMAT and ROOTLESSNET_LOG_LEVEL, as
the options of rootlessnet attach; SIGUSR1 has the state of the network logged.

"""


def slirp4netns(words: list[str]) -> int:
    """Serve what `words` describe until it ends; returns the exit status."""
    try:
        found = _read(words)
        if found is None:
            return 0
        import rootlessnet

        config, sandbox = found
        log = _log()
        return rootlessnet.serve(config, log=log, hardening=True, sandbox=sandbox)
    except RootlessnetError as error:
        output.complain(str(error))
        return 1


def _log() -> Log:
    """The log. Who calls this passes fixed options, so its user says more by the environment.
    Raises RootlessnetError.
    """
    if any(name.startswith("ROOTLESSNET_LOG_") for name in os.environ):
        from rootlessnet.cli.log_options import log_of_environment  # with argparse

        return log_of_environment(os.environ)
    return Log(lambda _level, text: output.complain(text))


def parse(words: list[str]) -> "AttachConfig | None":
    """What `words` describe; None when they ask for a text, which is written. Raises UsageError."""
    found = _read(words)
    return None if found is None else found[0]


def _read(words: list[str]) -> "tuple[AttachConfig, bool] | None":
    """The config, and whether to make a sandbox. Hardened is this process in any case."""
    given: dict[str, str] = {}
    operands: list[str] = []
    for option, argument in getopt.read(words, OPTIONS):
        if option is OPERAND:
            operands.append(argument)
        elif option.name == "help":
            output.write(_help())
            return None
        elif option.name == "version":
            output.write(
                f"slirp4netns version {__version__}+rootlessnet\n"
                f"SLIRP_CONFIG_VERSION_MAX: {_CONFIG_VERSION}\n"
            )
            return None
        else:
            given[option.name] = argument
    if not operands:
        raise UsageError("no PID, PATH or FD given: see slirp4netns --help")
    from rootlessnet.cli.slirp4netns_config import translate

    return translate(given, operands), "enable-sandbox" in given


def _help() -> str:
    lines = [_USAGE]
    for option in OPTIONS:
        short = f"-{option.short}, " if option.short else ""
        argument = f"={option.argument}" if option.argument else ""
        lines.append(f"{short}--{option.name}{argument}".ljust(28) + f" {option.help}\n")
    return "".join(lines)
