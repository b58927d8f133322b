"""Pictures: stored energy over time, in the terminal (plotext) or as a file (matplotlib)."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from budget.api.simulate import SimulationResult
from budget.errors import MissingToolError, UsageError
from budget.scenario.course import between, deepest_days, level
from budget.scenario.outcome import Outcome
from budget.scenario.simulation import DAY_S

_HEIGHT = 13
_FORMATS = {".png", ".svg", ".pdf"}
_MOST_DAYS_OF_LINES = 60
_COLOURS = {"used": "#0072b2", "leaked": "#e69f00", "converter": "#cc79a7", "refused": "#999999"}
"""Told apart by people who see few colours (Okabe and Ito)."""


def terminal_plot(outcome: Outcome, width: int) -> str | None:
    """The day with the lowest storage as text, None without plotext.

    Args:
        outcome: with its course.
        width: columns.
    """
    if find_spec("plotext") is None:
        return None
    import plotext

    begin_s, end_s = deepest_days(outcome)
    day = between(outcome, begin_s, end_s)
    values, unit, turn_on, brown_out = level(day)
    hours = ((day.time_s - begin_s) / 3600).tolist()
    figure = plotext.figure
    figure.clear()
    figure.plot_size(width, _HEIGHT)
    figure.theme("colorless")
    figure.draw(figure.signal(hours, values.tolist(), marker="braille").lines())
    for mark in (turn_on, brown_out):
        dots = [hours[0] + (hours[-1] - hours[0]) * i / 60 for i in range(61)]
        figure.draw(figure.signal(dots, [mark] * len(dots), marker="·"))
    which = int(begin_s // DAY_S) + 1
    figure.title(
        f"day {which}, {unit}: dots at {turn_on:.3g} (turn-on), {brown_out:.3g} (brown-out)"
    )
    figure.label("hour")
    text: str = plotext.uncolorize(str(figure.build()))
    return "\n".join(line.rstrip() for line in text.splitlines())


def save_plot(result: SimulationResult, path: str | Path) -> None:
    """Draws stored energy and the inferences of each day into a file.

    Args:
        result: of a simulation.
        path: ends in .png, .svg or .pdf.

    Raises:
        UsageError: another ending, or a place that cannot be written.
        MissingToolError: matplotlib is not installed.
    """
    file = Path(path)
    if file.suffix not in _FORMATS:
        raise UsageError(
            "the picture's format is not known by its name",
            where=f"--plot {path}",
            hint="end it in .png, .svg or .pdf",
        )
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingToolError(
            "pictures are drawn by matplotlib, which is not installed",
            where="--plot",
            hint="pip install 'mcu-budget[plot]'",
        ) from None
    figure = Figure(figsize=(8, 6), layout="constrained")
    FigureCanvasAgg(figure)
    draw(result, figure)
    temporary = file.with_name(f".{file.name}-{os.getpid()}{file.suffix}")
    try:
        # the same result gives the same file: no date, no random names
        with rc_context({"svg.hashsalt": "budget"}):
            figure.savefig(temporary, dpi=150, metadata=_undated(file.suffix))
        temporary.replace(file)
    except OSError as error:
        raise UsageError(
            f"cannot be written: {error.strerror or error}",
            where=f"--plot {path}",
            hint="choose another place",
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


def _undated(suffix: str) -> dict[str, Any]:
    return {} if suffix == ".png" else {"Date" if suffix == ".svg" else "CreationDate": None}


def draw(result: SimulationResult, figure: Any) -> None:
    """Draws a simulation into a matplotlib figure: storage, inferences a day, energy.

    Args:
        result: of a simulation.
        figure: a `matplotlib.figure.Figure`.
    """
    outcome = result.first
    top, middle, bottom = figure.subplots(3, 1, height_ratios=[3, 2, 1])
    _draw_course(outcome, top)
    top.set_title(_title(result), fontsize=10, loc="left")
    days = range(1, len(outcome.done) + 1)
    whole = len(outcome.done) <= _MOST_DAYS_OF_LINES
    middle.bar(days, outcome.done, width=0.85 if whole else 1.0, color=_COLOURS["used"],
               label="done")  # fmt: skip
    middle.bar(days, outcome.missed, width=0.85 if whole else 1.0, bottom=outcome.done,
               color="#d55e00", alpha=0.35, label="missed")  # fmt: skip
    middle.set_ylabel("inferences a day")
    middle.set_xlabel("day")
    middle.set_xlim(0.5, len(outcome.done) + 0.5)
    middle.legend(loc="lower right", bbox_to_anchor=(1, 0.98), fontsize=8, ncols=2, frameon=False)
    _draw_balance(outcome, bottom)
    for axes in (top, middle, bottom):
        axes.spines[["top", "right"]].set_visible(False)


def _title(result: SimulationResult) -> str:
    question, life = result.question, result.life
    parts = [result.estimate.model.name, f"on {result.estimate.device.id}"]
    if question.source is not None and life.trace is not None:
        parts.append(f"{question.source.id} under {life.trace.name}")
    if question.storage is not None:
        parts.append(question.storage.id)
    return ", ".join(parts)


def _draw_course(outcome: Outcome, axes: Any) -> None:
    values, unit, turn_on, brown_out = level(outcome)
    axes.plot(outcome.time_s / DAY_S, values, color=_COLOURS["used"], linewidth=1)
    for mark, name in ((turn_on, "turn-on"), (brown_out, "brown-out")):
        axes.axhline(mark, color="#666666", linewidth=0.8, linestyle=":")
        axes.annotate(
            name, (1.005, mark), xycoords=("axes fraction", "data"), ha="left", va="center",
            fontsize=8, color="#666666",
        )  # fmt: skip
    axes.set_ylabel("storage voltage / V" if unit == "V" else f"stored / {unit}")
    axes.set_xlim(0, outcome.duration_s / DAY_S)
    axes.set_xlabel("days")


def _draw_balance(outcome: Outcome, axes: Any) -> None:
    balance = outcome.balance
    parts = {
        "used": balance.used_j,
        "leaked": balance.leaked_j,
        "converter": balance.standing_j,
        "refused": balance.refused_j,
    }
    left = 0.0
    for name, joules in parts.items():
        if joules > 0:
            axes.barh(0, joules, left=left, color=_COLOURS[name], label=f"{name} {joules:.3g} J")
        left += joules
    axes.axvline(balance.charged_j, color="black", linewidth=1)
    axes.annotate(
        f"charged {balance.charged_j:.3g} J ", (balance.charged_j, 0.5), va="bottom", fontsize=8,
        ha="right" if balance.charged_j > left / 2 else "left",
    )  # fmt: skip
    axes.set_ylim(-0.45, 1.0)
    axes.set_yticks([])
    axes.set_xlabel("energy / J")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.75), ncols=4, fontsize=8, frameon=False)
