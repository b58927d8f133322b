"""`budget check`: the verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from budget.cli import options
from budget.cli.life import takes_life

if TYPE_CHECKING:
    from budget.api.check import Check
    from budget.api.gate import Gate
    from budget.scenario.schema import Scenario


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command(epilog=_EXAMPLES)(check)


_GATE = "As a gate"
_EXAMPLES = (
    "Examples:  budget check zoo:hotword --device efm32pg12 --rate 1/s --source indoor-light "
    "--area 10cm2  ·  budget check  ·  budget check new.tflite --device stm32l4r5 "
    "--against old.tflite  ·  budget check --github --junit report.xml  ·  "
    "budget check model.tflite --device stm32l4r5 --deadline 50ms --json  ·  "
    "budget check zoo:inception_v1 --device dsp-20pj --rate 1/s --source outdoor-light --area 3cm2"
)


@takes_life
def check(
    model: options.LifeModelArgument = None,
    precision: options.PrecisionOption = None,
    as_is: options.AsIsOption = False,
    inputs: options.InputsOption = None,
    outputs: options.OutputsOption = None,
    input_shape: options.InputShapeOption = None,
    front_end: options.FrontEndOption = False,
    config: Annotated[
        Path | None,
        typer.Option(
            help="A budget.toml to check in the place of the one here.", rich_help_panel=_GATE
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="Show what changed since: an older MODEL, or what --json printed then.",
            rich_help_panel=_GATE,
        ),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(help="Write JUnit XML, too.", rich_help_panel=_GATE)
    ] = None,
    github: Annotated[
        bool,
        typer.Option("--github", help="Print GitHub annotations, too.", rich_help_panel=_GATE),
    ] = False,
    explain: options.ExplainOption = False,
    json: options.JsonOption = False,
    *,
    scenario: Scenario,
) -> None:
    """Decide whether MODEL runs on a device: every constraint, its margin, and what would help.

    Without MODEL and device, everything that the repository's budget.toml names is checked.

    Exit status: 0 fits, 1 does not fit, 6 too close to call; 2 to 5 are errors.
    """
    if config is not None or (model is None and _is_empty(scenario)):
        from budget.api.gate import find_gate

        found = config or find_gate()
        if found is not None:
            _check_gate(found, against=against, junit=junit, github=github, json=json)
    from budget.api.check import check as run
    from budget.report.check import report_check

    if front_end:
        from budget.api.front_ends import with_front_end

        scenario = with_front_end(scenario, model)
    given: dict[str, Any] = {
        "scenario": scenario,
        "precision": precision,
        "as_is": as_is,
        "inputs": options.names(inputs),
        "outputs": options.names(outputs),
        "input_shapes": options.shapes(input_shape),
    }
    result = run(model, **given)
    old = None
    if against is not None and against.endswith(".json"):
        from budget.api.against import load_document

        old = load_document(Path(against))
    elif against is not None:
        old = run(against, **given).to_json()
    show = partial(report_check, result, explain=explain, json=json)
    _report(result, show, old, junit=junit, github=github, json=json)
    raise typer.Exit(result.verdict.exit_code)


def _is_empty(scenario: Scenario) -> bool:
    from budget.scenario.schema import Scenario

    return scenario == Scenario()


def _check_gate(
    path: Path, *, against: str | None, junit: Path | None, github: bool, json: bool
) -> None:
    """Checks all of a budget.toml, reports, and ends the program.

    Raises:
        Exit: always, with the gate's exit status.
    """
    from budget.api.gate import run_gate
    from budget.report.gate import report_gate

    gate = run_gate(path)
    old = None
    if against is not None and against.endswith(".toml"):
        old = run_gate(Path(against)).to_json()
    elif against is not None:
        from budget.api.against import load_document

        old = load_document(Path(against))
    show = partial(report_gate, gate, json=json)
    _report(gate, show, old, junit=junit, github=github, json=json)
    raise typer.Exit(gate.exit_code)


def _report(
    result: Check | Gate,
    show: Callable[[], None],
    old: Mapping[str, Any] | None,
    *,
    junit: Path | None,
    github: bool,
    json: bool,
) -> None:
    """Writes and prints everything that was asked for; `show` prints the result alone."""
    comparisons = None
    if old is not None:
        from budget.api.against import compare_documents

        comparisons = compare_documents(old, result.to_json())
    if junit is not None or github:
        from budget.api.gate import Gate, gate_of

        gate = result if isinstance(result, Gate) else gate_of(result)
        _report_files(gate, junit=junit, github=github, json=json)
    if comparisons is not None and json:
        from budget.report.console import print_json

        print_json({**result.to_json(), "against": [c.to_json() for c in comparisons]})
        return
    show()
    if comparisons is not None:
        from budget.report.against import report_comparisons

        report_comparisons(comparisons)


def _report_files(gate: Gate, *, junit: Path | None, github: bool, json: bool) -> None:
    if junit is not None:
        from budget.report.junit import write_junit

        write_junit(gate, junit)
    if github:
        from budget.report.github import print_github

        print_github(gate, json=json)
