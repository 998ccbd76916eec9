#!/usr/bin/env python3
"""rootlessnet beside slirp4netns, pasta and the bare host, in one run on one machine.

as an ordinary user:
  bench/compare.py
as root, which becomes that user for all that it starts:
  bench/compare.py --user NAME
two versions, say this tree and an older one with an environment of its own:
  bench/compare.py --rootlessnet new='python3 -m rootlessnet' --rootlessnet old=/opt/old/rootlessnet

Every round takes the rows one by one, and for each row the peers one after the other, so that
noise hits all alike; who begins changes from round to round. What a peer cannot do is shown as
failed, with the reason, and every step is bounded in time.
"""

import argparse
import compileall
import os
import platform
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for a start as a file

from bench import report
from bench.peers import ROOT, Loopback, Pasta, Peer, Rootlessnet, Slirp4netns, parse_launcher
from bench.processes import BenchError, User, allow_most_descriptors, run_to_end
from bench.progress import Progress
from bench.report import Results
from bench.rows import EXPERIMENTS, ROWS, Experiment, Values
from bench.session import AGENT, Contender

PEERS = ("rootlessnet", "slirp4netns", "pasta", "loopback")
MTUS = (1500, 65520)
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Comparison:
    """What to run. Fills `results`, and can be interrupted at any point."""

    peers: Sequence[Peer]
    experiments: Sequence[Experiment]
    user: User
    mtus: Sequence[int]
    rounds: int
    seconds: float
    results: Results
    progress: Progress

    def run(self) -> None:
        for mtu in self.mtus:
            for number in range(self.rounds):
                first = number % len(self.peers)
                self._round(mtu, number + 1, [*self.peers[first:], *self.peers[:first]])
        self.progress.clear()

    def _round(self, mtu: int, number: int, peers: Sequence[Peer]) -> None:
        where = f"MTU {mtu}, round {number} of {self.rounds}"
        with ExitStack() as ending:
            contenders = [Contender(peer, self.user, mtu) for peer in peers]
            for contender in contenders:
                ending.callback(contender.close)
            for experiment in self.experiments:
                done: dict[str, Values | None] = {}
                for contender in contenders:
                    name = contender.peer.name
                    self.progress.step(f"{where}: {experiment.rows[0].name}, {name}")
                    done[name] = self._attempt(experiment, contender)
                for index, row in enumerate(experiment.rows):
                    told = ", ".join(f"{name} {shown(done[name], index)}" for name in sorted(done))
                    self.progress.line(f"{where}: {row.name} ({row.unit}): {told}")

    def _attempt(self, experiment: Experiment, contender: Contender) -> Values | None:
        """Measure and record. None when it failed."""
        cells = [
            self.results.cell(contender.mtu, row, contender.peer.name) for row in experiment.rows
        ]
        try:
            values = experiment.run(contender, self.seconds)
        except BenchError as error:
            contender.close()
            for cell in cells:
                cell.failures.append(str(error))
            return None
        for cell, value in zip(cells, values, strict=True):
            if value is not None:
                cell.values.append(value)
        return values


def shown(values: Values | None, index: int) -> str:
    """What one peer achieved for one row in this round."""
    if values is None:
        return report.FAILED
    value = values[index]
    return report.NOTHING if value is None else report.number(value)


def numbers(text: str) -> tuple[int, ...]:
    """Comma-separated positive whole numbers."""
    found = tuple(dict.fromkeys(int(word) for word in text.split(",")))
    if min(found) < 1:
        raise ValueError
    return found


def words(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word.strip() for word in text.split(",")))


def positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 3600:
        raise ValueError
    return value


def count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def parser() -> argparse.ArgumentParser:
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("bench/compare.py", description=__doc__, formatter_class=text)
    add = parser.add_argument
    add("--peers", type=words, default=PEERS, metavar="NAME,…", help="of " + ", ".join(PEERS))
    rows = "of " + ", ".join(row.name for row in ROWS) + "; default: all that are possible here"
    add("--rows", type=words, metavar="NAME,…", help=rows)
    add("--mtu", type=numbers, default=MTUS, metavar="BYTES,…", help="default: 1500,65520")
    add("--rounds", type=count, default=3, metavar="N", help="default: 3")
    add("--seconds", type=positive, default=2.0, metavar="S", help="of one measurement; default: 2")
    add(
        "--rootlessnet",
        action="append",
        default=[],
        metavar="[NAME=]COMMAND",
        help="how to start a version of rootlessnet; repeated for several: the ratios are those of "
        "the first; default: this source tree with the interpreter that runs the benchmark",
    )
    add("--user", metavar="NAME", help="as root: the ordinary user to become")
    add("--json", type=Path, metavar="FILE", help="all values of all rounds")
    add(
        "--markdown",
        type=Path,
        metavar="FILE",
        help="tables; in a document with marks for them, between those",
    )
    add("--plot", type=Path, metavar="FILE", help="bars, as .svg or .png; needs matplotlib")
    return parser


