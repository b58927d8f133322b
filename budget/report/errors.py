"""How an error looks: one sentence, one hint, on standard error."""

from __future__ import annotations

from budget.errors import BudgetError
from budget.report.console import err_console


def print_error(error: BudgetError) -> None:
    """``error: where: what`` and, if there is one, ``hint: …``."""
    console = err_console()
    console.print(f"[bold red]error:[/] {_escape(str(error))}", soft_wrap=True)
    if error.hint:
        console.print(f"[bold]hint:[/] {_escape(error.hint)}", soft_wrap=True)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
