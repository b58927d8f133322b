"""How a simulation over time looks."""

from __future__ import annotations

import math

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from budget import units
from budget.api.simulate import SimulationResult
from budget.api.size import Sizing
from budget.report import text
from budget.report.console import out_console, print_json, print_notes
from budget.report.plot import terminal_plot

_BAR_WIDTH = 24
_WIDEST_PLOT = 100


def report_simulation(
    result: SimulationResult, *, sizing: Sizing | None = None, json: bool = False
) -> None:
    """Prints a simulation, with sizes if they were asked for, or one JSON document."""
    if json:
        document = result.to_json()
        print_json({**document, "sizing": sizing.to_json()} if sizing else document)
        return
    console = out_console()
    console.print(render(result))
    picture = terminal_plot(result.first, min(console.width, _WIDEST_PLOT))
    if picture is not None:
        console.print(Text(picture))
    if sizing is not None:
        console.print(render_sizing(sizing))
    notes = list(result.notes)
    if picture is None:
        notes.append("a day's course is drawn here with pip install 'mcu-budget[plot]'")
    print_notes(tuple(notes))


def render(result: SimulationResult) -> Group:
    """What was done and missed, and where the energy went."""
    return Group(_headline(result), _results(result), _energy(result))


def _headline(result: SimulationResult) -> Text:
    question, life, estimated = result.question, result.life, result.estimate
    line = Text.assemble((estimated.model.name, "bold"), " on ", (estimated.device.name, "bold"))
    line.append(f", {units.format_rate(question.rate_hz or 0.0)}\n")
    if question.source is not None and life.trace is not None:
        line.append(f"{question.source.id}")
        if question.area_m2 is not None:
            line.append(f", {units.format(question.area_m2, 'm2')}")
        line.append(f" under {life.trace.name}, ")
        line.append(f"converter {question.converter.id if question.converter else 'none'}, ")
    line.append(f"storage {question.storage.id if question.storage else ''}, {life.days} days")
    if life.seeds:
        line.append(f", {life.seeds} weathers")
    return line


def _results(result: SimulationResult) -> Table:
    many = result.life.seeds > 1
    table = Table(
        box=box.SIMPLE_HEAD if many else None,
        show_header=many,
        header_style="bold",
        padding=(0, 1),
    )
    table.add_column("", no_wrap=True)
    if many:
        for heading in ("5th percentile", "median", "95th percentile"):
            table.add_column(heading, justify="right", no_wrap=True)
        found = result.percentiles()
    else:
        table.add_column("", justify="right", no_wrap=True)
        found = {name: values[:1] for name, values in result.percentiles().items()}
    for label, name, unit in (
        ("inferences a day", "done_per_day", ""),
        ("missed a day", "missed_per_day", ""),
        ("on the worst day", "worst_day_done", ""),
        ("share done", "done_ratio", "ratio"),
        ("brown-outs", "brown_outs", ""),
        ("longest gap", "longest_gap_s", "s"),
        ("deepest discharge", "deepest_discharge_ratio", "ratio"),
        ("capacity left", "capacity_left_ratio", "ratio"),
        ("worn to 80 % in", "battery_life_s", "s"),
    ):
        if all(not math.isfinite(value) for value in found[name]):
            continue
        table.add_row(label, *(_shown(value, unit) for value in found[name]))
    if result.lasts_s is not None:
        table.add_row("storage lasts", _shown(result.lasts_s, "s"))
    return table


def _shown(value: float, unit: str) -> str:
    if not unit:
        return f"{value:,.0f}" if value >= 100 or value == round(value) else f"{value:.1f}"
    if unit == "ratio":
        return f"{value:.1%}"
    return units.format(value, unit) if value else "none"


def _energy(result: SimulationResult) -> Table:
    balance = result.first.balance
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", padding=(0, 1))
    table.add_column("energy", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    lost = result.supply.harvested_j - balance.charged_j
    whole = max(
        result.supply.harvested_j,
        balance.used_j + balance.leaked_j + balance.standing_j + balance.refused_j,
    )
    for label, joules in (
        ("harvested", result.supply.harvested_j),
        ("lost in conversion", lost),
        ("used by the device", balance.used_j),
        ("by the converter", balance.standing_j),
        ("leaked", balance.leaked_j),
        ("refused when full", balance.refused_j),
        ("stored" if balance.stored_j >= 0 else "taken from storage", abs(balance.stored_j)),
    ):
        bar = text.bar(joules / whole, _BAR_WIDTH) if whole > 0 else ""
        table.add_row(label, units.format(joules, "J"), bar)
    return table


def render_sizing(sizing: Sizing) -> Group:
    """The least storage and area, Kansal's bound, and what no other choice beats."""
    question = sizing.question
    line = Text("to live for ever on this trace", style="bold")
    storage, kansal = sizing.storage, sizing.kansal
    line.append("\n")
    name = question.storage.id if question.storage else ""
    if math.isfinite(storage.storage_ratio):
        line.append(f"with this area: {units.format(storage.storage_j, 'J')} of storage")
        line.append(f" ({storage.storage_ratio:.2g} × {name})\n", style="not bold")
    else:
        line.append("with this area: no storage is enough\n")
    if sizing.area_m2 is not None:
        area = units.format(sizing.area_m2, "m2") if math.isfinite(sizing.area_m2) else "none"
        line.append(f"with one {name}: an area of {area}\n")
    line.append(
        f"Kansal: {units.format(kansal.below_j, 'J')} carry any steady load up to "
        f"{units.format(kansal.mean_w, 'W')}, were nothing lost in storage "
        f"(this one: {units.format(sizing.load_w, 'W')})",
        style="not bold",
    )
    if not sizing.front:
        return Group(line)
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", padding=(0, 1))
    for heading in ("rate", "area", "storage", name):
        table.add_column(heading, justify="right", no_wrap=True)
    for sizes in sizing.front:
        table.add_row(
            units.format(sizes.rate_hz, "1/s"),
            units.format(sizes.area_m2, "m2"),
            units.format(sizes.storage_j, "J"),
            f"{sizes.storage_ratio:.2g} ×",
        )
    return Group(line, table)
