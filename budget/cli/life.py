"""The options that describe a device's life: the keys of a scenario file, one option each."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_type_hints

import typer

from budget.cli import options
from budget.errors import UsageError

if TYPE_CHECKING:
    from budget.scenario.schema import Scenario


class _Option(NamedTuple):
    """An option: its flags, the key it sets, the dimension of its value, and its help."""

    flags: tuple[str, ...]
    key: str
    dimension: str | None
    help: str
    panel: str = "The rest of the cycle"


_DEVICE, _ENERGY = "The device", "Energy"
OPTIONS: tuple[_Option, ...] = (
    _Option(("--device", "-d"), "device", None, "An id ('budget devices') or a TOML file.",
            _DEVICE),
    _Option(("--runtime",), "runtime", None, "Software that runs the model ('budget runtimes').",
            _DEVICE),
    _Option(("--clock",), "clock_hz", "frequency", "Core clock, such as 40MHz.", _DEVICE),
    _Option(("--voltage",), "voltage_v", "voltage", "Supply voltage, such as 3.3V.", _DEVICE),
    _Option(("--supply",), "supply", None, "Another supply of the device, such as ldo.", _DEVICE),
    _Option(("--rate",), "rate_hz", "rate", "Inferences, such as 1/s or 2/min.", _DEVICE),
    _Option(("--deadline",), "deadline_s", "time",
            "Longest latency, such as 50ms; 1/rate if not given.", _DEVICE),
    _Option(("--source",), "source.harvester", None,
            "Where energy comes from ('budget sources').", _ENERGY),
    _Option(("--area",), "source.area_m2", "area", "Area of the harvester, such as 10cm2.",
            _ENERGY),
    _Option(("--converter",), "source.converter", None,
            "Between source and storage ('budget converters'); without losses if not given.",
            _ENERGY),
    _Option(("--present",), "source.present_ratio", "ratio",
            "Share of the time in which the source is there, such as 40%.", _ENERGY),
    _Option(("--gap",), "source.gap_s", "time",
            "Longest time without the source, such as 14h.", _ENERGY),
    _Option(("--storage",), "storage", None,
            "A battery or capacitor ('budget storage'); ideal if not given.", _ENERGY),
    _Option(("--life",), "life_s", "time",
            "How long a storage that nothing charges must last, such as 2years.", _ENERGY),
    _Option(("--sensor",), "sense.sensor", None, "What it senses with ('budget sensors')."),
    _Option(("--sensor-mode",), "sense.mode", None, "The sensor's mode while it senses."),
    _Option(("--sense",), "sense.time_s", "time", "How long it senses for one inference."),
    _Option(("--sense-power",), "sense.power_w", "power",
            "Of an analog converter and the like meanwhile, such as 100uW."),
    _Option(("--features",), "preprocess.features", None,
            "A front end's specification file, or zoo:hotword."),
    _Option(("--radio",), "transmit.radio", None, "What it sends with ('budget radios')."),
    _Option(("--payload",), "transmit.payload_bytes", "size", "Of one message, such as 20B."),
    _Option(("--messages",), "transmit.ratio", "ratio",
            "Messages for each inference, such as 1%."),
    _Option(("--second",), "second.model", None, "A larger MODEL that the first one wakes."),
    _Option(("--second-ratio",), "second.ratio", "ratio",
            "Share of the inferences that wake it, such as 5%."),
)  # fmt: skip


_COMPLETED = {
    "device": "devices",
    "runtime": "runtimes",
    "source.harvester": "harvesters",
    "source.converter": "converters",
    "storage": "storages",
    "sense.sensor": "sensors",
    "transmit.radio": "radios",
    "second.model": "models",
}
"""Function of the library, by option, whose ids the shell may complete."""


def takes_life(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options of a scenario.

    The command's last parameter is called ``scenario`` and gets a `Scenario` that holds what the
    file named by ``--scenario`` says and, before that, what the options say.
    """
    # the scenario's own type is for readers: naming it here would import it at every start
    hints = get_type_hints(command, localns={"Scenario": object}, include_extras=True)
    own = inspect.signature(command).parameters.values()
    parameters = [p.replace(annotation=hints[p.name]) for p in own if p.name != "scenario"]
    added = _annotations()
    parameters += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=made)
        for name, made in added.items()
    ]

    def run(**given: Any) -> None:
        texts = {name: given.pop(name) for name in added}
        scenario = scenario_of(texts)
        if texts["write_scenario"] is not None:
            _write(scenario, given.get("model"), texts["write_scenario"])
        command(**given, scenario=scenario)

    made: Any = run  # typer reads the options off its signature
    made.__name__, made.__doc__ = command.__name__, command.__doc__
    made.__signature__ = inspect.Signature(parameters)
    made.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def scenario_of(texts: dict[str, str | None]) -> Scenario:
    """The scenario that options describe; ``scenario`` among them names a file to start from.

    Raises:
        UsageError: a value of the wrong dimension; the option is named.
        ProfileError: the file cannot be used.
    """
    from budget.scenario.schema import Scenario, load_scenario, merged

    over = Scenario()
    for option in OPTIONS:
        text = texts.get(_name(option))
        if text is None:
            continue
        value: Any = text
        if option.dimension is not None:
            value = options.quantity(option.flags[0], option.dimension, text)
        table, _, key = option.key.rpartition(".")
        if table:
            value = replace(getattr(over, table), **{key: value})
        over = replace(over, **{table or key: value})
    named = texts.get("scenario")
    return merged(load_scenario(named), over) if named else over


def _write(scenario: Scenario, model: str | None, file: str) -> None:
    """Writes a scenario file that stands for all the options.

    Raises:
        UsageError: the file cannot be written.
    """
    from budget.scenario.schema import to_toml

    path = Path(file)
    whole = replace(scenario, id=path.stem, model=model or scenario.model)
    try:
        path.write_text(to_toml(whole), encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"cannot be written: {error.strerror}", where=file, hint="check folder and permissions"
        ) from None


def _name(option: _Option) -> str:
    return option.flags[0].removeprefix("--").replace("-", "_")


@cache
def _annotations() -> dict[str, Any]:
    """Parameter name → type and option; made once for all commands."""
    file = typer.Option("--scenario", help="A file of all these, or an id ('budget scenarios').")
    write = typer.Option("--write-scenario", help="Write all these options to a file first.")
    found: dict[str, Any] = {
        "scenario": Annotated[str | None, file],
        "write_scenario": Annotated[str | None, write],
    }
    for option in OPTIONS:
        made = typer.Option(
            *option.flags,
            help=option.help,
            rich_help_panel=option.panel,
            autocompletion=options.completion(_COMPLETED.get(option.key)),
        )
        found[_name(option)] = Annotated[str | None, made]
    return found
