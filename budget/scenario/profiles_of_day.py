"""Days that people recognise: office light, living room, outdoors, machine shifts, a moving body.

Indoor tables are assumptions, written down here so that they can be argued with; they begin on a
Monday. The sun is computed (pvlib), under a clear sky. `weather` makes them vary.
"""

from __future__ import annotations

import numpy as np

from budget.errors import MissingToolError, UsageError
from budget.scenario.simulation import DAY_S
from budget.scenario.store import Array
from budget.scenario.traces import W_PER_M2_PER_LUX, Meaning, Trace

Hours = tuple[tuple[float, float], ...]
"""(hour from which it holds, value), the first at 0."""

_OFFICE: Hours = ((0, 0), (6, 200), (7, 0), (8, 500), (18, 50), (19, 0))
_WEEKEND_OFFICE: Hours = ((0, 0), (8, 50), (18, 0))
_LIVING: Hours = ((0, 0), (6.5, 100), (8, 60), (17, 100), (18, 200), (23, 0))
_LIVING_WEEKEND: Hours = ((0, 0), (8, 150), (18, 200), (23.5, 0))
_SHIFTS: Hours = ((0, 0), (6, 1), (9.5, 0), (9.75, 1), (14, 0.5), (14.25, 1), (18, 0), (18.5, 1),
                  (22, 0))  # fmt: skip
_STILL: Hours = ((0, 0),)
_BODY: Hours = ((0, 0), (7, 0.1), (7.5, 1), (8, 0.1), (12, 1), (12.5, 0.1), (17, 1), (17.5, 0.15),
                (23, 0))  # fmt: skip
_BODY_WEEKEND: Hours = ((0, 0), (8.5, 0.15), (11, 1), (12, 0.15), (15, 1), (16, 0.15), (23.5, 0))
_ALWAYS: Hours = ((0, 1),)

_TABLES: dict[str, tuple[str, Meaning, float, Hours, Hours]] = {
    "always": ("what the profile says, day and night", "level", 1.0, _ALWAYS, _ALWAYS),
    "office-light": ("500 lx from 8 to 18 h, weekdays", "light", W_PER_M2_PER_LUX, _OFFICE,
                     _WEEKEND_OFFICE),
    "living-room": ("100 to 200 lx, mornings and evenings", "light", W_PER_M2_PER_LUX, _LIVING,
                    _LIVING_WEEKEND),
    "machine-shifts": ("two shifts with breaks, weekdays", "level", 1.0, _SHIFTS, _STILL),
    "body-movement": ("sitting, with walks; nothing at night", "level", 1.0, _BODY,
                      _BODY_WEEKEND),
}  # fmt: skip
_SEASONS = {"spring": 80, "summer": 172, "autumn": 266, "winter": 355}
_SUN_STEP_S = 900.0
OUTDOOR = "outdoor"
DAYS = (*_TABLES, OUTDOOR)


def day_trace(name: str, days: int) -> Trace:
    """So many days of a built-in profile.

    Args:
        name: one of `DAYS`; ``outdoor:LATITUDE`` or ``outdoor:LATITUDE:SEASON`` for the sun
            (degrees; season or day of the year on which it begins; 50 and spring if not given).
        days: at least one.

    Raises:
        UsageError: no such profile, latitude or season, or no days.
        MissingToolError: the sun needs pvlib.
    """
    if days < 1:
        raise UsageError(f"{days} days are none", where="--days", hint="give one or more")
    if name.partition(":")[0] == OUTDOOR:
        return _outdoor(name, days)
    if name not in _TABLES:
        raise UsageError(
            f"there is no day '{name}'", where="--day", hint=f"one of {', '.join(DAYS)}"
        )
    _, meaning, scale, weekday, weekend = _TABLES[name]
    duration: list[float] = []
    value: list[float] = []
    for day in range(days):
        table = weekend if day % 7 >= 5 else weekday
        starts = [hour * 3600.0 for hour, _ in table]
        duration += [end - start for start, end in zip(starts, [*starts[1:], DAY_S], strict=True)]
        value += [height * scale for _, height in table]
    return Trace(name, meaning, np.array(duration), np.array(value, np.float64))


def describe_day(name: str) -> str:
    """One line for people."""
    if name.partition(":")[0] == OUTDOOR:
        return "sunlight on a level cell under a clear sky"
    return _TABLES[name][0]


def _outdoor(name: str, days: int) -> Trace:
    _, _, rest = name.partition(":")
    latitude_text, _, season = rest.partition(":")
    try:
        latitude_deg = float(latitude_text or 50.0)
        first_day = _SEASONS.get(season) or int(season or _SEASONS["spring"])
    except ValueError:
        latitude_deg, first_day = np.nan, 0
    if not (-90 <= latitude_deg <= 90 and 1 <= first_day <= 366):
        raise UsageError(
            f"'{name}' is no place and season",
            where="--day",
            hint="write outdoor:48 or outdoor:48:winter, or the day of the year: outdoor:48:172",
        )
    steps = int(DAY_S / _SUN_STEP_S) * days
    light = clear_sky_w_per_m2(latitude_deg, first_day, steps)
    return Trace(name, "light", np.full(steps, _SUN_STEP_S), light)


def clear_sky_w_per_m2(latitude_deg: float, first_day: int, steps: int) -> Array:
    """Global irradiance on level ground under a clear sky, a value for each quarter of an hour.

    Solar position and Haurwitz's formula of pvlib, in mean solar time, in the middle of each step.

    Args:
        latitude_deg: north is positive.
        first_day: of the year, from 1.
        steps: how many values.

    Raises:
        MissingToolError: pvlib is not installed.
    """
    try:
        import pandas as pd
        from pvlib import clearsky, solarposition
    except ImportError:
        raise MissingToolError(
            "the sun outdoors is computed by pvlib, which is not installed",
            where="--day outdoor",
            hint="pip install 'mcu-budget[pv]', or give a trace of irradiance with --trace",
        ) from None
    begin = pd.Timestamp("2025-01-01", tz="UTC") + pd.Timedelta(days=first_day - 1)
    times = pd.date_range(
        begin + pd.Timedelta(seconds=_SUN_STEP_S / 2), periods=steps, freq=f"{int(_SUN_STEP_S)}s"
    )
    position = solarposition.get_solarposition(times, latitude_deg, 0.0)
    sky = clearsky.haurwitz(position["apparent_zenith"])
    return np.asarray(sky["ghi"], np.float64)
