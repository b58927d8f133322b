"""How a verdict looks."""

from __future__ import annotations

from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from budget import units
from budget.api.check import Check
from budget.estimate.inference import tensor_arena_bytes
from budget.report import text
from budget.report.console import out_console, print_json, print_notes
from budget.report.ledger import render_ledger
from budget.verdict import Constraint, Verdict


def report_check(check: Check, *, explain: bool = False, json: bool = False) -> None:
    """Prints the verdict as tables, or as one JSON document."""
    if json:
        print_json(check.to_json())
        return
    console = out_console()
    console.print(render(check))
    if explain:
        from budget.api.chain import chain_of
        from budget.report.explain import render_chain, render_figures

        chain = chain_of(check)
        if chain is not None:
            console.print(render_chain(check, chain))
        console.print(render_figures(check.figures()))
    print_notes(check.notes)


def render(check: Check) -> Group:
    """The whole answer: model, cost, constraints, what binds, verdict, remedies."""
    return Group(
        _headline(check),
        _cost_table(check),
        *_ledger(check),
        render_constraints(check),
        _binding(check),
        _verdict_line(check),
    )


def _headline(check: Check) -> Text:
    inference, question = check.inference, check.question
    line = Text.assemble((check.model.name, "bold"), " on ", (check.device.name, "bold"))
    if inference.clock_hz is not None:
        line.append(f" at {units.format(inference.clock_hz, 'Hz')}")
    if inference.voltage_v is not None:
        line.append(f", {units.format(inference.voltage_v, 'V')}")
    if question.rate_hz is not None:
        line.append(f", {units.format_rate(question.rate_hz)}")
    line.append(f", {check.model.precision}")
    if check.device.category == "mcu":
        line.append(f", runtime {check.runtime.id}")
    return line


def _cost_table(check: Check) -> Table:
    program, inference = check.program, check.inference
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column()
    cost = program.cost
    table.add_row(
        "MACs", f"{text.count(cost.macs)}   (1 MAC = 2 FLOPs; {text.count(cost.flops)} FLOPs)"
    )
    table.add_row("weights", units.format(program.weight_bytes, "bytes"))
    if check.removable.removable_count:
        what = "removed" if check.runtime.removes_constant_channels else "kept by this runtime"
        table.add_row("constant channels", f"{text.removable(check.removable)}\n({what})")
    bound = units.format(program.lower_bound_bytes, "bytes")
    table.add_row("arena", f"{units.format(program.arena_bytes, 'bytes')}   (lower bound {bound})")
    requested = tensor_arena_bytes(program)
    if requested is not None:
        table.add_row("", f"tensor_arena_size = {text.count(requested)}")
    if inference.cycles is not None:
        table.add_row("cycles", text.interval(inference.cycles))
    if inference.latency is not None:
        table.add_row("latency", text.interval(inference.latency))
    table.add_row(
        "energy", f"{text.interval(inference.energy)} per inference, {inference.boundary}"
    )
    if inference.power is not None:
        table.add_row("power", f"{text.interval(inference.power)} while it runs")
    return table


def _ledger(check: Check) -> list[Group]:
    """Where the energy goes, if there is more to tell than sleep and inference."""
    question = check.question
    around = question.around
    more = (around.sensor, around.radio, around.front_end, around.second, question.converter)
    if check.power is None or all(part is None for part in (*more, question.storage)):
        return []
    return [render_ledger(check.power.ledger)]


def render_constraints(check: Check) -> Table:
    """Every constraint with what is needed, what there is, and whether it holds."""
    table = Table(title_justify="left", header_style="bold")
    table.add_column("constraint", no_wrap=True)
    table.add_column("need", justify="right")
    table.add_column("have", justify="right")
    table.add_column("margin", justify="right")
    table.add_column("status")
    for constraint in check.constraints:
        style = text.STATUS_STYLE[constraint.status]
        table.add_row(
            _label(check, constraint),
            text.interval(constraint.need),
            text.interval(constraint.have),
            text.margin(constraint.margin_ratio),
            Text(constraint.status.value.replace("-", " "), style=style),
        )
    return table


def _label(check: Check, constraint: Constraint) -> str:
    name = text.constraint_name(constraint.name)
    source = check.question.source
    if constraint.name == "power" and source is not None:
        area = check.question.area_m2
        size = f" {units.format(area, 'm2')}" if area is not None else ""
        return f"{name}\n[dim]{escape(source.id)}{size}[/]"
    return name


def _binding(check: Check) -> Text:
    line = Text()
    if check.binding is not None:
        what = "cycles" if check.binding.cycles is not None else "energy"
        line.append("binds: ", style="dim")
        line.append(
            f"{text.layer_name(check.binding.step.layer)} ({check.binding.step.node.op}), "
            f"{check.binding.share_ratio:.0%} of the {what}"
        )
    if check.peak is not None:
        line.append("\npeak RAM: ", style="dim")
        line.append(
            f"{text.layer_name(check.peak.step.layer)} ({check.peak.step.node.op}), "
            f"{units.format(check.peak.live_bytes, 'bytes')} alive"
        )
    return line


def _verdict_line(check: Check) -> Text:
    line = Text(text.VERDICT_TEXT[check.verdict], style=text.VERDICT_STYLE[check.verdict])
    by_constraint: dict[str, list[str]] = {}
    for remedy in check.remedies:
        by_constraint.setdefault(remedy.constraint, []).append(remedy.text)
    for name, texts in by_constraint.items():
        label = text.constraint_name(name)
        line.append(f"\n{label}: ", style="bold")
        line.append("needs " + ", or ".join(texts), style="default")
    if check.verdict is Verdict.TOO_CLOSE:
        line.append(
            "\nthe 90 % intervals of need and have overlap: measure, or leave more room",
            style="dim",
        )
    return line


def render_to(check: Check, width: int) -> str:
    """The answer as plain text of a given width, for documents and tests."""
    from io import StringIO

    console = Console(width=width, file=StringIO(), color_system=None, highlight=False)
    console.print(render(check))
    file = console.file
    assert isinstance(file, StringIO)
    return file.getvalue()
