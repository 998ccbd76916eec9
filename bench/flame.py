#!/usr/bin/env python3
"""Where the process outside spends its time, as a flame graph.

as root, which becomes that user for all that it measures (the process hides from its own user):
  bench/flame.py --user NAME tcp-out out.svg
  bench/flame.py --user NAME tcp-rr-64 exchanges.svg

Needs py-spy: python3 -m pip install py-spy. Read: py-spy's README for what a sample is.
"""

import argparse
import shutil
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for a start as a file

from bench.compare import choose_user, count, positive, require_writable
from bench.peers import Rootlessnet
from bench.processes import BenchError, Child, User
from bench.session import Contender, measure
from bench.workload import Task

PROGRAM = "py-spy"
START = 1.0  # seconds more than that, for py-spy to start
RATE = 500  # samples a second
WORK = {
    "tcp-out": Task("tcp_bulk", 0, sends=True),
    "tcp-in": Task("tcp_bulk", 0),
    "tcp-rr-64": Task("tcp_exchange", 0, connections=64),
    "udp-out": Task("udp_bulk", 0, sends=True),
    "udp-in": Task("udp_bulk", 0),
    "tcp-crr": Task("tcp_connect", 0),
}


def parser() -> argparse.ArgumentParser:
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("bench/flame.py", description=__doc__, formatter_class=text)
    add = parser.add_argument
    add("row", choices=WORK, help="what the guest does, by the name of its row in the comparison")
    add("svg", type=Path, metavar="FILE.svg")
    add("--seconds", type=positive, default=5.0, metavar="S", help="default: 5")
    add("--mtu", type=count, default=1500, metavar="BYTES", help="default: 1500")
    add("--user", metavar="NAME", help="as root: the ordinary user to become")
    return parser


def record(user: User, arguments: argparse.Namespace) -> None:
    """Raises BenchError."""
    program = shutil.which(PROGRAM) or shutil.which(PROGRAM, path=str(Path(sys.executable).parent))
    if program is None:
        raise BenchError(f"{PROGRAM} is not installed: python3 -m pip install {PROGRAM}")
    seconds: float = arguments.seconds
    work = WORK[arguments.row]
    with closing(Contender(Rootlessnet(user), user, arguments.mtu)) as contender:
        session = contender.session()
        task = replace(work, seconds=seconds + START)
        options = ["--format=flamegraph", f"--duration={seconds:.0f}", f"--rate={RATE}"]
        options += [f"--pid={session.tool[0]}", f"--output={arguments.svg}"]
        with closing(Child([program, "record", *options], User.myself())) as profiler:
            measure(task, *session.outbound())
            profiler.wait_for_success()
    drawn = arguments.svg.read_text()  # its title is the command, with the place of the program
    arguments.svg.write_text(drawn.replace(program, PROGRAM))


def main() -> int:
    arguments = parser().parse_args()
    try:
        require_writable(arguments.svg)
        record(choose_user(arguments.user), arguments)
    except KeyboardInterrupt:
        return 130
    except BenchError as error:
        print(f"bench/flame.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
