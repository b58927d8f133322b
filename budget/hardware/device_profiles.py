"""What the program knows of microcontrollers and compute engines."""

from __future__ import annotations

from typing import Literal

from budget.errors import ProfileError
from budget.hardware.figure import Figure, Quantity
from budget.hardware.schema import Profile, quantity, section
from budget.records import keyword_record


@keyword_record
class Clock:
    """Range of the core clock."""

    max_hz: Figure = quantity("frequency", exact=True, required=True)
    min_hz: Figure | None = quantity("frequency", exact=True)


@keyword_record
class Memory:
    """Sizes are exact. `flash` is absent on parts that run from an external chip."""

    ram_bytes: Figure | None = quantity("size", exact=True)
    flash_bytes: Figure | None = quantity("size", exact=True)
    cache: str = ""
    cache_bytes: Figure | None = quantity("size", exact=True)


@keyword_record
class Supply:
    """Supply voltage: the range, and what is used unless the user says otherwise."""

    voltage_v: Figure = quantity("voltage", exact=True, required=True)
    min_v: Figure | None = quantity("voltage", exact=True)
    max_v: Figure | None = quantity("voltage", exact=True)


@keyword_record
class Power:
    """Power while running.

    Either a data sheet's run current (loop or benchmark in flash), which
    `network_current_ratio` turns into that of a network, or a power measured while networks ran;
    the measured one is used where both are there.

    Attributes:
        boundary: what the power feeds.
        regulator: with ``ldo`` the current is the same at every supply voltage, with ``dcdc``
            the power is.
        run_a_per_hz: run current for each hertz, from `run_v`.
        static_a: current that does not scale with the clock.
        run_v: supply voltage of the run current.
        network_current_ratio: current while a network runs, relative to `run_a_per_hz`.
        network_w: measured while networks ran at `network_hz` and `network_v`.
    """

    boundary: Literal["datapath", "core", "board"]
    regulator: Literal["ldo", "dcdc"] = "ldo"
    run_a_per_hz: Figure | None = quantity("current per frequency")
    static_a: Figure | None = quantity("current")
    run_v: Figure | None = quantity("voltage", exact=True)
    network_current_ratio: Figure | None = quantity("ratio")
    network_w: Figure | None = quantity("power")
    network_hz: Figure | None = quantity("frequency", exact=True)
    network_v: Figure | None = quantity("voltage", exact=True)


@keyword_record
class Sleep:
    """A sleep mode.

    Attributes:
        description: what stays on.
        current_a: at `voltage_v`.
        retained_bytes: RAM that keeps its contents.
        wake_s: from the event to the first instruction of the program.
        timer: whether a timer can wake it; else only a pin, an event or a reset.
    """

    description: str = ""
    timer: bool = True
    current_a: Figure = quantity("current", required=True)
    voltage_v: Figure = quantity("voltage", exact=True, required=True)
    retained_bytes: Figure | None = quantity("size", exact=True)
    wake_s: Figure | None = quantity("time")

    @property
    def power_w(self) -> Quantity:
        """Current times the voltage it was given at, in watts."""
        return (self.current_a.quantity * self.voltage_v.quantity).as_unit("W")


@keyword_record
class WaitStates:
    """Flash wait states up to a clock."""

    states: int
    up_to_hz: Figure = quantity("frequency", exact=True, required=True)


@keyword_record
class Flash:
    """How the program memory keeps up with the clock.

    Attributes:
        wait_states: by clock.
        word_bytes: read at once.
        line_bytes: of the flash controller's caches.
        instruction_cache_bytes: of the flash controller; 0 or absent: none.
        data_cache_bytes: likewise.
    """

    wait_states: tuple[WaitStates, ...] = section(WaitStates, each=True)
    word_bytes: Figure | None = quantity("size", exact=True)
    line_bytes: Figure | None = quantity("size", exact=True)
    instruction_cache_bytes: Figure | None = quantity("size", exact=True)
    data_cache_bytes: Figure | None = quantity("size", exact=True)


@keyword_record
class MemoryLevel:
    """Energy of one access to a level of a memory hierarchy."""

    access_j: Figure = quantity("energy", required=True)
    access_bytes: Figure = quantity("size", exact=True, required=True)
    capacity_bytes: Figure | None = quantity("size", exact=True)


@keyword_record
class Engine:
    """Arithmetic of a compute engine.

    Attributes:
        mac_j: energy of one multiply-accumulate of a convolution, at the profile's boundary.
        fully_connected_mac_j: the same where every weight is read once per use.
        depthwise_mac_j: the same of a depthwise convolution.
        macs_per_s: throughput while it computes.
        levels: energies of its memories, where data movement is priced apart.
        boundary: what the energies include.
    """

    boundary: Literal["datapath", "core", "board"]

    mac_j: Figure = quantity("energy per MAC", required=True)
    fully_connected_mac_j: Figure | None = quantity("energy per MAC")
    depthwise_mac_j: Figure | None = quantity("energy per MAC")
    macs_per_s: Figure | None = quantity("MAC rate")
    levels: dict[str, MemoryLevel] = section(MemoryLevel, many=True)


