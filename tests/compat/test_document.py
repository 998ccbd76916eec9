"""docs/compatibility.md says what the table says, and the table what the tests check."""

import ast
from pathlib import Path

from tests.compat.document import DOCUMENT, with_tables
from tests.compat.table import ROOTLESSNET, TABLE, TESTED_VERSIONS


def test_document_has_the_table() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    assert document == with_tables(document), "run python -m tests.compat.document"
    for version in TESTED_VERSIONS.values():
        assert version in document


def test_every_row_is_checked() -> None:
    checks = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.decorator_list:
                checks.add(node.name)
    assert checks == {name for rows in TABLE.values() for name in rows}


def test_this_project_falls_short_nowhere() -> None:
    for rows in TABLE.values():
        for row in rows.values():
            assert ROOTLESSNET not in {*row.short, *row.inexpressible}
