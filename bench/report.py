"""What was measured, and how it is shown: a table on the terminal, Markdown, JSON, a plot.

A value is the median of the rounds. A ratio is the first rootlessnet divided by another peer, for
all rows alike; the table says of which rows less is better.
"""

import importlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Protocol

from bench.processes import BenchError
from bench.rows import ROWS, Row
from bench.targets import Measured, verdicts

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
FAILED = "failed"
NOTHING = "-"
COLOURS = ("#c1432b", "#2f6690", "#8a9a5b", "#b9b4a7", "#7a5195", "#e0a030")


@dataclass(slots=True)
class Cell:
    """The rounds of one row for one peer at one MTU."""

    values: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def median(self) -> float | None:
        return median(self.values) if self.values else None


@dataclass(slots=True)
class Results:
    """All cells, and how they came about. `subject` is the peer that is divided by the others."""

    peers: tuple[str, ...]
    mtus: tuple[int, ...]
    conditions: dict[str, str]
    subject: str | None = None
    cells: dict[tuple[int, str, str], Cell] = field(default_factory=dict)

    def cell(self, mtu: int, row: Row, peer: str) -> Cell:
        return self.cells.setdefault((mtu, row.name, peer), Cell())

    def rows(self, mtu: int) -> list[Row]:
        """The rows that something was measured for, or tried, in the order of the table."""
        tried = {name for at, name, _ in self.cells if at == mtu}
        return [row for row in ROWS if row.name in tried]

    def ratio(self, mtu: int, row: Row, other: str) -> float | None:
        if self.subject is None:
            return None
        ours, theirs = (self.cell(mtu, row, peer).median for peer in (self.subject, other))
        return ours / theirs if ours and theirs else None

    def others(self) -> list[str]:
        """The peers that the subject is divided by."""
        return [peer for peer in self.peers if peer != self.subject] if self.subject else []


def number(value: float) -> str:
    """Three significant digits, thousands grouped: 0.00812, 17.9, 11,843."""
    return f"{value:,.0f}" if value >= 999.5 else f"{value:#.3g}".rstrip(".")


def lines(results: Results, mtu: int) -> list[list[str]]:
    """The table for one MTU: a heading, then a line for each row."""
    heading = ["MTU " + str(mtu), "unit", *results.peers]
    heading += [f"{results.subject}/{other}" for other in results.others()]
    table = [heading]
    for row in results.rows(mtu):
        unit = row.unit + (" ↓" if row.better == "lower" else "")
        line = [row.title, unit]
        line += [shown(results.cell(mtu, row, peer)) for peer in results.peers]
        for other in results.others():
            ratio = results.ratio(mtu, row, other)
            line.append(NOTHING if ratio is None else number(ratio))
        table.append(line)
    return table


def shown(cell: Cell) -> str:
    value = cell.median
    if value is None:
        return FAILED if cell.failures else NOTHING
    return number(value) + ("*" if cell.failures else "")


def failures(results: Results) -> list[str]:
    """One line for each reason of failure, with where it was met."""
    met: dict[tuple[str, str], list[str]] = {}
    for (mtu, row, peer), cell in results.cells.items():
        for reason in dict.fromkeys(cell.failures):
            met.setdefault((peer, reason), []).append(f"{row} at MTU {mtu}")
    return [
        f"{peer} failed: {reason} ({', '.join(places)})" for (peer, reason), places in met.items()
    ]


def text_table(results: Results) -> str:
    """For a terminal: columns aligned, numbers to the right."""
    blocks = []
    for mtu in results.mtus:
        table = lines(results, mtu)
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        aligned = []
        for line in table:
            words = [line[0].ljust(widths[0]), line[1].ljust(widths[1])]
            words += [word.rjust(width) for word, width in zip(line[2:], widths[2:], strict=True)]
            aligned.append("  ".join(words).rstrip())
        aligned.insert(1, "-" * max(map(len, aligned)))
        blocks.append("\n".join(aligned))
    return "\n\n".join([*blocks, "\n".join(notes(results))])


def notes(results: Results) -> list[str]:
    said = ["Medians of the rounds; ↓: less is better."]
    if any(cell.failures and cell.values for cell in results.cells.values()):
        said.append("*: not all rounds succeeded.")
    return said + failures(results)


def markdown(results: Results) -> str:
    """Tables for a document, with the conditions under which they came about."""
    parts = ["\n".join(f"- {name}: {value}" for name, value in results.conditions.items())]
    for mtu in results.mtus:
        heading, *body = lines(results, mtu)
        rule = ["---", "---"] + ["---:"] * (len(heading) - 2)
        parts.append("\n".join("| " + " | ".join(line) + " |" for line in [heading, rule, *body]))
    parts.append("  \n".join(notes(results)))
    if judged := judgement(results):
        parts.append("\n".join("| " + " | ".join(line) + " |" for line in judged))
    return "\n\n".join(parts) + "\n"


