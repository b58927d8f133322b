"""How the difference between two models looks."""

from __future__ import annotations

import math

from rich.markup import escape
from rich.table import Table

from budget.api.diff import Difference
from budget.report import text
from budget.report.console import out_console, print_json
from budget.report.names import Parts


def report_difference(result: Difference, *, per_layer: bool = False, json: bool = False) -> None:
    """Prints outputs, agreement and where the models part, or one JSON document."""
    if json:
        print_json(result.to_json())
        return
    out = out_console()
    table = Table(
        title=f"{escape(result.name)} and {escape(result.other)}",
        title_justify="left",
        header_style="bold",
    )
    table.add_column("output")
    for heading in ("largest difference", "relative", "signal/noise", "top-1 agreement"):
        table.add_column(heading, justify="right")
    for item in result.outputs:
        table.add_row(
            Parts(item.name),
            f"{item.largest:.3g}",
            f"{item.relative:.3g}",
            _ratio(item.snr_db),
            f"{100 * item.agreement_ratio:.4g} % of {result.example_count}",
        )
    out.print(table)
    if per_layer:
        layers = Table(header_style="bold")
        layers.add_column("layer")
        layers.add_column("operator")
        layers.add_column("signal/noise", justify="right", no_wrap=True)
        for layer in result.layers:
            layers.add_row(Parts(text.layer_name(layer.name)), layer.op, _ratio(layer.snr_db))
        out.print(layers)
    paired = f"{len(result.layers)} layers are paired"
    if result.unmatched_count:
        paired += f", {result.unmatched_count} have no partner"
    parting = result.parting
    if parting is None:
        out.print(f"{paired}; none is below {result.least_snr_db:g} dB.")
    else:
        out.print(
            f"{paired}; the first below {result.least_snr_db:g} dB is "
            f"{escape(text.layer_name(parting.name))} ({parting.op}), {_ratio(parting.snr_db)}."
        )


def _ratio(snr_db: float) -> str:
    if math.isinf(snr_db):
        return "equal" if snr_db > 0 else "no signal"
    return f"{snr_db:.1f} dB"
