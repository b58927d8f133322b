"""How an emission looks."""

from __future__ import annotations

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from budget import units
from budget.api.emit import Emission
from budget.plan.program import Choice
from budget.report import text
from budget.report.console import err_console, out_console, print_json, print_notes


def report_emission(emission: Emission, *, json: bool = False) -> None:
    """Prints what was written, or one JSON document."""
    if json:
        print_json(emission.to_json())
        return
    out_console().print(Group(_head(emission), _files(emission)))
    print_notes(emission.notes)
    for warning in emission.warnings:
        err_console().print(f"[bold yellow]WARNING:[/] {escape(warning)}", soft_wrap=True)


def _head(emission: Emission) -> Group:
    program, options, manifest = emission.program, emission.options, emission.manifest
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("target", f"{options.target}, optimised for {options.optimise}")
    table.add_row("steps", f"{len(manifest['layers'])}, {text.count(program.cost.macs)} MACs")
    table.add_row("rounding", f"as {_ROUNDING[str(options.rounding)]}")
    for label, key in (("flash", "flash_bytes"), ("RAM", "ram_bytes")):
        predicted = manifest["prediction"].get(key)
        if predicted is not None:
            table.add_row(label, f"{units.format(predicted, 'bytes')} predicted")
    table.add_row("constants", units.format(manifest["constant_bytes"], "bytes"))
    table.add_row(
        "arena",
        f"{units.format(program.arena_bytes, 'bytes')}   "
        f"(lower bound {units.format(program.lower_bound_bytes, 'bytes')})",
    )
    if program.choice is not None:
        table.add_row("kernels", _chosen(program.choice, manifest["prediction"]["cycles"]))
        table.add_row(
            f"{units.format(program.choice.more_bytes, 'bytes')} more", _more(program.choice)
        )
    front_end = manifest.get("front_end")
    if front_end is not None:
        size, ram = (units.format(front_end[f"{k}_bytes"], "bytes") for k in ("flash", "ram"))
        table.add_row(
            "front end",
            f"{front_end['specification']}: {text.count(front_end['macs'])} MACs, {size} of flash, "
            f"{ram} of RAM more",
        )
    title = f"{emission.model.name} → {emission.folder}"
    return Group(Text(title, style="bold"), table)


def _chosen(choice: Choice, cycles: int | None) -> str:
    """What the kernels take, and what they were chosen within."""
    given = [
        f"{units.format(limit, 'bytes')} of {label}"
        for label, limit in (("flash", choice.flash_limit_bytes), ("RAM", choice.ram_limit_bytes))
        if limit is not None
    ]
    within = f" within {' and '.join(given)}" if given else ""
    waiting = f" at {choice.wait_states} wait states" if choice.wait_states else ""
    predicted = "" if cycles is None else f": {text.count(cycles)} cycles predicted{waiting}"
    return f"chosen for {choice.layers} layers{within}{predicted}"


def _more(choice: Choice) -> str:
    """What more flash would buy."""
    if not choice.more_saves_cycles:
        return "flash would save nothing"
    share = choice.more_saves_cycles / choice.cycles
    changes = ", ".join(choice.more_changes[:3])
    rest = len(choice.more_changes) - 3
    others = f" and {rest} more" if rest > 0 else ""
    return (
        f"flash would save {text.count(round(choice.more_saves_cycles))} cycles ({share:.1%}): "
        f"{changes}{others}"
    )


_ROUNDING = {
    "tflite": "TensorFlow Lite's reference kernels on a host (tflite)",
    "tflm": "TensorFlow Lite Micro's kernels (tflm)",
}


def _files(emission: Emission) -> Table:
    table = Table(title="written", title_justify="left", header_style="bold")
    table.add_column("file")
    table.add_column("bytes", justify="right")
    for path, content in emission.files.items():
        table.add_row(escape(path), text.count(len(content)))
    return table
