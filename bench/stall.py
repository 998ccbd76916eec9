#!/usr/bin/env python3
"""How soon data flows again when a reader that has stalled returns.

as an ordinary user:
  bench/stall.py
as root, which becomes that user for all that it starts:
  bench/stall.py --user NAME

What is shown is the median and the longest time, in milliseconds, from the return of the reader to
the first byte that was not waiting in its socket: the time to read what was waiting, some MB, and
the time that everything on the way takes to notice. The bare host shows what of it is the kernel's.
"""

import argparse
import sys
from contextlib import closing
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for a start as a file

from bench.compare import PEERS, choose_peers, choose_user, count, numbers, positive, words
from bench.peers import Peer
from bench.processes import BenchError, User
from bench.session import Contender, Session, measure
from bench.workload import Task

STALLS = (0.3, 1.0, 5.0)  # seconds
WAYS = {"outbound": Session.outbound, "forwarded": Session.forwarded}


def parser() -> argparse.ArgumentParser:
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("bench/stall.py", description=__doc__, formatter_class=text)
    add = parser.add_argument
    add("--peers", type=words, default=("rootlessnet", "loopback"), help="of " + ", ".join(PEERS))
    add("--rootlessnet", action="append", default=[], metavar="[NAME=]COMMAND")
    add("--stall", action="append", type=positive, metavar="S", help="default: 0.3, 1 and 5")
    add("--rounds", type=count, default=5, metavar="N", help="stalls of each kind; default: 5")
    add("--mtu", type=numbers, default=(65520,), metavar="BYTES,…", help="default: 65520")
    add("--user", metavar="NAME", help="as root: the ordinary user to become")
    return parser


def times(contender: Contender, way: str, sends: bool, stall: float, rounds: int) -> list[float]:
    """Seconds. `sends`: the client does, and the server stalls. Raises BenchError."""
    task = Task("tcp_stall", stall, sends=sends)
    return [measure(task, *WAYS[way](contender.session())).rate for _ in range(rounds)]


def report(peer: Peer, user: User, arguments: argparse.Namespace) -> None:
    for mtu in arguments.mtu:
        with closing(Contender(peer, user, mtu)) as contender:
            for way in WAYS:
                for sends in (True, False):
                    reader = "server" if sends else "client"
                    for stall in arguments.stall or STALLS:
                        try:
                            took = times(contender, way, sends, stall, arguments.rounds)
                            result = f"{1e3 * median(took):8.1f} {1e3 * max(took):8.1f}"
                        except BenchError as error:
                            contender.close()
                            result = f"failed: {error}"
                        where = f"{peer.name:12} {mtu:5} {way:9} {reader} stalls {stall:4g} s"
                        print(f"{where} {result}", flush=True)


def main() -> int:
    arguments = parser().parse_args()
    try:
        user = choose_user(arguments.user)
        for peer in choose_peers(arguments.peers, arguments.rootlessnet, user):
            report(peer, user, arguments)
    except KeyboardInterrupt:
        return 130
    except BenchError as error:
        print(f"bench/stall.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
