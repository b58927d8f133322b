"""Many checks from one file, budget.toml, so that a repository's models are held to its devices.

An entry has the keys of a scenario file, and those of `Entry`; `[defaults]` stands below every
entry. Paths are relative to the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from os.path import exists
from pathlib import Path
from typing import Any, Literal

from budget.api.check import Check, check
from budget.errors import BudgetError, ProfileError
from budget.formats.toml import parse_toml
from budget.hardware.figure import Quantity, exact
from budget.hardware.schema import Reader, number, section
from budget.records import keyword_record, record
from budget.scenario.schema import Scenario, load_scenario, merged
from budget.verdict import Constraint, Verdict, conclude, judge

FILE = "budget.toml"
SCHEMA = 1
_MOST_CHECKS = 5_000


@keyword_record
class Limits:
    """What a model may need at most, whatever the device has.

    Attributes:
        flash_bytes: of everything that the runtime puts there.
        ram_bytes: of everything.
        weight_bytes: of the constants alone.
        latency_s: of one inference.
        energy_j: of one inference.
        macs: of one inference.
    """

    flash_bytes: float | None = number("size")
    ram_bytes: float | None = number("size")
    weight_bytes: float | None = number("size")
    latency_s: float | None = number("time")
    energy_j: float | None = number("energy")
    macs: float | None = number("count")


@keyword_record
class Entry:
    """One model on one or several devices.

    Attributes:
        name: of the entry; the model's file if empty.
        model: a path or ``zoo:NAME``.
        devices: in the place of the scenario's ``device``.
        scenario: id or file of a scenario below the entry's own keys.
        precision: as for `check`.
        as_is: as for `check`.
        inputs: as for `check`.
        outputs: as for `check`.
        front_end: count the front end that lies beside the model.
        too_close: what a verdict that is too close to call does to the exit status.
        limits: further constraints.
    """

    name: str = ""
    model: str = ""
    devices: tuple[str, ...] = ()
    scenario: str = ""
    precision: str = ""
    as_is: bool = False
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    front_end: bool = False
    too_close: Literal["fail", "pass"] = "fail"
    limits: Limits = section(Limits, empty=True)


@record
class Plan:
    """An entry as it will be checked.

    Attributes:
        entry: what the file says.
        life: the scenario it adds up to; its device is one of the entry's.
        line: of the entry in the file, from 1.
    """

    entry: Entry
    life: Scenario
    line: int

    @property
    def name(self) -> str:
        """What reports call it: the entry and the device."""
        return f"{self.entry.name or Path(self.entry.model).name} on {Path(self.life.device).stem}"


@record
class Outcome:
    """What became of one entry on one device.

    Attributes:
        plan: what was checked.
        check: the verdict with its reasons; None if an error came first.
        constraints: the check's, and the entry's limits.
        error: that kept it from being checked.
    """

    plan: Plan
    check: Check | None
    constraints: tuple[Constraint, ...] = ()
    error: BudgetError | None = None

    @property
    def verdict(self) -> Verdict | None:
        """Of check and limits; None after an error."""
        return None if self.check is None else conclude(self.constraints)

    @property
    def exit_code(self) -> int:
        """Exit status if this were the only entry."""
        if self.verdict is None:
            return self.error.exit_code if self.error is not None else 0
        if self.verdict is Verdict.TOO_CLOSE and self.plan.entry.too_close == "pass":
            return 0
        return self.verdict.exit_code

    def to_json(self) -> dict[str, Any]:
        """The entry's part of the document that `--json` prints."""
        found: dict[str, Any] = {
            "name": self.plan.name,
            "line": self.plan.line,
            "exit_code": self.exit_code,
            "verdict": None if self.verdict is None else self.verdict.value,
            "constraints": [constraint.to_json() for constraint in self.constraints],
            "error": None,
            "check": None if self.check is None else self.check.to_json(),
        }
        if self.error is not None:
            found["error"] = {
                "what": self.error.what,
                "where": self.error.where,
                "hint": self.error.hint,
            }
        return found


