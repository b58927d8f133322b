"""How a solution looks."""

from __future__ import annotations

from rich.text import Text

from budget.api.solve import Solution
from budget.report import text
from budget.report.console import out_console, print_json, print_notes


def report_solution(solution: Solution, *, json: bool = False) -> None:
    """Prints the answer in a line, or as one JSON document."""
    if json:
        print_json(solution.to_json())
        return
    out_console().print(render(solution))
    print_notes(solution.notes)


def render(solution: Solution) -> Text:
    """What was asked of what, the answer, and its interval."""
    line = Text.assemble((solution.model, "bold"), " on ", (solution.device, "bold"), ": ")
    line.append(solution.text, style="bold green" if solution.found else "bold red")
    for name, quantity in solution.values.items():
        if solution.found and float(quantity.low) < float(quantity.high):
            line.append(f"\n{name.replace('_', ' ')}: {text.interval(quantity)}")
    return line