@keyword_record
class Device(Profile):
    """A microcontroller, or a compute engine used as a device.

    Attributes:
        category: ``mcu`` runs code; ``engine`` only counts joules (and seconds where known).
        core: core family that runtimes know, such as ``cortex-m4``.
        cores: number of such cores; the estimates use one.
        isa: extensions that matter to kernels, such as ``dsp``, ``mve``, ``fpu-sp``.
        price_usd: class of price in quantities, such as ``3-6``.
        power: while running, with the supply that most boards have.
        supplies: the same with other regulators, by name.
    """

    category: Literal["mcu", "engine"] = "mcu"
    core: str = ""
    cores: int = 1
    isa: tuple[str, ...] = ()
    price_usd: str = ""
    clock: Clock | None = section(Clock)
    memory: Memory | None = section(Memory)
    supply: Supply | None = section(Supply)
    power: Power | None = section(Power)
    supplies: dict[str, Power] = section(Power, many=True)
    sleep: dict[str, Sleep] = section(Sleep, many=True)
    flash: Flash | None = section(Flash)
    engine: Engine | None = section(Engine)

    @property
    def max_hz(self) -> float | None:
        """Highest clock, None for an engine without one, in hertz."""
        return self.clock.max_hz.value if self.clock else None

    @property
    def flash_bytes(self) -> int | None:
        """Program memory on the chip; None where the profile has none."""
        figure = self.memory.flash_bytes if self.memory else None
        return None if figure is None else int(figure.value)

    @property
    def ram_bytes(self) -> int | None:
        """RAM on the chip; None where the profile has none."""
        figure = self.memory.ram_bytes if self.memory else None
        return None if figure is None else int(figure.value)

    @property
    def boundary(self) -> str:
        """What its energies include: ``datapath``, ``core`` or ``board``."""
        if self.power is not None:
            return self.power.boundary
        return self.engine.boundary if self.engine is not None else "core"

    def power_w(
        self, clock_hz: float | None = None, voltage_v: float | None = None, supply: str = ""
    ) -> Quantity:
        """Power while a network runs, in watts.

        Args:
            clock_hz: default: the highest clock.
            voltage_v: at the supply pin; default: the profile's, or what `supply` was given at.
            supply: name of one of `supplies`; empty: `power`.

        Returns:
            P = I·V. A network power scales with the clock, and with the voltage behind an LDO.

        Raises:
            ProfileError: a clock, voltage or supply it does not have, or no power in the profile.
        """
        power = self._supply(supply)
        clock = self._in_range("clock", clock_hz)
        if clock is None or power is None:
            raise ProfileError(
                "the profile has no power while running",
                where=self.id,
                hint="use its energy per MAC (engine.mac_j)",
            )
        voltage = None if supply and voltage_v is None else self._in_range("supply", voltage_v)
        if power.network_w and power.network_hz:
            watts = power.network_w.quantity * (clock / power.network_hz.value)
            at_v = power.network_v
        elif power.run_a_per_hz and power.run_v:
            amperes = power.run_a_per_hz.quantity * clock
            if power.network_current_ratio:
                amperes = amperes * power.network_current_ratio.quantity
            if power.static_a:
                amperes = amperes + power.static_a.quantity
            watts = amperes * power.run_v.value
            at_v = power.run_v
        else:
            raise ProfileError(
                "neither a run current with its voltage nor a network power with its clock",
                where=f"{self.id}: power",
                hint="give run_a_per_hz and run_v, or network_w and network_hz",
            )
        if voltage is not None and at_v is not None and power.regulator == "ldo":
            watts = watts * (voltage / at_v.value)
        return watts.as_unit("W")

    def _supply(self, name: str) -> Power | None:
        if not name:
            return self.power
        if name not in self.supplies:
            known = ", ".join(self.supplies) or "none but the default"
            raise ProfileError(
                f"there is no supply '{name}'", where=self.id, hint=f"it knows {known}"
            )
        return self.supplies[name]

    def mac_energy_j(self, operator: str = "conv") -> Quantity:
        """Energy of one multiply-accumulate on an engine, in joules.

        Args:
            operator: ``conv``, ``pointwise``, ``depthwise`` or ``fully_connected``.

        Raises:
            ProfileError: the device is no engine.
        """
        if self.engine is None:
            raise ProfileError(
                "the profile has no energy per MAC", where=self.id, hint="multiply power and time"
            )
        special = {
            "fully_connected": self.engine.fully_connected_mac_j,
            "depthwise": self.engine.depthwise_mac_j,
        }.get(operator)
        return (special or self.engine.mac_j).quantity

    def sleep_mode(self, retained_bytes: int = 0) -> tuple[str, Sleep] | None:
        """The mode of least power that keeps so many bytes of RAM; None if there is none.

        A mode from which no timer wakes is taken only where there is no other.
        """
        fitting = [
            (not mode.timer, mode.power_w.value, name)
            for name, mode in self.sleep.items()
            if (mode.retained_bytes.value if mode.retained_bytes else 0) >= retained_bytes
        ]
        if not fitting:
            return None
        name = min(fitting)[2]
        return name, self.sleep[name]

    def wait_states(self, clock_hz: float) -> int | None:
        """Flash wait states at a clock; None where the profile does not say."""
        for row in self.flash.wait_states if self.flash else ():
            if clock_hz <= row.up_to_hz.value * (1 + 1e-9):
                return row.states
        return None

    def _in_range(self, what: Literal["clock", "supply"], asked: float | None) -> float | None:
        low: Figure | None
        high: Figure | None
        if what == "clock":
            if self.clock is None:
                return asked
            usual, low, high = self.clock.max_hz, self.clock.min_hz, self.clock.max_hz
        else:
            if self.supply is None:
                return asked
            usual, low, high = self.supply.voltage_v, self.supply.min_v, self.supply.max_v
        if asked is None:
            return usual.value
        bottom, top = low.value if low else 0.0, high.value if high else float("inf")
        if not (bottom * (1 - 1e-9) <= asked <= top * (1 + 1e-9)) or asked <= 0:
            raise ProfileError(
                f"a {what} of {asked:g} {usual.unit} is out of range",
                where=self.id,
                hint=f"the range is {bottom:g} to {top:g} {usual.unit}",
            )
        return asked
