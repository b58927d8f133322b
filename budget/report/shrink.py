"""How a shrunk network is shown, and the front of all candidates saved."""

from __future__ import annotations

import csv
import io
import json as jsons
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from budget import units
from budget.api.shrinkage import HeldOut, Shrinkage
from budget.atomic import write_atomically
from budget.errors import MissingToolError, UsageError
from budget.report import text
from budget.report.check import render_constraints
from budget.report.console import err_console, out_console, print_json, print_notes
from budget.report.names import Parts
from budget.shrinking.evaluation import Score
from budget.shrinking.search import Outcome, brief

_COLUMNS = ("ways", "error", "excess", "energy_j", "latency_s", "flash_bytes", "ram_bytes", "macs",
            "verdict")  # fmt: skip
FORMATS = (".json", ".csv", ".png", ".svg", ".pdf")
_AXES = (
    ("energy, µJ", 1e6, "energy_j"),
    ("flash, KiB", 1 / 1024, "flash_bytes"),
    ("RAM, KiB", 1 / 1024, "ram_bytes"),
)
_MOST_ROWS = 12
_LOUDEST = 5


def say(line: str) -> None:
    """A line of progress, on standard error."""
    err_console().print(f"[dim]{escape(line)}[/]", soft_wrap=True)


def report_shrinkage(result: Shrinkage, *, json: bool = False) -> None:
    """Prints the whole answer as tables, or as one JSON document."""
    if json:
        print_json(result.to_json())
        return
    out_console().print(render(result))
    for warning in result.warnings:
        err_console().print(f"[yellow]warning:[/] {escape(warning)}", soft_wrap=True)
    print_notes(result.notes)


def render(result: Shrinkage) -> Group:
    """What it was, what was done, what it became."""
    parts: list[Text | Table | Group] = [_headline(result), _noise(result)]
    if result.front:
        parts.append(_front(result))
    if result.finished is not None:
        parts += [_steps(result), *_accuracy(result.held_out)]
    parts += [*_measured(result), render_constraints(result.after), _end(result)]
    return Group(*parts)


def _brief(outcome: Outcome) -> str:
    return " ".join(map(brief, outcome.ways)) or "as it is"


def _headline(result: Shrinkage) -> Text:
    before = result.before
    return Text.assemble(
        (before.model.name, "bold"),
        " for ",
        (before.device.name, "bold"),
        f": {before.verdict.value.replace('-', ' ')} as it is",
    )


def _noise(result: Shrinkage) -> Text:
    loudest = ", ".join(
        f"{text.layer_name(n.layer)} ({n.signal_to_noise_db:.0f} dB)"
        for n in result.noise[:_LOUDEST]
    )
    return Text(f"layers that int8 hurts most (signal over noise): {loudest or 'none'}")


