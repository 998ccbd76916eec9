"""docs/tcp-conformance.md names functions and tests that exist, and each clause of RFC 9293."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "tcp-conformance.md").read_text(encoding="utf-8")
REFERENCES = sorted(set(re.findall(r"`(\w+/\w+\.py)(: |::)(\w+)`", PAGE)))
CLAUSES = [f"MUST-{number}" for number in range(1, 70)] + [
    f"SHLD-{number}" for number in range(1, 32)
]


@cache
def defined(file: Path) -> set[str]:
    """The functions and methods of a file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_the_page_has_references() -> None:
    assert len(REFERENCES) > 200
    assert {separator for _, separator, _ in REFERENCES} == {": ", "::"}


@pytest.mark.parametrize(("file", "separator", "name"), REFERENCES)
def test_what_is_named_exists(file: str, separator: str, name: str) -> None:
    room = "tests" if separator == "::" or file == "tcp/playbook.py" else "rootlessnet"
    assert name in defined(ROOT / room / file)


@pytest.mark.parametrize("clause", CLAUSES)
def test_every_clause_is_accounted_for(clause: str) -> None:
    rows = [row.split("|")[1] for row in PAGE.splitlines() if row.startswith("| ")]
    assert any(re.search(rf"\b{clause}\b", row) for row in rows)
