"""Scenario files: a way of life as TOML, read as strictly as profiles are.

Every key is also an option of the command line; what the command line says wins.
"""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

from budget.errors import ProfileError
from budget.formats.toml import parse_toml
from budget.hardware.schema import Reader, number, section, suggest
from budget.records import keyword_record
from budget.units import DIMENSIONS


@keyword_record
class Sense:
    """How the device senses.

    Attributes:
        sensor: id of a profile.
        mode: of the sensor while it senses; empty: its own choice.
        time_s: how long it senses for one inference.
        readings: for one inference, of a mode that is priced by reading.
        power_w: of what runs beside the sensor meanwhile: analog converter, direct memory access.
        processor: whether the processor runs meanwhile, or direct memory access lets it sleep.
    """

    sensor: str = ""
    mode: str = ""
    time_s: float | None = number("time")
    readings: float | None = number("count")
    power_w: float | None = number("power")
    processor: Literal["asleep", "running"] = "asleep"


@keyword_record
class Preprocess:
    """What stands before the network.

    Attributes:
        features: a front end's specification file, or ``zoo:NAME``.
        macs: multiplications of a front end that has no file.
        operations: its other operations.
    """

    features: str = ""
    macs: float | None = number("macs")
    operations: float | None = number("count")


@keyword_record
class Second:
    """A larger network that the first one wakes, in a share of the cycles."""

    model: str = ""
    ratio: float | None = number("ratio")


@keyword_record
class Transmit:
    """Messages: a radio's id, the payload of one, and messages for each cycle."""

    radio: str = ""
    payload_bytes: float | None = number("size")
    ratio: float | None = number("ratio")


@keyword_record
class Source:
    """Where energy comes from.

    Attributes:
        harvester: id of a profile.
        area_m2: of the harvester.
        converter: id of a profile; empty: a wire without losses.
        present_ratio: share of the time in which the source gives its power.
        gap_s: longest time without it.
    """

    harvester: str = ""
    area_m2: float | None = number("area")
    converter: str = ""
    present_ratio: float | None = number("ratio")
    gap_s: float | None = number("time")


@keyword_record
class Scenario:
    """A device's way of life.

    Attributes:
        id: name of the file.
        name: the application.
        note: what is assumed.
        model: a path or ``zoo:NAME``.
        device: id of a profile.
        runtime: id of a profile.
        clock_hz: of the core.
        voltage_v: at the supply pin.
        supply: one of the device's supplies.
        rate_hz: cycles per second.
        deadline_s: from the data to the decision.
        life_s: how long a storage that nothing charges must last.
        storage: id of a battery or capacitor.
        sense: see `Sense`; and so the rest.
    """

    id: str = ""
    name: str = ""
    note: str = ""
    model: str = ""
    device: str = ""
    runtime: str = ""
    clock_hz: float | None = number("frequency")
    voltage_v: float | None = number("voltage")
    supply: str = ""
    rate_hz: float | None = number("rate")
    deadline_s: float | None = number("time")
    life_s: float | None = number("time")
    storage: str = ""
    sense: Sense = section(Sense, empty=True)
    preprocess: Preprocess = section(Preprocess, empty=True)
    second: Second = section(Second, empty=True)
    transmit: Transmit = section(Transmit, empty=True)
    source: Source = section(Source, empty=True)


def scenarios() -> list[str]:
    """Ids of the scenarios that ship, sorted."""
    folder = Path(__file__).parents[1] / "scenarios"
    return sorted(path.stem for path in folder.glob("*.toml"))


def scenario_text(id_or_path: str | Path) -> tuple[str, str]:
    """The text of a scenario that ships, or of a file, and the file's name.

    Raises:
        ProfileError: no such scenario, or a file that cannot be read.
    """
    text = str(id_or_path)
    path = Path(text)
    if not text.endswith(".toml"):
        if text not in scenarios():
            hint = suggest(text, scenarios())
            raise ProfileError(f"there is no scenario '{text}'", where="--scenario", hint=hint)
        path = (Path(__file__).parents[1] / "scenarios") / f"{text}.toml"
    try:
        return path.read_text(encoding="utf-8"), path.name
    except OSError as error:
        raise ProfileError(
            f"cannot be read: {error.strerror}", where=text, hint="check the path"
        ) from None
    except ValueError as error:  # no UTF-8, or a path that can be none
        raise ProfileError(
            f"not a TOML file: {error}", where=text, hint="see https://toml.io"
        ) from None


def load_scenario(id_or_path: str | Path) -> Scenario:
    """Reads a scenario that ships, or a file.

    Raises:
        ProfileError: no such scenario, not TOML, an unknown key, a wrong unit.
    """
    text, name = scenario_text(id_or_path)
    try:
        table = parse_toml(text)
    except (ValueError, RecursionError) as error:
        raise ProfileError(
            f"not a TOML file: {error}", where=name, hint="see https://toml.io"
        ) from None
    table.setdefault("id", name.removesuffix(".toml"))
    return Reader(name, name, {}).build(Scenario, table)


def merged(base: Scenario, over: Scenario) -> Scenario:
    """The scenario with everything that `over` says instead; sections merge key by key."""
    result: Scenario = _merged(base, over)
    return result


def _merged(base: Any, over: Any) -> Any:
    values = {}
    for declared in fields(base):
        below, above = getattr(base, declared.name), getattr(over, declared.name)
        if is_dataclass(below):
            values[declared.name] = _merged(below, above)
        else:
            values[declared.name] = below if above in (None, "", declared.default) else above
    return type(base)(**values)


def to_toml(scenario: Scenario) -> str:
    """The scenario as a file that `load_scenario` reads back, in SI units."""
    return "\n".join(_lines(scenario, "")).strip() + "\n"


def _lines(value: Any, path: str) -> list[str]:
    plain, nested = [], []
    for declared in fields(value):
        item = getattr(value, declared.name)
        if is_dataclass(item):
            lines = _lines(item, declared.name)
            nested += ["", f"[{declared.name}]", *lines] if lines else []
        elif item is not None and item != "" and item != declared.default:
            if "number" in declared.metadata:
                unit = DIMENSIONS[declared.metadata["number"]][1]
                written = f'"{item!r}{_WRITTEN.get(unit, unit)}"'
            else:
                # a JSON string is a TOML string, too
                written = json.dumps(item, ensure_ascii=False)
            plain.append(f"{declared.name} = {written}")
    return plain + nested


_WRITTEN = {"1/s": "Hz", "ratio": "x", "bytes": "B"}
