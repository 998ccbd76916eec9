"""tests/conftest.py, at work in a pytest of its own: where CI is set, a skip is a failure."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

SKIPS = {
    "in_a_test": "import pytest\ndef test_it(): pytest.skip('no tap')",
    "by_a_mark": "import pytest\n@pytest.mark.skip(reason='no tap')\ndef test_it(): pass",
    "of_a_module": "import pytest\npytest.skip('no tap', allow_module_level=True)",
}
EXPECTED_FAILURE = "import pytest\n@pytest.mark.xfail(reason='no tap')\ndef test_it(): assert False"


def run_pytest(directory: Path, source: str, ci: str) -> subprocess.CompletedProcess[str]:
    (directory / "test_it.py").write_text(source)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-rs", directory],
        cwd=directory,
        env=os.environ | {"CI": ci, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("source", SKIPS.values(), ids=SKIPS)
def test_a_skip_is_a_failure_where_ci_is_set(tmp_path: Path, source: str) -> None:
    ended = run_pytest(tmp_path, source, ci="true")
    assert ended.returncode != 0
    assert "CI is set, where nothing may be skipped. Skipped: no tap" in ended.stdout
    assert "skipped" not in ended.stdout.splitlines()[-1]


def test_a_skip_elsewhere_says_its_reason(tmp_path: Path) -> None:
    ended = run_pytest(tmp_path, SKIPS["in_a_test"], ci="")
    assert ended.returncode == 0
    assert "no tap" in ended.stdout
    assert "1 skipped" in ended.stdout.splitlines()[-1]


def test_an_expected_failure_is_no_skip(tmp_path: Path) -> None:
    assert run_pytest(tmp_path, EXPECTED_FAILURE, ci="true").returncode == 0