def chosen(kind: str, wanted: Sequence[str], known: Sequence[str]) -> list[str]:
    """The known names that are wanted. Raises BenchError for one that is not known."""
    for name in wanted:
        if name not in known:
            raise BenchError(f"no {kind} {name!r}: there are {', '.join(known)}")
    return [name for name in known if name in wanted]


def choose_experiments(rows: Sequence[str] | None) -> list[Experiment]:
    """Those that fill the wanted rows, by default all that are possible here. Raises BenchError."""
    if rows is None:
        return [experiment for experiment in EXPERIMENTS if experiment.is_possible()]
    wanted = chosen("row", rows, [row.name for row in ROWS])
    experiments = [
        experiment
        for experiment in EXPERIMENTS
        if any(row.name in wanted for row in experiment.rows)
    ]
    for experiment in experiments:
        if not experiment.is_possible():
            program = experiment.program
            raise BenchError(f"{program} is not installed: apt-get install {program}")
    return experiments


def choose_user(name: str | None) -> User:
    """Whom everything runs as. Raises BenchError when they could not run the agents."""
    if os.geteuid() == 0:
        if name is None:
            raise BenchError("as root, name the ordinary user to measure as with --user NAME")
        user = User.named(name)
    elif name is None:
        user = User.myself()
    else:
        raise BenchError("--user is for root: leave it away")
    try:
        run_to_end([*AGENT[:-1], "-c", f"open({AGENT[-1]!r})"], user)
    except BenchError as error:
        raise BenchError(
            f"{user.name} cannot run the benchmark ({error}): "
            "start it with an interpreter and in a directory that this user can read"
        ) from None
    return user


def choose_peers(names: Sequence[str], launchers: Sequence[str], user: User) -> list[Peer]:
    versions = [parse_launcher(text, user) for text in launchers]
    if not versions:
        # As pip does when it installs: the user cannot keep byte code in a tree of somebody else's,
        # and would compile it all at every start.
        compileall.compile_dir(ROOT / "rootlessnet", quiet=2)
        versions.append(Rootlessnet(user))
    labels = [version.name for version in versions]
    if len({*labels, *PEERS[1:]}) < len(labels) + len(PEERS[1:]):
        raise BenchError(f"each --rootlessnet needs a name of its own, not {', '.join(labels)}")
    known: dict[str, Sequence[Peer]] = {
        "rootlessnet": versions,
        "slirp4netns": [Slirp4netns(user)],
        "pasta": [Pasta(user)],
        "loopback": [Loopback(user)],
    }
    return [peer for name in chosen("peer", names, PEERS) for peer in known[name]]


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def conditions(peers: Sequence[Peer], rounds: int, seconds: float) -> dict[str, str]:
    """What someone needs to know to judge the numbers, or to repeat them."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "command": shlex.join(["bench/compare.py", *sys.argv[1:]]),
        "machine": f"{processor()}, {os.cpu_count()} processors, Linux {platform.release()}",
        "load at the start": f"{os.getloadavg()[0]:.2f}",
        "python": platform.python_version(),
        "measured": f"{rounds} rounds of {seconds:g} s",
    } | {peer.name: peer.version() for peer in peers}


def require_writable(path: Path) -> None:
    """Better now than after a quarter of an hour."""
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise BenchError(
            f"cannot write {path}: choose a file in a directory that exists and is yours"
        )


def prepare(arguments: argparse.Namespace) -> Comparison:
    """Raises BenchError for everything that can be known to fail before anything is measured."""
    allow_most_descriptors()
    experiments = choose_experiments(arguments.rows)
    for path in filter(None, (arguments.json, arguments.markdown, arguments.plot)):
        require_writable(path)
    if arguments.plot:
        report.require_matplotlib()
    user = choose_user(arguments.user)
    peers = choose_peers(arguments.peers, arguments.rootlessnet, user)
    names = tuple(peer.name for peer in peers)
    subject = next((peer.name for peer in peers if isinstance(peer, Rootlessnet)), None)
    results = Results(
        peers=names,
        mtus=arguments.mtu,
        conditions=conditions(peers, arguments.rounds, arguments.seconds),
        subject=subject,
    )
    steps = len(experiments) * len(peers) * len(arguments.mtu) * arguments.rounds
    return Comparison(
        peers=peers,
        experiments=experiments,
        user=user,
        mtus=arguments.mtu,
        rounds=arguments.rounds,
        seconds=arguments.seconds,
        results=results,
        progress=Progress(sys.stderr, steps),
    )


def publish(results: Results, arguments: argparse.Namespace) -> None:
    print(report.text_table(results))
    if arguments.json:
        arguments.json.write_text(report.as_json(results))
    if arguments.markdown:
        report.write_markdown(results, arguments.markdown)
    if arguments.plot:
        report.plot(results, arguments.plot)


def main() -> int:
    arguments = parser().parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        comparison = prepare(arguments)
        status = 0
        try:
            comparison.run()
        except KeyboardInterrupt:
            comparison.progress.line("interrupted: this is what was measured so far")
            status = INTERRUPTED
        publish(comparison.results, arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BenchError as error:
        print(f"bench/compare.py: {error}", file=sys.stderr)
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
