#!/usr/bin/env python3
"""What a guest that floods leaves to a program with manners beside it.

as root, with an interpreter that has scapy (tools/check makes one), becoming an ordinary user:
  bench/hostile.py --user NAME

For each flood of tests/e2e/peers/hostile.py: the rate of a download and of request/response while
the flood goes on, as a part of the rate while the same frames go to a TAP that nobody reads. So
what the attacker's own process takes of few processors does not count, and what the program takes
for those frames does. The medians of the rounds; the last line has the lowest.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for a start as a file

from bench.attack import DELAY, SINK
from bench.compare import choose_peers, choose_user, count, positive, words
from bench.processes import BenchError, Child, User, all_stats, descendants
from bench.session import Contender, Session, measure
from bench.workload import Task
from tests.e2e.peers.hostile import FLOODS, INTERFACE

ATTACK = (sys.executable, str(Path(__file__).with_name("attack.py").resolve()))
MTU = 65520
WARM_UP = 2 * DELAY  # the connection stands when the flood begins
TASKS = {
    "download": Task("tcp_bulk", 1, WARM_UP),
    "request/response": Task("tcp_exchange", 1, WARM_UP),
}


def parser() -> argparse.ArgumentParser:
    names = [flood.__name__ for flood, _ in FLOODS]
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("bench/hostile.py", description=__doc__, formatter_class=text)
    add = parser.add_argument
    add("--floods", type=words, default=tuple(names), help="of " + ", ".join(names))
    add("--rate", type=positive, default=10_000, metavar="N", help="frames/s; default: 10000")
    add("--rounds", type=count, default=3, metavar="N", help="default: 3")
    add("--rootlessnet", action="append", default=[], metavar="[NAME=]COMMAND")
    add("--user", metavar="NAME", help="as root: the ordinary user to become")
    return parser


@contextmanager
def flooding(
    session: Session, user: User, flood: str, interface: str, rate: float
) -> Iterator[None]:
    """While a process in the guest floods. Raises BenchError."""
    inside = max(set(descendants(session.tool[0], all_stats())) - set(session.tool))
    enter = ("nsenter", f"--target={inside}", "--user", "--net", "--preserve-credentials", "--")
    child = Child((*enter, *ATTACK, flood, interface, str(rate)), user)
    try:
        child.read_line()
        yield
    finally:
        child.close()


def ratio(session: Session, user: User, task: Task, flood: str, rate: float) -> float:
    """The rate beside the flood, by that beside the same one that nobody reads."""
    rates = []
    for interface in (INTERFACE, SINK):
        with flooding(session, user, flood, interface, rate):
            rates.append(measure(task, *session.outbound()).rate)
    return rates[0] / rates[1]


def main() -> int:
    arguments = parser().parse_args()
    lowest = 1.0
    try:
        user = choose_user(arguments.user)
        (peer,) = choose_peers(("rootlessnet",), arguments.rootlessnet, user)
        print(f"{arguments.rate:g} frames a second, {arguments.rounds} rounds")
        with closing(Contender(peer, user, MTU)) as contender:
            for flood in arguments.floods:
                line = f"{flood:32}"
                for name, task in TASKS.items():
                    found = [
                        ratio(contender.session(), user, task, flood, arguments.rate)
                        for _ in range(arguments.rounds)
                    ]
                    lowest = min(lowest, median(found))
                    line += f" {name} {median(found):5.2f}"
                print(line, flush=True)
        print(f"lowest: {lowest:.2f}")
    except KeyboardInterrupt:
        return 130
    except BenchError as error:
        print(f"bench/hostile.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
