"""How inference from a capacitor looks."""

from __future__ import annotations

import math

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from budget import units
from budget.api.intermittent import FromCapacitor
from budget.report import text
from budget.report.console import out_console, print_json, print_notes
from budget.scenario.intermittent import Split
from budget.verdict import Status


def report_intermittent(found: FromCapacitor, *, json: bool = False) -> None:
    """Prints charges, pieces and checkpoints, or one JSON document."""
    if json:
        print_json(found.to_json())
        return
    out_console().print(render(found))
    print_notes(found.notes)


def render(found: FromCapacitor) -> Group:
    """One charge, one inference, and how the one is made of the other."""
    return Group(_headline(found), _facts(found), _splits(found), _verdict(found))


def _headline(found: FromCapacitor) -> Text:
    storage = found.question.storage
    assert storage is not None
    return Text.assemble(
        (found.estimate.model.name, "bold"),
        " on ",
        (found.estimate.device.name, "bold"),
        f", from {storage.id}",
    )


def _facts(found: FromCapacitor) -> Table:
    result, program = found.result, found.estimate.program
    charge = result.charge
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column()
    span = f"{units.format(charge.turn_on_v, 'V')} to {units.format(charge.brown_out_v, 'V')}"
    table.add_row("charge", f"{text.interval(charge.energy)}, {span}")
    refill = charge.refill
    if math.isfinite(float(refill.value)):
        table.add_row("refill", f"{text.interval(refill)} with the device off")
    elif found.question.source is not None:
        table.add_row("refill", "never: the losses take all that the source gives")
    table.add_row("inference", text.interval(found.estimate.inference.energy))
    each = float(result.inferences.value)
    table.add_row("per charge", f"{text.interval(result.inferences)} inferences")
    if each >= 1:
        table.add_row("", "an inference ends within one charge")
    step = program.steps[result.largest_step]
    table.add_row(
        "largest piece",
        f"{text.interval(result.largest)}: step {step.index} of {len(program.steps)}, "
        f"{text.layer_name(step.layer)} ({step.node.op})",
    )
    return table


def _splits(found: FromCapacitor) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", padding=0)
    table.add_column("memory", no_wrap=True)
    for heading in ("power cycles", "checkpoint", "energy", "takes", "spare"):
        table.add_column(heading, justify="right", no_wrap=True)
    for split in found.result.splits:
        taken = bool(split.borders)
        seconds = float(split.duration.value)
        table.add_row(
            split.memory.id,
            _cycles(split),
            units.format(split.checkpoint_bytes, "bytes") if taken else "–",
            text.middle(split.save) if taken else "–",
            text.middle(split.duration) if math.isfinite(seconds) else "never ends",
            text.margin(float(split.spare_ratio.value)),
        )
    return table


def _cycles(split: Split) -> str:
    middle, best, worst = split.power_cycles
    if middle is None:
        return f"none ({best} at best)" if best is not None else "none"
    if best == worst:
        return str(middle)
    return f"{middle} ({best}–{'∞' if worst is None else worst})"


def _verdict(found: FromCapacitor) -> Text:
    words = {
        0: ("fits", "bold green"),
        1: ("does not fit: a step takes more than a charge", "bold red"),
        6: ("too close to call: within the 90 % intervals a step may pass a charge", "bold yellow"),
    }
    line = Text(*words[found.exit_code])
    missed = [c for c in found.constraints if c.status in {Status.FAIL, Status.UNSURE}]
    if missed:
        line = Text()
        for constraint in missed:
            line.append(f"{constraint.name} {constraint.status.value}: ", style="bold red")
            line.append(f"needs {text.interval(constraint.need)}, ")
            line.append(f"has {text.interval(constraint.have)}")
    line.append(
        "\npower cycles: charges for one inference · takes: from first to last of them\n"
        "spare: a charge over the largest piece that may not be interrupted (with boot,\n"
        "restore and save)",
        style="dim",
    )
    return line
