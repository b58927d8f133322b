"""What the program knows of devices, runtimes and energy; every number is a figure.

Each class is also the schema of its TOML files: a field is a key, a nested class a table.
"""

from budget.hardware.device_profiles import Device, Engine, Power, Sleep
from budget.hardware.energy_profiles import (
    Converter,
    EfficiencyCurve,
    Harvester,
    Radio,
    Sensor,
    SensorMode,
    Storage,
)
from budget.hardware.runtime_profiles import Cycles, Runtime, StepCycles
from budget.hardware.schema import DEFAULT_SPREAD, Profile

__all__ = [
    "DEFAULT_SPREAD",
    "Converter",
    "Cycles",
    "Device",
    "EfficiencyCurve",
    "Engine",
    "Harvester",
    "Power",
    "Profile",
    "Radio",
    "Runtime",
    "Sensor",
    "SensorMode",
    "Sleep",
    "StepCycles",
    "Storage",
]
