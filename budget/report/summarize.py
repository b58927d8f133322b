"""How a summary looks."""

from __future__ import annotations

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from budget import units
from budget.api.summarize import Summary
from budget.estimate.inference import live_bytes_by_step
from budget.features import FeatureSpec, front_end_document
from budget.graph import dump
from budget.report import text
from budget.report.console import out_console, print_json, print_notes
from budget.report.names import OneLine


def report_summary(summary: Summary, *, per_layer: bool = False, json: bool = False) -> None:
    """Prints the summary as tables, or as one JSON document."""
    if json:
        print_json(summary.to_json())
        return
    console = out_console()
    console.print(Group(_head(summary), _operators(summary)))
    if per_layer:
        console.print(_layers(summary))
    if summary.front_end is not None:
        console.print(_front_end(summary.front_end))
    print_notes(summary.model.notes)


def report_dump(summary: Summary) -> None:
    """Prints the graph as read and as deployed, as text."""
    console = out_console()
    for graph in (summary.model.raw, summary.model.graph):
        console.out(dump(graph), highlight=False)


def _head(summary: Summary) -> Group:
    model, program = summary.model, summary.program
    source = model.raw.source
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    if source.sha256:
        table.add_row("sha256", source.sha256)
    table.add_row("format", f"{source.format}, {len(model.raw.nodes):,} nodes as read")
    for kind, names in (("input", model.graph.inputs), ("output", model.graph.outputs)):
        for name in names:
            type = model.graph.type_of(name)
            shape = "×".join(map(str, type.shape)) or "scalar"
            table.add_row(kind, f"{escape(name)}   {type.dtype.value} {shape}")
    parameters = summary.parameters
    table.add_row(
        "parameters",
        f"{parameters.constants:,} constant elements as read, "
        f"{parameters.trainable:,} trainable; {parameters.deployed:,} deployed",
    )
    cost = program.cost
    table.add_row("MACs", f"{cost.macs:,}   (taps on padding counted; {cost.macs_run:,} without)")
    table.add_row("FLOPs", f"{cost.flops:,}   (2 for each MAC, TensorFlow profiler's rules)")
    table.add_row(
        "weights", f"{units.format(program.weight_bytes, 'bytes')} in flash as {model.precision}"
    )
    if summary.removable.removable_count:
        table.add_row("constant channels", text.removable(summary.removable))
    table.add_row(
        "arena",
        f"{units.format(program.arena_bytes, 'bytes')}   "
        f"(lower bound {units.format(program.lower_bound_bytes, 'bytes')})",
    )
    table.add_row(
        "traffic",
        f"{units.format(cost.read_bytes, 'bytes')} read, "
        f"{units.format(cost.write_bytes, 'bytes')} written per inference",
    )
    raw = ", ".join(f"{count}× {op}" for op, count in summary.raw_operators.items())
    table.add_row("as read", escape(raw))
    return Group(Text(model.name, style="bold"), table)


def _operators(summary: Summary) -> Table:
    table = Table(title="as deployed", title_justify="left", header_style="bold")
    table.add_column("operator")
    for heading in ("count", "MACs", "share", "FLOPs"):
        table.add_column(heading, justify="right")
    whole = summary.program.cost.macs or 1
    for operator in summary.operators:
        table.add_row(
            operator.op,
            str(operator.node_count),
            text.count(operator.cost.macs),
            f"{operator.cost.macs / whole:.1%}",
            text.count(operator.cost.flops),
        )
    return table


def _front_end(spec: FeatureSpec) -> Table:
    """Its stages as layers, for one clip."""
    document = front_end_document(spec)
    title = (
        f"front end: {spec.clip_samples:,} samples to {spec.frames}×{spec.coefficients}, "
        f"{units.format(document['flash_bytes'], 'bytes')} of flash, "
        f"{units.format(document['ram_bytes'], 'bytes')} of RAM"
    )
    table = Table(title=title, title_justify="left", header_style="bold")
    table.add_column("stage")
    for heading in ("MACs", "operations", "read", "written", "cycles, Cortex-M4"):
        table.add_column(heading, justify="right")
    keys = ("macs", "operations", "read_bytes", "write_bytes", "cycles")
    for stage in document["stages"]:
        table.add_row(stage["stage"], *(text.count(stage[key]) for key in keys))
    table.add_section()
    table.add_row(
        "all", *(text.count(sum(stage[key] for stage in document["stages"])) for key in keys)
    )
    return table


def _layers(summary: Summary) -> Table:
    table = Table(title="layers", title_justify="left", header_style="bold")
    table.add_column("#", justify="right")
    table.add_column("layer")
    table.add_column("operator", no_wrap=True)
    for heading in ("output", "MACs", "weights", "RAM"):
        table.add_column(heading, justify="right", no_wrap=True)
    live = live_bytes_by_step(summary.program)
    for step in summary.program.steps:
        if not step.kernel:
            continue
        shape = summary.program.types[step.node.outputs[0]].shape
        table.add_row(
            str(step.index),
            OneLine(text.layer_name(step.layer)),
            step.node.op,
            "×".join(map(str, shape)),
            text.count(step.cost.macs),
            text.count(step.weight_bytes),
            text.count(live[step.index]),
        )
    return table
