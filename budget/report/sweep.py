"""How a sweep's progress and its end look."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from budget.api.sweep import Progress as ProgressCall
from budget.api.sweep import SweepResult
from budget.report import text
from budget.report.console import err_console, out_console, print_json


@contextmanager
def progress_shown() -> Iterator[ProgressCall]:
    """A bar on standard error, where that is a terminal."""
    columns = (TextColumn("combinations"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = err_console()
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("sweep", total=None)
        yield lambda done, size: progress.update(task, completed=done, total=size)


def report_sweep(result: SweepResult, *, json: bool = False) -> None:
    """Prints where the table is and how many combinations fit, or one JSON document."""
    if json:
        print_json(result.to_json())
        return
    console = out_console()
    console.print(
        f"[bold]{escape(str(result.path))}[/]: {text.count(result.rows)} combinations",
        soft_wrap=True,
    )
    for verdict, count in sorted(result.verdicts.items()):
        share = text.bar(count / result.rows, 20)
        console.print(f"  {verdict:18} {text.count(count):>14}  {share}")
    for error, count in result.errors.items():
        err_console().print(
            f"[dim]not judged ({text.count(count)}):[/] {escape(error)}", soft_wrap=True
        )
