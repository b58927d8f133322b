"""Where energy comes from, where it waits, and what besides the network uses it."""

from __future__ import annotations

import itertools
import math
from typing import Literal

import numpy as np

from budget.errors import ProfileError
from budget.hardware.figure import Figure, Quantity, Real, exact
from budget.hardware.schema import Profile, quantities, quantity, section
from budget.records import keyword_record

_SMALLEST_A = 1e-15  # below a femtoampere nothing charges


@keyword_record
class Harvester(Profile):
    """A source of harvested power, before any converter.

    Attributes:
        category: what it lives on.
        power_density_w_per_m2: power for each area.
        power_w: of one device whose area is not a choice; `device_area_m2` says how large it is.
        voltage_v: where it gives most power; a converter's efficiency depends on it.
        conditions: under which the power holds.
        gap_s: longest time without power to be expected in ordinary use.
        light_w_per_m2: irradiance at which the power holds, of what lives on light; the power
            is taken to follow it.
    """

    category: Literal["light", "vibration", "thermal", "rf", "other"] = "other"
    conditions: str = ""
    power_density_w_per_m2: Figure | None = quantity("power density")
    power_w: Figure | None = quantity("power")
    device_area_m2: Figure | None = quantity("area", exact=True)
    voltage_v: Figure | None = quantity("voltage", exact=True)
    gap_s: Figure | None = quantity("time")
    light_w_per_m2: Figure | None = quantity("power density", exact=True)

    def power(self, area_m2: Real | None = None) -> Quantity:
        """Harvested power, in watts.

        Args:
            area_m2: of the harvester, or an array of areas; needed where the power is given for
                each area.

        Raises:
            ProfileError: no area where one is needed, or no power in the profile.
        """
        if self.power_density_w_per_m2 is not None:
            if area_m2 is None:
                raise ProfileError(
                    "the harvester's power depends on its area", where=self.id, hint="give an area"
                )
            return (self.power_density_w_per_m2.quantity * area_m2).as_unit("W")
        if self.power_w is None:
            raise ProfileError(
                "the harvester has neither a power nor a power density",
                where=self.id,
                hint="give power_density_w_per_m2 or power_w",
            )
        return self.power_w.quantity


@keyword_record
class EfficiencyCurve:
    """Measured efficiency against input current, at one input voltage.

    Attributes:
        input_v: voltage of the harvester while it is loaded.
        output_v: voltage of the storage.
        input_a: currents, rising.
        efficiency_ratio: as many efficiencies.
        spread_ratio: how far a unit may be from the curve, as a figure around 1.
    """

    input_v: Figure = quantity("voltage", exact=True, required=True)
    spread_ratio: Figure = quantity("ratio", required=True)
    output_v: Figure | None = quantity("voltage", exact=True)
    input_a: tuple[float, ...] = quantities("current")
    efficiency_ratio: tuple[float, ...] = quantities("ratio")

    def at(self, input_a: Real) -> Real:
        """Efficiency, interpolated in the logarithm of the current; flat above the last point."""
        first_a, first_ratio = self.input_a[0], self.efficiency_ratio[0]
        current = np.maximum(np.asarray(input_a, np.float64), _SMALLEST_A)
        inside = np.interp(np.log(current), np.log(self.input_a), self.efficiency_ratio)
        # quiescent current is paid in full: below the first point the loss stays the same
        below = np.maximum(0.0, 1 - first_a * (1 - first_ratio) / current)
        ratio = np.where(current < first_a, below, inside)
        return float(ratio) if ratio.ndim == 0 else ratio


