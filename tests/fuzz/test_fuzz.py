"""The fuzzer's inputs without the fuzzer, and the fuzzer itself for a bounded number of runs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz import dns_seeds, dns_target, requests_seeds, requests_target
from tests.fuzz.schedule import decode, encode
from tests.fuzz.seeds import CORPUS, conversations, write
from tests.fuzz.target import play
from tests.wire.oracle import patient

ROOT = Path(__file__).parents[2]
RUNS = 15_000


@pytest.mark.parametrize("strict", [False, True], ids=["as the fuzzer", "strict"])
@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_the_corpus(path: Path, *, strict: bool) -> None:
    play(path.read_bytes(), strict=strict)


def test_the_seeds_are_in_the_corpus(tmp_path: Path) -> None:
    """If not: python -m tests.fuzz.seeds."""
    write(tmp_path)
    for path in tmp_path.iterdir():
        assert (CORPUS / path.name).read_bytes() == path.read_bytes()


def test_a_schedule_survives_its_bytes() -> None:
    for steps in conversations().values():
        assert list(decode(encode(steps))) == steps


@given(st.binary(max_size=300))
@patient
def test_any_bytes_are_a_schedule(data: bytes) -> None:
    play(data)


@pytest.mark.parametrize("path", sorted(dns_seeds.CORPUS.iterdir()), ids=lambda path: path.name)
def test_the_corpus_of_dns_messages(path: Path) -> None:
    dns_target.play(path.read_bytes())


def test_the_seeds_of_dns_messages_are_in_the_corpus(tmp_path: Path) -> None:
    """If not: python -m tests.fuzz.dns_seeds."""
    dns_seeds.write(tmp_path)
    for path in tmp_path.iterdir():
        assert (dns_seeds.CORPUS / path.name).read_bytes() == path.read_bytes()


@given(st.binary(max_size=300))
@patient
def test_any_bytes_are_dns_messages(data: bytes) -> None:
    dns_target.play(data)


@pytest.mark.parametrize(
    "path", sorted(requests_seeds.CORPUS.iterdir()), ids=lambda path: path.name
)
def test_the_corpus_of_requests(path: Path) -> None:
    requests_target.play(path.read_bytes())


def test_the_seeds_of_requests_are_in_the_corpus(tmp_path: Path) -> None:
    """If not: python -m tests.fuzz.requests_seeds."""
    requests_seeds.write(tmp_path)
    for path in tmp_path.iterdir():
        assert (requests_seeds.CORPUS / path.name).read_bytes() == path.read_bytes()


@given(st.binary(max_size=300))
@patient
def test_any_bytes_are_a_request(data: bytes) -> None:
    requests_target.play(data)


def run(
    *arguments: str, cwd: Path = ROOT, module: str = "fuzz_frames"
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"tests.fuzz.{module}", *arguments]
    environment = dict(os.environ, PYTHONPATH=".")
    return subprocess.run(
        command, check=False, cwd=cwd, env=environment, text=True, capture_output=True
    )


def fuzz(
    found: Path, cwd: Path = ROOT, corpus: Path = CORPUS, module: str = "fuzz_frames"
) -> subprocess.CompletedProcess[str]:
    """A short run; always with the same inputs, since the fuzzer's random numbers are."""
    pytest.importorskip("atheris", reason="atheris has no wheel for this machine")
    found.mkdir()
    options = (f"-runs={RUNS}", "-seed=1", "-timeout=30", f"-artifact_prefix={found}/")
    return run(*options, str(found), str(corpus), cwd=cwd, module=module)


@pytest.mark.timeout(120)
def test_a_short_run(tmp_path: Path) -> None:
    fuzzer = fuzz(tmp_path / "found")
    assert fuzzer.returncode == 0, fuzzer.stderr
    assert f"Done {RUNS} runs" in fuzzer.stderr
    # Inputs that went further than the corpus: it is guided.
    assert len(list((tmp_path / "found").iterdir())) > 100


@pytest.mark.timeout(120)
def test_a_short_run_of_dns_messages(tmp_path: Path) -> None:
    fuzzer = fuzz(tmp_path / "found", corpus=dns_seeds.CORPUS, module="fuzz_dns")
    assert fuzzer.returncode == 0, fuzzer.stderr
    assert f"Done {RUNS} runs" in fuzzer.stderr
    assert len(list((tmp_path / "found").iterdir())) > 10


@pytest.mark.timeout(120)
def test_a_short_run_of_requests(tmp_path: Path) -> None:
    fuzzer = fuzz(tmp_path / "found", corpus=requests_seeds.CORPUS, module="fuzz_requests")
    assert fuzzer.returncode == 0, fuzzer.stderr
    assert f"Done {RUNS} runs" in fuzzer.stderr
    assert len(list((tmp_path / "found").iterdir())) > 10


@pytest.mark.timeout(120)
def test_a_fault_is_found_and_played_again(tmp_path: Path) -> None:
    """A stack that forgets to forget: the flow stays in the table when its connection ends."""
    for room in ("rootlessnet", "tests"):
        shutil.copytree(ROOT / room, tmp_path / room)
    faulty = tmp_path / "rootlessnet/stack/tcp_flows.py"
    source = faulty.read_text()
    assert source.count("        del self._flows[key]\n") == 1
    faulty.write_text(source.replace("        del self._flows[key]\n", "        pass\n"))
    fuzzer = fuzz(tmp_path / "found", cwd=tmp_path)
    assert "AssertionError" in fuzzer.stdout + fuzzer.stderr
    (failing,) = (tmp_path / "found").glob("crash-*")
    replay = run("--play", str(failing), cwd=tmp_path)
    assert "AssertionError" in replay.stderr
    assert "Segment(" in replay.stdout
