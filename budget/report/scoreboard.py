"""How the scoreboard looks."""

from __future__ import annotations

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from budget.api.scoreboard import PER_MODEL, RULES, TARGETS, Score, Scoreboard
from budget.report.console import out_console, print_json


def report_scoreboard(
    board: Scoreboard, *, by: str | None = None, rows: bool = False, json: bool = False
) -> None:
    """Prints the scores, and with `rows` every measurement."""
    if json:
        print_json(board.to_json())
        return
    console = out_console()
    console.print(render(board, by=by))
    if rows:
        console.print(_lines(board))


def render(board: Scoreboard, *, by: str | None = None) -> Group:
    """Overall scores, then those of the groups asked for.

    Args:
        board: what was scored.
        by: ``runtime``, ``core``, ``board`` or ``network``, with every comparison; if not given,
            the latencies of new models by runtime, board and network.
    """
    tables = [_table(board, "all", "predicted against measured, from cross-validation")]
    if by:
        tables.append(_table(board, by, f"by {by}"))
    else:
        tables += [
            _table(board, kind, f"{PER_MODEL}, by {kind}", PER_MODEL)
            for kind in ("runtime", "board", "network")
        ]
    left = "; ".join(f"{count} {why}" for why, count in board.unused.items())
    note = (
        "[dim]inside: measurements in their 90 % interval. "
        f"{board.published_count} rows in the data; not scored: {escape(left)}[/]"
    )
    return Group(*tables, note)


def _table(board: Scoreboard, by: str, title: str, only: str | None = None) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold")
    if only is None:
        table.add_column("comparison")
    if by != "all":
        table.add_column(by)
    table.add_column("rows", justify="right")
    table.add_column("median", justify="right")
    table.add_column("worst", justify="right")
    table.add_column("inside", justify="right")
    for score in board.scores:
        if score.by != by or only not in {None, score.what}:
            continue
        if by != "all" and score.what in RULES:
            continue
        group = [] if by == "all" else [escape(score.name)]
        worst = _percent(score.worst_ratio)
        median = _percent(score.median_ratio)
        if by == "all":
            goal, limit = TARGETS.get(score.what, (None, None))
            median, worst = (
                _against(median, goal, score.median_ratio),
                _against(worst, limit, score.worst_ratio),
            )
        first = [] if only else [score.what]
        table.add_row(*first, *group, str(score.count), median, worst, _coverage(score))
    return table


def _against(text: str, goal: float | None, value: float) -> str:
    """An error beside what it should be at most."""
    if goal is None:
        return text
    style = "green" if value <= goal else "yellow"
    return f"[{style}]{text}[/] (≤ {goal:.0%})"


def _coverage(score: Score) -> str:
    if score.inside_count is None:
        return "-"
    text = f"{score.inside_count} of {score.count}"
    return f"[red]{text}, rejected[/]" if score.is_rejected else text


def _lines(board: Scoreboard) -> Table:
    table = Table(title="every row", title_justify="left", header_style="bold")
    for name in ("comparison", "board", "runtime", "network"):
        table.add_column(name, overflow="fold")
    for name in ("measured", "predicted", "error"):
        table.add_column(name, justify="right")
    table.add_column("inside")
    for line in board.lines:
        inside = {None: "-", True: "yes", False: "no"}[line.is_inside]
        table.add_row(
            line.what,
            escape(line.board),
            escape(f"{line.runtime} ({line.version})"),
            line.network,
            f"{line.measured:.4g}",
            f"{line.predicted:.4g}",
            f"{line.error_ratio:+.1%}",
            inside,
        )
    return table


def _percent(ratio: float) -> str:
    return f"{ratio:.1%}" if ratio < 10 else f"{ratio:.0%}"