def judgement(results: Results) -> list[list[str]]:
    """A table of the project's targets, or nothing where none was measured."""
    if results.subject is None:
        return []
    medians = {
        at: value for at, cell in results.cells.items() if (value := cell.median) is not None
    }
    body = [
        [
            str(one.target.number),
            one.row.title,
            str(one.mtu),
            one.wanted,
            number(one.value),
            "yes" if one.is_met else "**no**",
        ]
        for one in verdicts(Measured(results.subject, medians))
    ]
    heading = ["target", "row", "MTU", "wanted", "measured", "met"]
    return [heading, ["---:", "---", "---:", "---", "---:", "---"], *body] if body else []


def write_markdown(results: Results, path: Path) -> None:
    """Into a file of its own; or between the marks of a document that has them."""
    document = path.read_text() if path.exists() else ""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    tables = markdown(results)
    path.write_text(f"{before}{begin}\n\n{tables}\n{end}{after}" if begin and end else tables)


def as_json(results: Results) -> str:
    """Everything, with the value of each round."""
    rows = [
        {
            "mtu": mtu,
            "row": row.name,
            "title": row.title,
            "unit": row.unit,
            "better": row.better,
            "peers": {
                peer: {"median": cell.median, "rounds": cell.values, "failures": cell.failures}
                for peer in results.peers
                for cell in [results.cell(mtu, row, peer)]
            },
            "ratios": {other: results.ratio(mtu, row, other) for other in results.others()},
        }
        for mtu in results.mtus
        for row in results.rows(mtu)
    ]
    document = {"conditions": results.conditions, "subject": results.subject, "rows": rows}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def require_matplotlib() -> None:
    """Raises BenchError, with the remedy, when there is nothing to plot with."""
    try:
        importlib.import_module("matplotlib")
    except ImportError:
        raise BenchError(
            "--plot needs matplotlib: install it with: python3 -m pip install matplotlib"
        ) from None


def plot(results: Results, path: Path) -> None:
    """Bars, a panel for each unit and MTU, logarithmic; the suffix of `path` is the format."""
    importlib.import_module("matplotlib").use("Agg")
    pyplot = importlib.import_module("matplotlib.pyplot")
    units = list(dict.fromkeys(row.unit for mtu in results.mtus for row in results.rows(mtu)))
    heights = [
        0.8 + max(len(rows_in(results, mtu, unit)) for mtu in results.mtus) for unit in units
    ]
    figure, panels = pyplot.subplots(
        len(units),
        len(results.mtus),
        figsize=(7 * len(results.mtus), 0.15 * (1 + len(results.peers)) * sum(heights) + 1),
        height_ratios=heights,
        sharex="row",
        squeeze=False,
        layout="constrained",
    )
    for unit, line in zip(units, panels, strict=True):
        for mtu, panel in zip(results.mtus, line, strict=True):
            draw_bars(panel, results, mtu, rows_in(results, mtu, unit))
            less = any(row.better == "lower" for row in rows_in(results, mtu, unit))
            panel.set_xlabel(unit + ", less is better" * less)
    for mtu, panel in zip(results.mtus, panels[0], strict=True):
        panel.set_title(f"MTU {mtu}")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    figure.savefig(path, dpi=150)


def rows_in(results: Results, mtu: int, unit: str) -> list[Row]:
    return [row for row in results.rows(mtu) if row.unit == unit]


class Panel(Protocol):
    """What is used of matplotlib's Axes."""

    def barh(
        self, y: list[float], width: list[float], height: float, *, label: str, color: str
    ) -> object: ...

    def bar_label(
        self, container: object, labels: list[str], *, padding: float, fontsize: float
    ) -> object: ...

    def set_yticks(self, ticks: list[int], labels: list[str], *, fontsize: float) -> object: ...

    def invert_yaxis(self) -> None: ...

    def set_xscale(self, value: str) -> None: ...

    def minorticks_off(self) -> None: ...

    def margins(self, *, x: float) -> object: ...


def draw_bars(panel: Panel, results: Results, mtu: int, rows: Sequence[Row]) -> None:
    """A group of bars for each row, a bar for each peer with its value at the end."""
    thickness = 0.84 / len(results.peers)
    for index, peer in enumerate(results.peers):
        offset = (index - (len(results.peers) - 1) / 2) * thickness
        values = [results.cell(mtu, row, peer).median or 0.0 for row in rows]
        places = [row + offset for row in range(len(rows))]
        colour = COLOURS[index % len(COLOURS)]
        bars = panel.barh(places, values, thickness * 0.9, label=peer, color=colour)
        labels = [number(value) if value else "" for value in values]
        panel.bar_label(bars, labels, padding=2, fontsize=6)
    panel.set_yticks(list(range(len(rows))), [row.title for row in rows], fontsize=8)
    panel.invert_yaxis()
    panel.set_xscale("log")
    panel.minorticks_off()
    panel.margins(x=0.12)
