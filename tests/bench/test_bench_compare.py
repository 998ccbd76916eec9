"""The command line of the comparison, its order of running, and its progress display."""

import io
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.compare import Comparison, choose_experiments, choose_peers, chosen, parser
from bench.peers import Instance, Loopback, Pasta, Rootlessnet, Slirp4netns, parse_launcher
from bench.processes import BenchError, User
from bench.progress import Progress, duration
from bench.report import Results
from bench.rows import EXPERIMENTS, Experiment, Row, Values, containers
from bench.session import Contender

USER = User("somebody")
ROW = Row("tcp-out", "TCP out", "Gbit/s")


@dataclass(frozen=True)
class Fake:
    name: str
    as_slirp4netns: tuple[str, ...] | None = None
    gateway_6: str | None = None

    def version(self) -> str:
        return "1"

    def start(self, ending: ExitStack, argv: Sequence[str], mtu: int, port: int) -> Instance:
        raise BenchError("no tea")

    def start_up(self) -> float:
        raise BenchError("no tea")


def comparison(experiment: Experiment, stream: io.StringIO) -> Comparison:
    return Comparison(
        peers=[Fake("a"), Fake("b"), Fake("c")],
        experiments=[experiment],
        user=USER,
        mtus=[1500],
        rounds=2,
        seconds=1,
        results=Results(("a", "b", "c"), (1500,), {}),
        progress=Progress(stream, 6),
    )


def test_rounds_interleave_the_peers_and_each_begins_in_turn() -> None:
    order = []

    def run(contender: Contender, _seconds: float) -> Values:
        order.append(contender.peer.name)
        return [1.0]

    comparison(Experiment((ROW,), run), io.StringIO()).run()
    assert "".join(order) == "abcbca"


def test_a_failure_is_recorded_and_the_others_go_on() -> None:
    def run(contender: Contender, _seconds: float) -> Values:
        if contender.peer.name == "b":
            raise BenchError("no tea")
        return [2.0]

    stream = io.StringIO()
    compared = comparison(Experiment((ROW,), run), stream)
    compared.run()
    assert compared.results.cell(1500, ROW, "a").values == [2.0, 2.0]
    assert compared.results.cell(1500, ROW, "b").failures == ["no tea", "no tea"]
    assert stream.getvalue().splitlines()[0] == (
        "MTU 1500, round 1 of 2: tcp-out (Gbit/s): a 2.00, b failed, c 2.00"
    )


def test_what_does_not_apply_is_neither_a_value_nor_a_failure() -> None:
    compared = comparison(Experiment((ROW,), lambda _contender, _seconds: [None]), io.StringIO())
    compared.run()
    cell = compared.results.cell(1500, ROW, "a")
    assert (cell.median, cell.failures) == (None, [])


def test_a_launcher_may_have_a_name() -> None:
    assert parse_launcher("old=/opt/old/rootlessnet -x", USER) == Rootlessnet(
        USER, "old", ("/opt/old/rootlessnet", "-x")
    )
    assert parse_launcher("env A=b prog", USER) == Rootlessnet(
        USER, "rootlessnet", ("env", "A=b", "prog")
    )


@pytest.mark.parametrize("text", ["", "new=", "new='"])
def test_a_launcher_without_a_command_is_refused(text: str) -> None:
    with pytest.raises(BenchError, match="command"):
        parse_launcher(text, USER)


def test_peers_keep_their_order_and_rootlessnet_stands_for_all_its_versions() -> None:
    peers = choose_peers(["loopback", "rootlessnet"], ["new=a", "old=b"], USER)
    assert [peer.name for peer in peers] == ["new", "old", "loopback"]


@pytest.mark.parametrize("launchers", [["a", "b"], ["x=a", "x=b"], ["pasta=a"]])
def test_two_peers_of_one_name_are_refused(launchers: list[str]) -> None:
    with pytest.raises(BenchError, match="name of its own"):
        choose_peers(["rootlessnet"], launchers, USER)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(BenchError, match="no row 'tpc': there are tcp, udp"):
        chosen("row", ["tpc"], ["tcp", "udp"])


@pytest.fixture
def no_podman(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("no_podman")
def test_what_needs_a_program_appears_where_that_is() -> None:
    assert [one.program for one in EXPERIMENTS if one not in choose_experiments(None)] == ["podman"]
    with pytest.raises(BenchError, match="podman is not installed"):
        choose_experiments(["tcp-out", "podman-start"])


def test_the_rows_wanted_choose_the_experiments() -> None:
    (experiment,) = choose_experiments(["cpu-out", "tcp-out"])
    assert [row.name for row in experiment.rows] == ["tcp-out", "cpu-out"]


def test_podman_is_given_what_speaks_as_slirp4netns_does() -> None:
    assert Slirp4netns(USER).as_slirp4netns == ("slirp4netns",)
    assert Rootlessnet(USER, launcher=("a", "b")).as_slirp4netns == ("a", "b", "slirp4netns")
    for peer in (Pasta(USER), Loopback(USER)):
        assert containers(Contender(peer, USER, 1500), 1) == [None, None]


@pytest.mark.parametrize(
    "words", [["--rounds", "0"], ["--mtu", "1500,-1"], ["--seconds", "nan"], ["--mtu", ""]]
)
def test_numbers_are_checked(words: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parser().parse_args(words)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_each_step_with_the_time_left() -> None:
    times = iter([0.0, 10.0])
    stream = Terminal()
    progress = Progress(stream, 4, lambda: next(times))
    progress.step("first")
    progress.step("second")
    progress.line("kept")
    shown = stream.getvalue().replace("\r\x1b[K", "|")
    assert shown == "|[1/4] first|[2/4, 30 s left] second|kept\n"


def test_elsewhere_only_lines_are_kept() -> None:
    stream = io.StringIO()
    progress = Progress(stream, 4)
    progress.step("first")
    progress.line("kept")
    progress.clear()
    assert stream.getvalue() == "kept\n"


def test_durations() -> None:
    assert (duration(59.4), duration(95)) == ("59 s", "1 min 35 s")


@pytest.mark.parametrize("name", ["tcp-out-6", "tcp-in-6"])
def test_a_peer_that_is_not_compared_by_ipv6_is_not_started(name: str) -> None:
    (experiment,) = (one for one in EXPERIMENTS if one.rows[0].name == name)
    assert experiment.run(Contender(Fake("a"), USER, 1500), 1) == [None]
    with pytest.raises(BenchError, match="no tea"):
        experiment.run(Contender(Fake("b", gateway_6="::1"), USER, 1500), 1)