@keyword_record
class Converter(Profile):
    """A converter between harvester, storage and load.

    Attributes:
        tracking: how it finds the harvester's maximum power.
        cold_start_v: harvester voltage from which it starts with an empty storage.
        cold_start_w: power it needs for that.
        cold_start_efficiency_ratio: efficiency until the storage reaches `cold_start_end_v`.
        input_min_v: lowest harvester voltage once running.
        quiescent_a: drawn from the storage all the time.
        efficiency_ratio: of charging, where no curve applies.
        tracking_ratio: share of the harvester's maximum power that the tracking gets.
        output_efficiency_ratio: from storage to the device; absent where the device is direct.
        curves: charging efficiency against input current.
    """

    tracking: str = ""
    cold_start_v: Figure | None = quantity("voltage")
    cold_start_w: Figure | None = quantity("power")
    cold_start_efficiency_ratio: Figure | None = quantity("ratio")
    cold_start_end_v: Figure | None = quantity("voltage")
    input_min_v: Figure | None = quantity("voltage")
    input_max_v: Figure | None = quantity("voltage")
    quiescent_a: Figure | None = quantity("current")
    efficiency_ratio: Figure | None = quantity("ratio")
    tracking_ratio: Figure | None = quantity("ratio")
    output_efficiency_ratio: Figure | None = quantity("ratio")
    curves: tuple[EfficiencyCurve, ...] = section(EfficiencyCurve, each=True)

    def __post_init__(self) -> None:
        for i, curve in enumerate(self.curves):
            currents, ratios = curve.input_a, curve.efficiency_ratio
            rising = all(a < b for a, b in itertools.pairwise(currents))
            if len(currents) < 2 or len(currents) != len(ratios) or not rising or currents[0] <= 0:
                raise ProfileError(
                    "a curve needs two or more rising currents and as many efficiencies",
                    where=f"{self.id}: curves.{i}",
                    hint="check input_a and efficiency_ratio",
                )

    def efficiency(self, input_w: Real, input_v: float | None = None) -> Quantity:
        """Charging efficiency at an input power and voltage.

        Args:
            input_w: power that the harvester offers, or an array of powers. [W]
            input_v: its voltage; None: the single figure `efficiency_ratio`, where there is one.

        Returns:
            From the curve of the nearest voltage (by ratio); 1, exactly, for an empty profile.
        """
        if input_v is None and self.efficiency_ratio is not None:
            return self.efficiency_ratio.quantity
        if self.curves:
            volts = input_v or sorted(c.input_v.value for c in self.curves)[len(self.curves) // 2]
            curve = min(self.curves, key=lambda c: abs(math.log(c.input_v.value / volts)))
            ratio = curve.at(input_w / volts)
            return (curve.spread_ratio.quantity * ratio).as_unit("ratio")
        if self.efficiency_ratio is not None:
            return self.efficiency_ratio.quantity
        return exact(1.0, "ratio")


@keyword_record
class Storage(Profile):
    """A battery or a capacitor.

    Attributes:
        category: ``primary`` cells cannot be charged.
        voltage_v: nominal; of a capacitor: the highest.
        min_v: where it counts as empty.
        max_v: fully charged.
        capacity_c: charge of a battery.
        capacitance_f: of a capacitor.
        self_discharge_per_year_ratio: share lost in a year at room temperature.
        leakage_a: at the highest voltage.
        resistance_ohm: internal.
        max_current_a: continuous.
        cycle_life: full cycles until 80 % of the capacity is left.
    """

    category: Literal["primary", "rechargeable", "capacitor"] = "primary"
    voltage_v: Figure = quantity("voltage", exact=True, required=True)
    min_v: Figure | None = quantity("voltage", exact=True)
    max_v: Figure | None = quantity("voltage", exact=True)
    capacity_c: Figure | None = quantity("charge")
    capacitance_f: Figure | None = quantity("capacitance")
    self_discharge_per_year_ratio: Figure | None = quantity("ratio")
    leakage_a: Figure | None = quantity("current")
    resistance_ohm: Figure | None = quantity("resistance")
    max_current_a: Figure | None = quantity("current")
    cycle_life: Figure | None = quantity("count")

    @property
    def energy_j(self) -> Quantity:
        """Usable energy, in joules: Q·V of a battery, C·(V_high² − V_low²)/2 of a capacitor.

        Raises:
            ProfileError: neither a capacity nor a capacitance.
        """
        if self.capacity_c is not None:
            return (self.capacity_c.quantity * self.voltage_v.value).as_unit("J")
        if self.capacitance_f is None:
            raise ProfileError(
                "neither a capacity nor a capacitance",
                where=self.id,
                hint="give capacity_c or capacitance_f",
            )
        high = self.max_v.value if self.max_v else self.voltage_v.value
        low = self.min_v.value if self.min_v else 0.0
        return (self.capacitance_f.quantity * ((high**2 - low**2) / 2)).as_unit("J")


@keyword_record
class Radio(Profile):
    """A radio: what a message costs.

    Attributes:
        packet_j: start-up, preamble, header, listening, acknowledgement: each packet.
        byte_j: each byte of payload.
        packet_s: time of a packet without payload.
        byte_s: time of each byte.
        max_payload_bytes: what one packet carries; longer messages take several.
        transmit_w: power while it sends.
        sleep_w: power while it waits, where it must wait (connections).
    """

    protocol: str = ""
    packet_j: Figure = quantity("energy", required=True)
    max_payload_bytes: Figure = quantity("size", exact=True, required=True)
    byte_j: Figure | None = quantity("energy per byte")
    packet_s: Figure | None = quantity("time")
    byte_s: Figure | None = quantity("time")
    transmit_w: Figure | None = quantity("power")
    receive_w: Figure | None = quantity("power")
    sleep_w: Figure | None = quantity("power")

    def packets(self, payload_bytes: int) -> int:
        """Packets for a message; an empty one takes one."""
        return max(1, math.ceil(payload_bytes / self.max_payload_bytes.value))

    def message_j(self, payload_bytes: int) -> Quantity:
        """Energy of one message, in joules."""
        joules = self.packet_j.quantity * self.packets(payload_bytes)
        if self.byte_j is not None:
            joules = joules + self.byte_j.quantity * payload_bytes
        return joules.as_unit("J")

    def message_s(self, payload_bytes: int) -> Quantity | None:
        """Time of one message, None where the profile does not say, in seconds."""
        if self.packet_s is None:
            return None
        seconds = self.packet_s.quantity * self.packets(payload_bytes)
        if self.byte_s is not None:
            seconds = seconds + self.byte_s.quantity * payload_bytes
        return seconds.as_unit("s")


@keyword_record
class SensorMode:
    """A mode of a sensor: a power, or a current with its voltage; or an energy per reading."""

    description: str = ""
    power_w: Figure | None = quantity("power")
    current_a: Figure | None = quantity("current")
    voltage_v: Figure | None = quantity("voltage", exact=True)
    reading_j: Figure | None = quantity("energy")
    reading_s: Figure | None = quantity("time")

    @property
    def power(self) -> Quantity | None:
        """Power in this mode, None where only readings are priced, in watts."""
        if self.power_w is not None:
            return self.power_w.quantity
        if self.current_a is not None and self.voltage_v is not None:
            return (self.current_a.quantity * self.voltage_v.quantity).as_unit("W")
        return None


@keyword_record
class Sensor(Profile):
    """A sensor.

    Attributes:
        category: ``microphone``, ``camera``, ``accelerometer`` …
        active: name of the mode in which it senses for the network.
        standby: name of the mode in between; empty if it is switched off.
        startup_s: from switching on to valid data.
        modes: by name.
    """

    category: str = ""
    active: str = ""
    standby: str = ""
    startup_s: Figure | None = quantity("time")
    modes: dict[str, SensorMode] = section(SensorMode, many=True)

    def mode(self, name: str) -> SensorMode:
        """One of its modes.

        Raises:
            ProfileError: there is none of that name.
        """
        if name not in self.modes:
            raise ProfileError(
                f"the sensor has no mode '{name}'",
                where=self.id,
                hint=f"one of {', '.join(self.modes)}",
            )
        return self.modes[name]

    @property
    def active_w(self) -> Quantity:
        """Power while it senses, in watts."""
        return self.mode(self.active).power or exact(0.0, "W")

    @property
    def standby_w(self) -> Quantity:
        """Power in between; exactly zero if it is switched off, in watts."""
        if not self.standby:
            return exact(0.0, "W")
        return self.mode(self.standby).power or exact(0.0, "W")


@keyword_record
class Checkpoint(Profile):
    """A memory in which a computation survives a power failure.

    Attributes:
        retained: RAM that is never without power: nothing is written, but the device sleeps
            where another would be off.
        write_byte_j: of saving each byte.
        write_byte_s: time of it.
        read_byte_j: of restoring each byte.
        erase_j: of erasing one block before it is written.
        erase_s: time of it.
        erase_bytes: size of a block.
        boot_j: from power to program; absent where `boot_s` says how long that takes.
        boot_s: time in which the device draws its running power before the program starts.
    """

    retained: bool = False
    write_byte_j: Figure | None = quantity("energy per byte")
    write_byte_s: Figure | None = quantity("time")
    read_byte_j: Figure | None = quantity("energy per byte")
    erase_j: Figure | None = quantity("energy")
    erase_s: Figure | None = quantity("time")
    erase_bytes: Figure | None = quantity("size", exact=True)
    boot_j: Figure | None = quantity("energy")
    boot_s: Figure | None = quantity("time")

    def save_j(self, size_bytes: int) -> Quantity:
        """Energy of saving so many bytes, erased blocks included, in joules."""
        joules = _times(self.write_byte_j, size_bytes)
        return (joules + _times(self.erase_j, self._blocks(size_bytes))).as_unit("J")

    def save_s(self, size_bytes: int) -> Quantity:
        """Time of saving so many bytes, in seconds."""
        seconds = _times(self.write_byte_s, size_bytes)
        return (seconds + _times(self.erase_s, self._blocks(size_bytes))).as_unit("s")

    def restore_j(self, size_bytes: int) -> Quantity:
        """Energy of restoring so many bytes, in joules."""
        return _times(self.read_byte_j, size_bytes).as_unit("J")

    def _blocks(self, size_bytes: int) -> int:
        return math.ceil(size_bytes / self.erase_bytes.value) if self.erase_bytes else 0


def _times(figure: Figure | None, count: int) -> Quantity:
    return exact(0.0, "") if figure is None else figure.quantity * count
