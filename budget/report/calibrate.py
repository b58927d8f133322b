"""How a calibration looks."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from budget import units
from budget.api.calibrate import Calibration
from budget.report.console import out_console, print_json
from budget.report.text import interval


def report_calibration(calibration: Calibration, *, json: bool = False) -> None:
    """Prints errors before and after, and where the profile is."""
    if json:
        print_json(calibration.to_json())
        return
    console = out_console()
    console.print(_table(calibration))
    result = calibration.result
    console.print(
        f"90 % interval of a model like these: ×/÷ {result.reach_before:.2f} before, "
        f"×/÷ {result.reach_after:.2f} after"
    )
    if calibration.measured_power_w is not None:
        measured = units.format(calibration.measured_power_w, "W")
        told = interval(calibration.profile_power)
        console.print(f"power while it runs: {measured} measured, {told} in the profile")
    name = escape(str(calibration.output))
    console.print(f"wrote {name}: use it as --runtime {name}")
    if calibration.device_output is not None:
        name = escape(str(calibration.device_output))
        console.print(f"wrote {name}: use it as --device {name}")


def _table(calibration: Calibration) -> Table:
    table = Table(
        title=f"{calibration.runtime.id} on your {calibration.device.id}",
        title_justify="left",
        header_style="bold",
    )
    table.add_column("model", overflow="fold")
    for name in ("measured", "before", "error", "after*", "error*"):
        table.add_column(name, justify="right")
    for item in calibration.comparisons:
        after, after_error = "-", "-"
        if item.after is not None and item.after_ratio is not None:
            after = units.format(item.after, "cycles")
            after_error = f"{item.after_ratio:.1%}"
        table.add_row(
            escape(item.network),
            units.format(item.measured, "cycles"),
            units.format(item.before, "cycles"),
            f"{item.before_ratio:.1%}",
            after,
            after_error,
        )
    table.caption = "* told from your other models, this one left out"
    table.caption_justify = "left"
    return table