def _table(title: str, first: str, amounts: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(first)
    for name in amounts:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _front(result: Shrinkage) -> Table:
    amounts = ("accuracy", "energy", "flash", "RAM", "of budget")
    table = _table("Candidates that no other beats", "ways", amounts)
    for o in result.front[:_MOST_ROWS]:
        table.add_row(
            Parts(_brief(o)),
            "–" if o.excess > 1 else f"{1 - o.error:.1%}",
            units.format(o.energy_j, "J"),
            units.format(o.flash_bytes, "bytes"),
            units.format(o.ram_bytes, "bytes"),
            f"{o.excess:.2f}×",
        )
    return table


def _steps(result: Shrinkage) -> Table:
    title = "Steps (accuracy on the examples that candidates are compared on)"
    table = _table(title, "step", ("accuracy", "MACs", "latency", "energy", "flash", "RAM"))
    for line in result.lines:
        table.add_row(
            Parts(line.step),
            "–" if line.accuracy is None else f"{line.accuracy:.1%}",
            text.count(line.macs),
            "–" if line.latency_s is None else units.format(line.latency_s, "s"),
            units.format(line.energy_j, "J"),
            units.format(line.flash_bytes, "bytes"),
            units.format(line.ram_bytes, "bytes"),
        )
    return table


def _accuracy(held_out: HeldOut | None) -> list[Text]:
    if held_out is None:
        return []
    lines = [f"held out: {held_out.count} examples that nothing was learned from or chosen by"]
    if held_out.before is not None and held_out.after is not None:
        lines.append(f"accuracy {_score(held_out.before)} before, {_score(held_out.after)} after")
    if held_out.change is not None:
        low, high = held_out.change.interval
        lines.append(
            f"change {100 * held_out.change.difference:+.1f} points ({100 * low:+.1f} to "
            f"{100 * high:+.1f}; McNemar p = {held_out.change.p_value:.2g})"
        )
    if held_out.agreement is not None:
        lines.append(f"agrees with the original on {_score(held_out.agreement)}")
    if held_out.explained is not None:
        ratio, low, high = held_out.explained
        lines.append(
            f"keeps {ratio:.2%} of the variance of the original's outputs ({low:.2%} to {high:.2%})"
        )
    return [Text("\n".join(lines))]


def _score(score: Score) -> str:
    low, high = score.interval
    return f"{score.ratio:.1%} ({low:.1%}–{high:.1%})"


def _measured(result: Shrinkage) -> list[Text]:
    m = result.measurement
    if m is None:
        return []
    exact = {True: "bit-exact", False: "OUTPUTS DIFFER", None: "outputs not compared"}[m.bit_exact]
    latency = "" if m.latency is None else f", {text.interval(m.latency)}"
    energy = "" if m.energy is None else f", {text.interval(m.energy)}"
    return [
        Text(
            f"measured on a virtual {m.core}: {text.count(int(m.cycles.value))} cycles{latency}"
            f"{energy}; flash {text.count(sum(m.flash_bytes.values()))} B, "
            f"RAM {text.count(m.ram_bytes)} B; {exact}"
        )
    ]


def _end(result: Shrinkage) -> Text:
    verdict = result.verdict.value.replace("-", " ")
    if result.output is not None:
        lines = [f"{verdict}: {result.output}"]
        if result.emission is not None:
            lines.append(f"C in {result.emission.folder}")
        return Text("\n".join(lines), style="bold")
    lines = ["nothing fits"]
    if result.nearest is not None:
        ways = _brief(result.nearest)
        lines.append(f"nearest: {ways}, {result.nearest.excess:.2f} times what there is for sure")
    lines += [f"{r.constraint}: needs {r.text}" for r in result.after.remedies]
    problems = {o.problem for o in result.outcomes if o.problem}
    lines += [f"not possible: {problem}" for problem in sorted(problems)]
    return Text("\n".join(lines), style="bold")


def save_front(result: Shrinkage, path: Path) -> None:
    """Saves every candidate, those of the front marked: .json, .csv, or a picture.

    Raises:
        UsageError: another name, or a place that cannot be written.
        MissingToolError: a picture without matplotlib.
    """
    if path.suffix == ".json":
        document = {"front": [o.to_json() for o in result.front],
                    "candidates": [o.to_json() for o in result.outcomes]}  # fmt: skip
        content = (jsons.dumps(document, indent=2) + "\n").encode()
    elif path.suffix == ".csv":
        content = _csv(result)
    else:
        require_format(path)
        content = _picture(result, path.suffix[1:])
    write_atomically(path, lambda file: file.write(content))


def require_format(path: Path) -> None:
    """Refuses a name before hours of work rather than behind them.

    Raises:
        UsageError: it says no format.
    """
    if path.suffix not in FORMATS:
        raise UsageError(
            "the front's format is not known by its name",
            where=f"--front {path}",
            hint=f"end it in {', '.join(FORMATS)}",
        )


def _csv(result: Shrinkage) -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow((*_COLUMNS, "front"))
    for o in result.outcomes:
        values = {**o.to_json(), "ways": " ".join(o.ways)}
        writer.writerow([values[name] for name in _COLUMNS] + [int(o in result.front)])
    return buffer.getvalue().encode()


def _picture(result: Shrinkage, format: str) -> bytes:
    """Accuracy over energy, flash and RAM; those of the front filled."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingToolError(
            "pictures are drawn by matplotlib, which is not installed",
            where="--front",
            hint="pip install 'mcu-budget[plot]', or end the name in .csv",
        ) from None
    shown = [o for o in result.outcomes if not o.problem and o.excess <= 1]
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    for axis, (label, scale, name) in zip(axes, _AXES, strict=True):
        for is_front, face in ((False, "none"), (True, "#0072b2")):
            part: list[Outcome] = [o for o in shown if (o in result.front) is is_front]
            axis.scatter(
                [getattr(o, name) * scale for o in part],
                [100 * (1 - o.error) for o in part],
                facecolors=face,
                edgecolors="#0072b2",
            )
        axis.set_xlabel(label)
    axes[0].set_ylabel("accuracy after a short training, %")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=format)
    return buffer.getvalue()
