"""Finding and loading profiles: those that ship, and the user's own.

A profile is one TOML file, `FOLDER/ID.toml`; loading it reads no other file but those it extends.
Folders named in ``$BUDGET_PROFILES`` (separated like ``$PATH``) and ``~/.config/budget/profiles``
are searched after the ones that ship, and an ID may be the path of a TOML file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from os.path import isfile
from pathlib import Path
from typing import Any, TypeVar, cast

from budget.errors import ProfileError
from budget.formats.toml import parse_toml
from budget.hardware.device_profiles import Device
from budget.hardware.energy_profiles import (
    Checkpoint,
    Converter,
    Harvester,
    Radio,
    Sensor,
    Storage,
)
from budget.hardware.runtime_profiles import Runtime
from budget.hardware.schema import Profile, Reader, read_references, suggest

P = TypeVar("P", bound=Profile)

FOLDERS: dict[type[Profile], tuple[str, ...]] = {
    Device: ("mcus", "accelerators"),
    Runtime: ("runtimes",),
    Harvester: ("harvesters",),
    Converter: ("converters",),
    Storage: ("storage",),
    Radio: ("radios",),
    Sensor: ("sensors",),
    Checkpoint: ("checkpoints",),
}
_NOUNS: dict[type[Profile], str] = {
    Device: "device",
    Runtime: "runtime",
    Harvester: "harvester",
    Converter: "converter",
    Storage: "storage",
    Radio: "radio",
    Sensor: "sensor",
    Checkpoint: "checkpoint memory",
}
_LONGEST_CHAIN = 3
_LOADED: dict[tuple[Any, Path, int], Profile] = {}


def device(id_or_path: str) -> Device:
    """Load a microcontroller or compute engine.

    Raises:
        ProfileError: unknown id, or a file that breaks the rules; so for all loaders below.
    """
    return _load(Device, id_or_path)


def runtime(id_or_path: str) -> Runtime:
    """Load a runtime."""
    return _load(Runtime, id_or_path)


def harvester(id_or_path: str) -> Harvester:
    """Load a harvester."""
    return _load(Harvester, id_or_path)


def converter(id_or_path: str) -> Converter:
    """Load a converter."""
    return _load(Converter, id_or_path)


def storage(id_or_path: str) -> Storage:
    """Load a battery or capacitor."""
    return _load(Storage, id_or_path)


def radio(id_or_path: str) -> Radio:
    """Load a radio."""
    return _load(Radio, id_or_path)


def sensor(id_or_path: str) -> Sensor:
    """Load a sensor."""
    return _load(Sensor, id_or_path)


def checkpoint(id_or_path: str) -> Checkpoint:
    """Load a memory for checkpoints."""
    return _load(Checkpoint, id_or_path)


def devices() -> list[str]:
    """Ids of all devices, sorted; nothing is parsed, so for all lists below."""
    return sorted(_available(Device))


def runtimes() -> list[str]:
    """Ids of all runtimes."""
    return sorted(_available(Runtime))


def harvesters() -> list[str]:
    """Ids of all harvesters."""
    return sorted(_available(Harvester))


def converters() -> list[str]:
    """Ids of all converters."""
    return sorted(_available(Converter))


def storages() -> list[str]:
    """Ids of all batteries and capacitors."""
    return sorted(_available(Storage))


def radios() -> list[str]:
    """Ids of all radios."""
    return sorted(_available(Radio))


def sensors() -> list[str]:
    """Ids of all sensors."""
    return sorted(_available(Sensor))


def checkpoints() -> list[str]:
    """Ids of all memories for checkpoints."""
    return sorted(_available(Checkpoint))


def user_folders() -> list[Path]:
    """Where the user's own profiles are looked for."""
    named = [Path(part) for part in os.environ.get("BUDGET_PROFILES", "").split(os.pathsep) if part]
    return [*named, Path.home() / ".config" / "budget" / "profiles"]


def _roots() -> Iterator[Path]:
    yield Path(__file__).parents[1] / "hardware_profiles"
    yield from user_folders()


def _available(cls: type[Profile]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for root in _roots():
        for folder in FOLDERS[cls]:
            if not (root / folder).is_dir():
                continue
            for path in sorted((root / folder).glob("*.toml")):
                if path.stem in found and found[path.stem].resolve() != path.resolve():
                    raise ProfileError(
                        f"two profiles have the id '{path.stem}'",
                        where=str(path),
                        hint=f"rename it; the other is {found[path.stem]}",
                    )
                found[path.stem] = path
    return found


def _load(cls: type[P], id_or_path: str) -> P:
    path = _find(cls, id_or_path)
    # an edited file is a new one
    key = (cls, path, path.stat().st_mtime_ns)
    if key not in _LOADED:
        _LOADED[key] = _load_file(cls, path)
    return cast(P, _LOADED[key])


def _find(cls: type[Profile], id_or_path: str) -> Path:
    if id_or_path.endswith(".toml"):
        path = Path(id_or_path)
        if not isfile(path):  # noqa: PTH113 it is False for what can be no path, too
            raise ProfileError("there is no such file", where=id_or_path, hint="check the path")
        return path
    available = _available(cls)
    if id_or_path not in available:
        raise ProfileError(
            f"there is no {_NOUNS[cls]} '{id_or_path}'", hint=suggest(id_or_path, available)
        )
    return available[id_or_path]


def _load_file(cls: type[Profile], path: Path) -> Profile:
    table = _extended(cls, path, _parse(path), [path.stem])
    file = path.name
    profile_id = table.get("id")
    if not isinstance(profile_id, str):
        raise ProfileError("the profile has no id", where=file, hint=f'write id = "{path.stem}"')
    if profile_id != path.stem:
        raise ProfileError(
            f"the id '{profile_id}' is not the file's name", where=file, hint="make them equal"
        )
    references = read_references(file, table.pop("references", {}))
    return Reader(file, profile_id, references).build(cls, table)


def _parse(path: Path) -> dict[str, Any]:
    try:
        return parse_toml(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ProfileError(
            f"not a TOML file: {error}", where=path.name, hint="see https://toml.io"
        ) from None
    except OSError as error:
        raise ProfileError(
            f"cannot be read: {error.strerror}", where=path.name, hint="check its permissions"
        ) from None


def _extended(
    cls: type[Profile], path: Path, table: dict[str, Any], chain: list[str]
) -> dict[str, Any]:
    """The table with what it extends below it: tables merge, a figure is replaced as a whole."""
    if "extends" not in table:
        return table
    base_id = table.pop("extends")
    where = f"{path.name}: extends"
    available = _available(cls)
    if base_id in chain:
        story = " → ".join([*chain, base_id])
        raise ProfileError(f"profiles extend each other: {story}", where=where, hint="break it")
    if not isinstance(base_id, str) or base_id not in available:
        raise ProfileError(
            f"there is no {_NOUNS[cls]} '{base_id}'",
            where=where,
            hint=suggest(str(base_id), available),
        )
    if len(chain) >= _LONGEST_CHAIN:
        raise ProfileError(
            f"the chain {' → '.join([*chain, base_id])} is too long",
            where=where,
            hint=f"extend at most {_LONGEST_CHAIN - 1} deep: copy what you need",
        )
    base_path = available[base_id]
    base = _extended(cls, base_path, _parse(base_path), [*chain, base_id])
    return _merged(base, table)


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        if isinstance(value, dict) and isinstance(below, dict) and "value" not in value:
            result[key] = _merged(below, value)
        else:
            result[key] = value
    return result
