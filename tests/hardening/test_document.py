"""docs/security.md says what the filter does, and names tests that exist."""

import ast
import re
from pathlib import Path

from rootlessnet.hardening.allowed import ALWAYS, allowed
from tests.hardening.document import CONDITIONS, DOCUMENT, with_listing

ROOT = DOCUMENT.parents[1]


def test_document_has_the_list() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    assert document == with_listing(document), "run python -m tests.hardening.document"


def test_every_condition_is_in_words() -> None:
    assert CONDITIONS.keys() == {name for name, rule in allowed(0, ()).items() if rule != ALWAYS}


def test_every_promise_names_a_test() -> None:
    promises = re.findall(r"^\| .* \| (`tests/.*) \|$", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert len(promises) > 10
    for cell in promises:
        for path, _, name in re.findall(r"`(tests/[\w/*.]+)(::(\w+))?`", cell):
            found = list(ROOT.glob(path))
            assert found, path
            assert not name or name in functions_of(found[0]), f"{path}::{name}"


def functions_of(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
