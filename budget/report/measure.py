"""How a measurement looks."""

from __future__ import annotations

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from budget import units
from budget.api.measurement import Comparison, MeasuredLayer, Measurement
from budget.report import text
from budget.report.console import out_console, print_json, print_notes
from budget.report.names import OneLine

_SHOWN_FUNCTIONS = 12


def report_measurement(measurement: Measurement, *, json: bool = False) -> None:
    """Prints a measurement as tables, or as one JSON document."""
    if json:
        print_json(measurement.to_json())
        return
    rows = _layers(measurement) if measurement.layers else _functions(measurement)
    out_console().print(Group(_head(measurement), rows))
    print_notes(measurement.notes)


def report_comparison(comparison: Comparison, *, json: bool = False) -> None:
    """Prints two measurements side by side, or one JSON document."""
    if json:
        print_json(comparison.to_json())
        return
    first, second = comparison.first, comparison.second
    table = Table(title="side by side", title_justify="left", header_style="bold")
    table.add_column("")
    for name in (first.name, second.name):
        table.add_column(escape(name), justify="right", overflow="fold")
    table.add_column("ratio", justify="right")
    for label, one, other in _figures(first, second):
        table.add_row(label, _count(one), _count(other), _ratio(one, other))
    table.add_row("outputs", _outputs(first), _outputs(second), "")
    out_console().print(table)
    if len(first.layers) == len(second.layers) and first.layers:
        out_console().print(_layers_compared(first, second))
    print_notes(tuple(dict.fromkeys((*first.notes, *second.notes))))


def _head(measurement: Measurement) -> Group:
    m = measurement
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    level = [flag for flag in m.flags if flag.startswith("-O")][-1:]  # the last one counts
    built = " ".join([f", {escape(m.compiler)}", *level])
    table.add_row("core", f"{m.core}{built if m.compiler else ''}")
    per_mac = f"   ({m.cycles_per_mac:.2f} for each MAC)" if m.cycles_per_mac else ""
    table.add_row("cycles", f"{text.count(round(float(m.cycles.value)))}{per_mac}")
    if m.waits.cycles:
        fetch, data = (text.count(n) for n in (m.waits.fetch_cycles, m.waits.data_cycles))
        table.add_row(
            "of them", f"waiting for flash ({m.wait_states} wait states): code {fetch}, data {data}"
        )
    table.add_row("instructions", text.count(m.count.instructions))
    if m.device is not None and m.clock_hz is not None:
        table.add_row("device", f"{escape(m.device.name)} at {units.format(m.clock_hz, 'Hz')}")
        table.add_row("latency", text.interval(m.latency))
        table.add_row("energy", text.interval(m.energy) + text.kind_mark(m.energy))
    kinds = ", ".join(f"{kind} {text.count(size)}" for kind, size in m.flash_bytes.items() if size)
    table.add_row("flash", f"{text.count(sum(m.flash_bytes.values()))} B   ({kinds})")
    table.add_row("RAM", f"{text.count(m.ram_bytes)} B   ({_ram_parts(m)})")
    if m.arena_bytes is not None and m.arena_used_bytes is not None:
        used = f"{text.count(m.arena_used_bytes)} of {text.count(m.arena_bytes)} B"
        table.add_row("arena", f"{used} written")
    table.add_row("outputs", _outputs(m))
    return Group(Text(f"{m.name} on a virtual {m.core}", style="bold"), table)


def _ram_parts(m: Measurement) -> str:
    parts = {"static": m.static_ram_bytes, "stack": m.stack_bytes, "in and out": m.io_bytes}
    return ", ".join(f"{name} {text.count(size)}" for name, size in parts.items() if size)


def _layers(measurement: Measurement) -> Table:
    table = Table(title="layers", title_justify="left", header_style="bold")
    table.add_column("#", justify="right")
    table.add_column("layer", ratio=1)
    table.add_column("operator", no_wrap=True)
    for heading in ("cycles", "per MAC", "flash B"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("share", no_wrap=True)
    for layer in measurement.layers:
        table.add_row(
            str(layer.index),
            OneLine(text.layer_name(layer.name)),
            layer.operator,
            text.count(layer.cycles),
            _per_mac(layer),
            text.count(layer.flash_bytes),
            f"{layer.share_ratio:5.1%} {text.bar(layer.share_ratio, 4)}",
        )
    return table


def _functions(measurement: Measurement) -> Table:
    table = Table(title="functions, without what they call", title_justify="left")
    table.add_column("function", overflow="fold")
    for heading in ("cycles", "instructions", "share"):
        table.add_column(heading, justify="right", no_wrap=True)
    whole = max(measurement.count.cycles, 1)
    for name, count in list(measurement.functions.items())[:_SHOWN_FUNCTIONS]:
        table.add_row(
            escape(name),
            text.count(count.cycles),
            text.count(count.instructions),
            f"{count.cycles / whole:.1%}",
        )
    return table


def _layers_compared(first: Measurement, second: Measurement) -> Table:
    table = Table(title="layers", title_justify="left", header_style="bold")
    table.add_column("#", justify="right")
    table.add_column("layer", ratio=1)
    table.add_column("operator", no_wrap=True)
    for heading in ("cycles", "against", "ratio"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one, other in zip(first.layers, second.layers, strict=True):
        table.add_row(
            str(one.index),
            OneLine(text.layer_name(one.name)),
            one.operator,
            text.count(one.cycles),
            text.count(other.cycles),
            _ratio(one.cycles, other.cycles),
        )
    return table


def _figures(
    first: Measurement, second: Measurement
) -> list[tuple[str, float | None, float | None]]:
    return [
        ("cycles", float(first.cycles.value), float(second.cycles.value)),
        ("instructions", first.count.instructions, second.count.instructions),
        ("flash B", sum(first.flash_bytes.values()), sum(second.flash_bytes.values())),
        ("RAM B", first.ram_bytes, second.ram_bytes),
        ("stack B", first.stack_bytes, second.stack_bytes),
        ("arena B", first.arena_bytes, second.arena_bytes),
    ]


def _count(value: float | None) -> str:
    return "–" if value is None else text.count(round(value))


def _ratio(one: float | None, other: float | None) -> str:
    return f"{one / other:.3f}" if one is not None and other else "–"


def _per_mac(layer: MeasuredLayer) -> str:
    return "–" if layer.cycles_per_mac is None else f"{layer.cycles_per_mac:.2f}"


def _outputs(measurement: Measurement) -> str:
    if measurement.outputs_agree is None:
        return "not compared: none recorded"
    if not measurement.outputs_agree:
        return "[bold red]WRONG[/]"
    if measurement.tolerant:
        return "equal within the self-test's tolerance"
    return "bit-exact"
