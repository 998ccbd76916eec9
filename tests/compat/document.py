"""The tables of docs/compatibility.md, made from tests/compat/table.py.

`python -m tests.compat.document` writes them between their marks; the text around is by hand.
"""

from pathlib import Path

from tests.compat.table import PASTA, ROOTLESSKIT, ROOTLESSNET, SLIRP4NETNS, TABLE, Row

DOCUMENT = Path(__file__).parents[2] / "docs" / "compatibility.md"
BEGIN, END = "<!-- made by tests/compat/document.py -->\n", "<!-- end -->\n"
NAMES = (ROOTLESSNET, SLIRP4NETNS, PASTA, ROOTLESSKIT)


def cell(row: Row, name: str) -> str:
    if name in row.inexpressible:
        return f"– {row.inexpressible[name]}"
    if (short := row.short.get(name)) is None:
        return "yes"
    return f"{'at times not' if short.sometimes else 'no'}: {short.words}"


def tables() -> str:
    lines = []
    for section, rows in TABLE.items():
        lines += ["", f"| {section} | {' | '.join(NAMES)} |", "|---" * (1 + len(NAMES)) + "|"]
        lines += [
            f"| {row.title} | {' | '.join(cell(row, name) for name in NAMES)} |"
            for row in rows.values()
        ]
    return "\n".join([*lines, "", ""])


def with_tables(document: str) -> str:
    """The document with what the table says now."""
    before, _, rest = document.partition(BEGIN)
    return before + BEGIN + tables() + END + rest.partition(END)[2]


if __name__ == "__main__":
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
