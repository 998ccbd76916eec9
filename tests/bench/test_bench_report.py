"""What a comparison shows: medians, ratios, failures, in the table, in Markdown and in JSON."""

import json
from pathlib import Path

import pytest

from bench.report import BEGIN, END, Results, as_json, markdown, number, text_table, write_markdown
from bench.rows import BY_NAME, EXPERIMENTS, ROWS, Row

TCP_OUT = BY_NAME["tcp-out"]
START_UP = BY_NAME["start-up"]


def filled(rounds: dict[tuple[Row, str], list[float]], mtu: int = 1500) -> Results:
    results = Results(("new", "pasta"), (mtu,), {"machine": "a toaster"}, subject="new")
    for (row, peer), values in rounds.items():
        results.cell(mtu, row, peer).values.extend(values)
    return results


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.008123, "0.00812"),
        (0.71, "0.710"),
        (17.94, "17.9"),
        (150.4, "150"),
        (999.6, "1,000"),
        (11843.2, "11,843"),
        (0.0, "0.00"),
    ],
)
def test_three_significant_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_a_ratio_divides_the_medians() -> None:
    results = filled({(TCP_OUT, "new"): [8, 100, 9], (TCP_OUT, "pasta"): [3, 1, 4]})
    assert results.ratio(1500, TCP_OUT, "pasta") == 3


def test_no_ratio_without_both_values() -> None:
    results = filled({(TCP_OUT, "new"): [8]})
    assert results.ratio(1500, TCP_OUT, "pasta") is None


def test_the_table_aligns_and_says_which_rows_want_less() -> None:
    results = filled(
        {
            (START_UP, "new"): [150],
            (START_UP, "pasta"): [100],
            (TCP_OUT, "new"): [8],
            (TCP_OUT, "pasta"): [2],
        }
    )
    heading, rule, first, second, *_ = text_table(results).splitlines()
    assert heading.split() == ["MTU", "1500", "unit", "new", "pasta", "new/pasta"]
    assert first.split() == ["TCP", "out,", "1", "stream", "Gbit/s", "8.00", "2.00", "4.00"]
    assert second.split()[-5:] == ["ms", "↓", "150", "100", "1.50"]
    assert len(heading) == len(rule) == len(first) == len(second)


def test_a_failure_is_shown_with_its_reason_and_where() -> None:
    results = filled({(TCP_OUT, "new"): [8]})
    results.cell(1500, TCP_OUT, "pasta").failures.extend(["no tea", "no tea"])
    table = text_table(results)
    assert "failed" in table.splitlines()[2]
    assert table.count("pasta failed: no tea (tcp-out at MTU 1500)") == 1


def test_a_value_with_a_failed_round_is_marked() -> None:
    results = filled({(TCP_OUT, "new"): [8], (TCP_OUT, "pasta"): [2]})
    results.cell(1500, TCP_OUT, "pasta").failures.append("no tea")
    assert "2.00*" in text_table(results)
    assert "not all rounds succeeded" in text_table(results)


def test_without_rootlessnet_there_are_no_ratios() -> None:
    results = filled({(TCP_OUT, "new"): [8], (TCP_OUT, "pasta"): [2]})
    results.subject = None
    assert text_table(results).splitlines()[0].split()[-1] == "pasta"


def test_markdown_has_the_conditions_and_regular_tables() -> None:
    text = markdown(filled({(TCP_OUT, "new"): [8], (TCP_OUT, "pasta"): [2]}))
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert "- machine: a toaster" in text
    assert table[2] == "| TCP out, 1 stream | Gbit/s | 8.00 | 2.00 | 4.00 |"
    assert [line.count("|") for line in table] == 3 * [6] + 3 * [7]  # the second of the targets


def test_json_keeps_every_round() -> None:
    document = json.loads(as_json(filled({(TCP_OUT, "new"): [8, 10, 9]})))
    (row,) = document["rows"]
    assert (row["row"], row["mtu"], row["unit"]) == ("tcp-out", 1500, "Gbit/s")
    assert row["peers"]["new"] == {"median": 9, "rounds": [8, 10, 9], "failures": []}
    assert row["peers"]["pasta"]["median"] is None
    assert row["ratios"] == {"pasta": None}


def test_rows_have_names_of_their_own_and_each_is_measured_once() -> None:
    measured = [row.name for experiment in EXPERIMENTS for row in experiment.rows]
    assert len(BY_NAME) == len(ROWS) == len(measured) == len(set(measured))


def test_tables_replace_what_stands_between_the_marks_of_a_document(tmp_path: Path) -> None:
    results = filled({(TCP_OUT, "new"): [8]})
    document = tmp_path / "performance.md"
    document.write_text(f"before\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    write_markdown(results, document)
    expected = f"before\n\n{BEGIN}\n\n{markdown(results)}\n{END}\n\nafter\n"
    assert document.read_text() == expected
    write_markdown(results, document)
    assert document.read_text() == expected


def test_other_files_become_the_tables(tmp_path: Path) -> None:
    results = filled({(TCP_OUT, "new"): [8]})
    file = tmp_path / "tables.md"
    for _ in range(2):
        write_markdown(results, file)
        assert file.read_text() == markdown(results)


def test_targets_are_judged_in_the_tables() -> None:
    results = filled({(TCP_OUT, "new"): [7], (TCP_OUT, "pasta"): [1], (START_UP, "new"): [170]})
    judged = markdown(results).splitlines()[-3:]
    assert judged[1:] == [
        "| 1 | TCP out, 1 stream | 1500 | at least 8 of pasta | 7.00 | **no** |",
        "| 6 | start-up of `true` | 1500 | at most 180 ms | 170 | yes |",
    ]
