"""The entry: picks the subcommand, and turns what users can mend into one line and an exit status.

Only the subcommand asked for is imported: the user waits for every millisecond before `run` forks.
"""

import sys

from rootlessnet import __version__
from rootlessnet.cli import output
from rootlessnet.errors import RootlessnetError, UsageError

_HELP = """\
usage: rootlessnet SUBCOMMAND [options] ...

Networks for unprivileged namespaces: a TCP/IP stack in user space that gives
a command, or a namespace that exists, the network of this machine.

subcommands:
  run      run a command in a network of its own
  attach   give a namespace that exists a network
  ps       list what runs
  port     show and change the published ports of what runs
  stop     end what runs
  doctor   check what this machine has to allow, and say how to mend it
  slirp4netns  take slirp4netns's place for podman, buildah or RootlessKit

options:
  -h, --help   show this text and exit
  --version    show the version and exit

`rootlessnet SUBCOMMAND --help` shows the options and examples of each.

examples:
  rootlessnet run -- curl https://example.org
  rootlessnet run -p 8080:5000 -- python3 -m http.server 5000
"""


def main(argv: list[str] | None = None) -> int:
    """Run the program with `argv` (default: the process's own) and return its exit status."""
    try:
        return _dispatch(sys.argv[1:] if argv is None else argv)
    except RootlessnetError as error:
        output.complain(str(error))
        return error.exit_status
    except SystemExit as end:  # help was shown, or nobody reads our output any more
        return end.code if isinstance(end.code, int) else 0


def _dispatch(words: list[str]) -> int:
    match words:
        case ["run", *rest]:
            from rootlessnet.cli.run import run

            return run(rest)
        case ["attach", *rest]:
            from rootlessnet.cli.attach import attach

            return attach(rest)
        case ["ps", *rest]:
            from rootlessnet.cli.ps import ps

            return ps(rest)
        case ["port", *rest]:
            from rootlessnet.cli.port import port

            return port(rest)
        case ["stop", *rest]:
            from rootlessnet.cli.stop import stop

            return stop(rest)
        case ["slirp4netns", *rest]:
            from rootlessnet.cli.slirp4netns import slirp4netns

            return slirp4netns(rest)
        case ["doctor", *rest]:
            from rootlessnet.cli.doctor import doctor

            return doctor(rest)
        case ["-h" | "--help", *_]:
            output.write(_HELP)
            return 0
        case ["--version", *_]:
            output.write(f"rootlessnet {__version__}\n")
            return 0
        case []:
            raise UsageError("no subcommand given: see rootlessnet --help")
        case [first, *_] if first.startswith("-"):
            raise UsageError(
                f"option {first!r} needs a subcommand before it: see rootlessnet --help"
            )
        case _:
            raise UsageError(
                f"unknown subcommand {words[0]!r}: to run a command of that name, write "
                f"rootlessnet run -- {words[0]}, or see rootlessnet --help"
            )