@record
class Gate:
    """All outcomes of a file.

    Attributes:
        file: as the user would name it.
        outcomes: in the file's order.
    """

    file: str
    outcomes: tuple[Outcome, ...]

    @property
    def exit_code(self) -> int:
        """0 if all pass; else that of the first error, else 1 if one does not fit, else 6."""
        codes = [outcome.exit_code for outcome in self.outcomes]
        errors = [code for code in codes if code not in (0, 1, 6)]
        return errors[0] if errors else 1 if 1 in codes else max(codes, default=0)

    def to_json(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        from budget.api.documents import SCHEMA as DOCUMENT_SCHEMA

        return {
            "schema": DOCUMENT_SCHEMA,
            "command": "gate",
            "file": self.file,
            "exit_code": self.exit_code,
            "entries": [outcome.to_json() for outcome in self.outcomes],
        }


def find_gate(folder: Path | None = None) -> Path | None:
    """budget.toml of the current folder, or of the nearest above it in the same repository."""
    here = (folder or Path.cwd()).resolve()
    for candidate in (here, *here.parents):
        if (candidate / FILE).is_file():
            return candidate / FILE
        if (candidate / ".git").exists():
            return None
    return None


def load_gate(path: Path) -> list[Plan]:
    """Reads budget.toml.

    Raises:
        ProfileError: it cannot be read, or a key is unknown, missing or of the wrong dimension.
    """
    try:
        text = path.read_text(encoding="utf-8")
        table = parse_toml(text)
    except OSError as error:
        raise ProfileError(
            f"cannot be read: {error.strerror}", where=str(path), hint="check the path"
        ) from None
    except (ValueError, RecursionError) as error:
        raise ProfileError(
            f"not a TOML file: {error}", where=str(path), hint="see https://toml.io"
        ) from None
    reader = Reader(path.name, "gate", {})
    reader.no_unknown_keys(table, ("schema", "defaults", "check"), "")
    if table.get("schema") != SCHEMA:
        raise reader.fail("schema", f"this program reads schema {SCHEMA}", f"schema = {SCHEMA}")
    defaults, entries = table.get("defaults", {}), table.get("check", [])
    if not isinstance(defaults, dict):
        raise reader.fail("defaults", "a table is expected here", "write [defaults]")
    if not isinstance(entries, list) or not entries:
        raise reader.fail("check", "there is nothing to check", "write [[check]] for each model")
    lines = [n for n, row in enumerate(text.splitlines(), 1) if row.strip() == "[[check]]"]
    lines += [1] * (len(entries) - len(lines))
    _entry(reader, path, defaults, "defaults")  # its mistakes are told as its own
    plans: list[Plan] = []
    for index, (own, line) in enumerate(zip(entries, lines)):
        key = f"check.{index}"
        if not isinstance(own, dict):
            raise reader.fail(key, "a table is expected here", "write [[check]]")
        entry, life = _entry(reader, path, _over(defaults, own), key)
        if not entry.model:
            raise reader.fail(f"{key}.model", "this key is missing", "a path, or zoo:hotword")
        devices = entry.devices or ((life.device,) if life.device else ())
        if not devices:
            raise reader.fail(f"{key}.device", "this key is missing", "such as efm32pg12")
        if len(plans) + len(devices) > _MOST_CHECKS:
            raise reader.fail(key, f"more than {_MOST_CHECKS:,} checks", "divide the file")
        plans += [
            Plan(entry, replace(life, device=_place(path, device)), line) for device in devices
        ]
    return plans


def run_gate(path: Path) -> Gate:
    """Checks every entry; an entry's error is recorded and the others go on.

    Raises:
        ProfileError: budget.toml itself cannot be used.
    """
    here = Path.cwd()
    shown = path.relative_to(here) if path.is_relative_to(here) else path
    return Gate(str(shown), tuple(_outcome(plan) for plan in load_gate(path)))


def gate_of(result: Check) -> Gate:
    """A single check as a gate, for the reports that are made of gates."""
    device = result.device.id
    plan = Plan(Entry(model=result.model.name), Scenario(device=device), 1)
    return Gate(result.model.name, (Outcome(plan, result, result.constraints),))


def _outcome(plan: Plan) -> Outcome:
    entry, life = plan.entry, plan.life
    try:
        if entry.front_end:
            from budget.api.front_ends import with_front_end

            life = with_front_end(life, entry.model)
        result = check(
            entry.model,
            scenario=life,
            precision=entry.precision or None,
            as_is=entry.as_is,
            inputs=entry.inputs,
            outputs=entry.outputs,
        )
    except BudgetError as error:
        return Outcome(plan, None, (), error)
    return Outcome(plan, result, (*result.constraints, *_limits(result, entry.limits)))


def _limits(result: Check, limits: Limits) -> list[Constraint]:
    needs = {c.name: c.need for c in result.constraints}
    program, inference = result.program, result.inference
    amounts: tuple[tuple[str, Quantity | None, float | None], ...] = (
        ("flash-limit", needs.get("flash") or inference.flash, limits.flash_bytes),
        ("ram-limit", needs.get("ram") or inference.ram, limits.ram_bytes),
        ("weight-limit", exact(float(program.weight_bytes), "bytes"), limits.weight_bytes),
        ("latency-limit", inference.latency, limits.latency_s),
        ("energy-limit", inference.energy, limits.energy_j),
        ("mac-limit", exact(float(program.cost.macs), ""), limits.macs),
    )
    return [
        judge(name, need, exact(have, need.unit))
        for name, need, have in amounts
        if have is not None and need is not None
    ]


def _entry(
    reader: Reader, path: Path, table: Mapping[str, Any], key: str
) -> tuple[Entry, Scenario]:
    """The keys of an entry and those of a scenario, each built by its own class."""
    own = {declared.name for declared in fields(Entry)}
    of_life = {declared.name for declared in fields(Scenario)} - {"id", "note"}
    reader.no_unknown_keys(table, own | of_life, key)
    entry = reader.build(Entry, {k: v for k, v in table.items() if k in own}, key)
    life = reader.build(Scenario, {k: v for k, v in table.items() if k not in own}, key)
    if entry.scenario:
        life = merged(load_scenario(_place(path, entry.scenario)), life)
    model = entry.model or life.model
    life = replace(
        life,
        model=_place(path, model),
        preprocess=replace(life.preprocess, features=_place(path, life.preprocess.features)),
        second=replace(life.second, model=_place(path, life.second.model)),
    )
    return replace(entry, model=_place(path, model)), life


def _place(gate: Path, text: str) -> str:
    """A path relative to the file; ids and zoo names stay."""
    is_path = text.endswith(".toml") or "/" in text or "\\" in text or Path(text).suffix
    if not text or text.startswith("zoo:") or not is_path or Path(text).is_absolute():
        return text
    candidate = gate.parent / text
    # a part's own capacitance and the like hold dots and slashes, too: 10uW/cm2
    is_there = exists(candidate)  # noqa: PTH110 it is False for what can be no path, too
    return str(candidate) if is_there or not any(c.isdigit() for c in text[:1]) else text


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Tables merged key by key."""
    result = dict(below)
    for key, value in above.items():
        under = result.get(key)
        both = isinstance(value, dict) and isinstance(under, dict)
        result[key] = _over(under, value) if both and isinstance(under, dict) else value
    return result
