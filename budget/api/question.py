"""What is asked of a model and a device: a scenario with its profiles loaded."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from budget import units
from budget.api.models import Model, prepare
from budget.errors import UsageError
from budget.graph import Graph
from budget.hardware import library
from budget.hardware.device_profiles import Device, Engine
from budget.hardware.energy_profiles import Converter, Harvester, Storage
from budget.hardware.figure import Figure, Kind
from budget.ops.operator import Cost
from budget.records import record
from budget.scenario.cycle import Duties
from budget.scenario.schema import Preprocess, Scenario, load_scenario, merged
from budget.scenario.source import Chain

if TYPE_CHECKING:
    from budget.features import FeatureSpec

_SAMPLE_BYTES = 2  # front ends read int16


@record
class Surroundings(Duties):
    """A scenario's profiles besides model and device.

    Attributes:
        clip_bytes: samples that the front end reads for one inference; 0 where there is none.
        second: a larger network that the first one wakes.
        second_ratio: share of cycles in which it does.
    """

    clip_bytes: int = 0
    second: Model | None = None
    second_ratio: float = 0.0


@record
class Question:
    """What was asked beside the model and the device; SI units."""

    clock_hz: float | None = None
    voltage_v: float | None = None
    rate_hz: float | None = None
    deadline_s: float | None = None
    source: Harvester | None = None
    area_m2: float | None = None
    supply: str = ""
    life_s: float | None = None
    converter: Converter | None = None
    storage: Storage | None = None
    present_ratio: float = 1.0
    gap_s: float | None = None
    around: Surroundings = field(default_factory=Surroundings)

    def chain(self, rail_v: float) -> Chain:
        """From the harvester to a device at a supply voltage."""
        return Chain(
            self.source,
            self.area_m2,
            self.converter,
            self.storage,
            self.present_ratio,
            self.gap_s,
            rail_v,
        )


def scenario_of(named: str | Path | Scenario | None, over: Scenario) -> Scenario:
    """A scenario by id, file or value, with what `over` says instead."""
    if named is None:
        return over
    base = named if isinstance(named, Scenario) else load_scenario(named)
    return merged(base, over)


def require(given: object, what: str, example: str) -> None:
    """What the user must name, by itself or in a scenario.

    Raises:
        UsageError: nothing is named.
    """
    if given is None or given == "":
        raise UsageError(f"no {what} is named", hint=f"give {example}, or a scenario that has one")


def model_of(scenario: Scenario, given: str | Path | Graph | None) -> str | Path | Graph:
    """The model that is given, else the scenario's.

    Raises:
        UsageError: nobody names one.
    """
    chosen = scenario.model if given is None else given
    require(chosen, "model", "MODEL")
    return chosen


def question_of(scenario: Scenario) -> Question:
    """Loads the profiles that a scenario names.

    Raises:
        BudgetError: an unknown profile, a front end that cannot be read, values without sense.
    """
    source, sense, transmit = scenario.source, scenario.sense, scenario.transmit
    _require_positive(scenario)
    second = prepare(scenario.second.model) if scenario.second.model else None
    front_end, specification = _front_end(scenario.preprocess)
    around = Surroundings(
        sensor=library.sensor(sense.sensor) if sense.sensor else None,
        sensor_mode=sense.mode,
        sense_s=sense.time_s or 0.0,
        readings=1.0 if sense.readings is None else sense.readings,
        sense_w=sense.power_w or 0.0,
        sense_running=sense.processor == "running",
        front_end=front_end,
        clip_bytes=0 if specification is None else specification.clip_samples * _SAMPLE_BYTES,
        specification=specification,
        second=second,
        second_ratio=_or_one(scenario.second.ratio) if second else 0.0,
        radio=library.radio(transmit.radio) if transmit.radio else None,
        payload_bytes=int(transmit.payload_bytes or 0),
        message_ratio=_or_one(transmit.ratio),
    )
    question = Question(
        clock_hz=scenario.clock_hz,
        voltage_v=scenario.voltage_v,
        rate_hz=scenario.rate_hz,
        deadline_s=scenario.deadline_s,
        source=harvester_of(source.harvester) if source.harvester else None,
        area_m2=source.area_m2,
        supply=scenario.supply,
        life_s=scenario.life_s,
        converter=library.converter(source.converter) if source.converter else None,
        storage=storage_of(scenario.storage) if scenario.storage else None,
        present_ratio=_or_one(source.present_ratio),
        gap_s=source.gap_s,
        around=around,
    )
    require_sense(question)
    return question


def device_of(text: str) -> Device:
    """A device by id or file, or hardware that need not exist: an energy per MAC (``13pJ/MAC``).

    Raises:
        BudgetError: no such profile, or a number of another dimension.
    """
    if not text[0].isdigit() or text.endswith(".toml"):
        return library.device(text)
    engine = Engine(boundary="datapath", mac_j=_given(text, "energy per MAC"))
    return Device(id=text, name=f"An engine of {text}", category="engine", engine=engine)


def harvester_of(text: str) -> Harvester:
    """A harvester by id or file, or a power (``100uW``) or power density (``10uW/cm2``) as such.

    Raises:
        BudgetError: no such profile, or a number that is neither.
    """
    if not text[0].isdigit() or text.endswith(".toml"):
        return library.harvester(text)
    if "/" in text:
        density = _given(text, "power density")
        return Harvester(id=text, name=f"A source of {text}", power_density_w_per_m2=density)
    return Harvester(id=text, name=f"A source of {text}", power_w=_given(text, "power"))


def storage_of(text: str) -> Storage:
    """A storage by id or file, an energy (``50J``), or a capacitor ``470uF:3.3V:1.8V``.

    A capacitor is written with the voltage at which the device starts and the one at which it
    browns out; one that is given so does not leak.

    Raises:
        BudgetError: no such profile, or a number that is neither.
    """
    if not text[0].isdigit() or text.endswith(".toml"):
        return library.storage(text)
    parts = text.split(":")
    name = f"A storage of {text}"
    if len(parts) == 1:
        energy = units.parse(text, "energy")
        volts = _exactly(text, 1.0, "V")
        charge = _exactly(text, energy, "C")
        return Storage(
            id=text, name=name, category="rechargeable", voltage_v=volts, capacity_c=charge
        )
    if len(parts) != 3:
        raise UsageError(
            f"'{text}' is not a storage",
            where="--storage",
            hint="write a capacitor as 470uF:3.3V:1.8V, an energy as 50J, or give an id",
        )
    high, low = _given(parts[1], "voltage"), _given(parts[2], "voltage")
    if not low.value < high.value:
        raise UsageError(
            f"'{text}' is empty before it starts",
            where="--storage",
            hint="write the higher voltage first: 470uF:3.3V:1.8V",
        )
    return Storage(
        id=text,
        name=name,
        category="capacitor",
        voltage_v=high,
        max_v=high,
        min_v=low,
        capacitance_f=_given(parts[0], "capacitance"),
    )


def _given(text: str, dimension: str) -> Figure:
    return _exactly(text, units.parse(text, dimension), units.DIMENSIONS[dimension][1])


def _exactly(text: str, value: float, unit: str) -> Figure:
    return Figure(f"given/{text}", value, value, value, unit, Kind.MEASURED)


def _or_one(ratio: float | None) -> float:
    return 1.0 if ratio is None else ratio


def _front_end(preprocess: Preprocess) -> tuple[Cost | None, FeatureSpec | None]:
    if preprocess.features:
        from budget.api.front_ends import specification_path
        from budget.features import FeatureSpec, front_end_cost

        spec = FeatureSpec.load(specification_path(preprocess.features))
        return front_end_cost(spec), spec
    if preprocess.macs is None and preprocess.operations is None:
        return None, None
    macs = int(preprocess.macs or 0)
    return Cost(macs=macs, macs_run=macs, alu=int(preprocess.operations or 0)), None


def _require_positive(scenario: Scenario) -> None:
    for name, value in (
        ("--rate", scenario.rate_hz),
        ("--deadline", scenario.deadline_s),
        ("--area", scenario.source.area_m2),
        ("--life", scenario.life_s),
        ("--present", scenario.source.present_ratio),
    ):
        if value is not None and not value > 0:
            raise UsageError(
                f"{value:g} is not above zero", where=name, hint="give a positive value"
            )
    for name, value in (
        ("--gap", scenario.source.gap_s),
        ("--sense", scenario.sense.time_s),
        ("--sense-power", scenario.sense.power_w),
        ("--payload", scenario.transmit.payload_bytes),
        ("--messages", scenario.transmit.ratio),
        ("--second-ratio", scenario.second.ratio),
    ):
        if value is not None and value < 0:
            raise UsageError(f"{value:g} is below zero", where=name, hint="give zero or more")
    for name, value in (
        ("--present", scenario.source.present_ratio),
        ("--second-ratio", scenario.second.ratio),
    ):
        if value is not None and value > 1:
            raise UsageError(
                f"{value:g} is more than all of it", where=name, hint="give 100% or less"
            )


def require_sense(question: Question) -> None:
    """Refuses a question whose parts do not belong together.

    Raises:
        UsageError: an area without a source, a source without a rate, and the like.
    """
    needs = (
        ("--source", question.source, question.rate_hz, "a source is judged against a rate"
         " of inferences", "add --rate, such as --rate 1/s"),
        ("--storage", question.storage, question.rate_hz, "a storage is judged against a rate"
         " of inferences", "add --rate, such as --rate 1/s"),
        ("--area", question.area_m2, question.source, "an area needs a source that it belongs to",
         "add --source ('budget sources' lists them)"),
        ("--life", question.life_s, question.storage, "a life needs a storage that it is of",
         "add --storage ('budget storage' lists them)"),
        ("--payload", question.around.payload_bytes or None, question.around.radio,
         "a payload needs a radio that sends it", "add --radio ('budget radios' lists them)"),
        ("--sense", question.around.sense_s or None, question.around.sensor,
         "a time of sensing needs a sensor", "add --sensor ('budget sensors' lists them)"),
    )  # fmt: skip
    for option, given, needed, what, hint in needs:
        if given is not None and needed is None:
            raise UsageError(what, where=option, hint=hint)
    if question.life_s is not None and question.source is not None:
        raise UsageError(
            "a life is asked of a storage that nothing charges",
            where="--life",
            hint="leave --source or --life out",
        )
