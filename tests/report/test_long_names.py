"""Names in narrow columns: nothing is lost of parts, ends stay of lines."""

from __future__ import annotations

from io import StringIO

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from budget.errors import shorten
from budget.report.names import OneLine, Parts

names = st.text("ab_/.:=(), 19", min_size=1, max_size=40).map(str.strip).filter(bool)


@given(names, st.integers(1, 30))
def test_parts_lose_nothing_and_fit(name: str, width: int) -> None:
    lines = Parts(name).lines(width)
    assert "".join("".join(lines).split()) == "".join(name.split())
    assert all(len(line) <= width for line in lines)


def test_parts_break_between_words() -> None:
    assert Parts("fold_constants(ignore_errors=true)").lines(18) == [
        "fold_constants(",
        "ignore_errors=",
        "true)",
    ]
    assert Parts("prune:keep=0.3766,score=norm").lines(18) == ["prune:keep=0.3766,", "score=norm"]
    assert Parts("remove_constant_channels").lines(20) == ["remove_constant_", "channels"]
    assert Parts("https://data.example.com/pdfs/e91.pdf").lines(14) == [
        "https://data.",
        "example.com/",
        "pdfs/e91.pdf",
    ]


@given(names, st.integers(3, 30))
def test_one_line_keeps_both_ends(name: str, width: int) -> None:
    shown = shorten(name, width)
    assert len(shown) == min(width, len(name))
    if len(name) > width:
        head, _, tail = shown.partition("…")
        assert name.startswith(head) and name.endswith(tail) and head and tail
    else:
        assert shown == name


def test_in_a_table_layers_can_be_told_apart() -> None:
    table = Table()
    table.add_column("layer")
    table.add_column("cycles", no_wrap=True)
    for index in range(3):
        table.add_row(OneLine(f"depthwise_conv2d_{index}_1"), "1,234,567")
    console = Console(width=28, file=StringIO(), color_system=None, _environ={})
    console.print(table)
    rows = console.file.getvalue().splitlines()[3:-1]  # type: ignore[attr-defined]
    assert len(set(rows)) == 3 and all("…" in row and "1,234,567" in row for row in rows)
    assert {len(row) for row in rows} == {28}
