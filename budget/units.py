"""Text to SI numbers and back, at the edges of the program only.

The table of units is closed and case-sensitive: `mW` is not `MW`, `KiB` is not `kB`. Everything
inside the program is a plain number in SI base units whose name ends in its unit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from budget.errors import UsageError

Exponents = tuple[int, int, int, int, int, int]
"""Powers of metre, second, volt, ampere, byte and MAC."""

NONE: Exponents = (0, 0, 0, 0, 0, 0)
_METRE: Exponents = (1, 0, 0, 0, 0, 0)
_SECOND: Exponents = (0, 1, 0, 0, 0, 0)
_VOLT: Exponents = (0, 0, 1, 0, 0, 0)
_AMPERE: Exponents = (0, 0, 0, 1, 0, 0)
_BYTE: Exponents = (0, 0, 0, 0, 1, 0)
_MAC: Exponents = (0, 0, 0, 0, 0, 1)

_PREFIXES = {
    "f": 1e-15,
    "p": 1e-12,
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "": 1.0,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
}


def _times(left: Exponents, right: Exponents, by: int = 1) -> Exponents:
    a, b, c, d, e, f = (x + by * y for x, y in zip(left, right))
    return (a, b, c, d, e, f)


_WATT = _times(_VOLT, _AMPERE)
_JOULE = _times(_WATT, _SECOND)
_COULOMB = _times(_AMPERE, _SECOND)
_FARAD = _times(_COULOMB, _VOLT, -1)
_OHM = _times(_VOLT, _AMPERE, -1)
_PER_SECOND = _times(NONE, _SECOND, -1)
_AREA = _times(_METRE, _METRE)


def _symbols() -> dict[str, tuple[float, Exponents]]:
    table: dict[str, tuple[float, Exponents]] = {}
    prefixed = {
        "W": (_WATT, "fpnumkMG"),
        "J": (_JOULE, "fpnumkMG"),
        "V": (_VOLT, "fpnumkMG"),
        "A": (_AMPERE, "fpnumkMG"),
        "C": (_COULOMB, "fpnumkMG"),
        "F": (_FARAD, "fpnumkMG"),
        "Ohm": (_OHM, "fpnumkMG"),
        "Hz": (_PER_SECOND, "fpnumkMG"),
        "s": (_SECOND, "fpnum"),
        "MAC": (_MAC, "kMGT"),
        "B": (_BYTE, "kMG"),
    }
    for symbol, (exponents, prefixes) in prefixed.items():
        for prefix in ("", *prefixes):
            table[prefix + symbol] = (_PREFIXES[prefix], exponents)
    for power, prefix in enumerate(("Ki", "Mi", "Gi"), start=1):
        table[prefix + "B"] = (1024.0**power, _BYTE)
    table |= {
        "byte": (1.0, _BYTE),
        "bytes": (1.0, _BYTE),
        "bit": (0.125, _BYTE),
        "kbit": (125.0, _BYTE),
        "Mbit": (125e3, _BYTE),
        "MACs": (1.0, _MAC),
        "min": (60.0, _SECOND),
        "h": (3600.0, _SECOND),
        "d": (86400.0, _SECOND),
        "day": (86400.0, _SECOND),
        "days": (86400.0, _SECOND),
        "week": (604800.0, _SECOND),
        "month": (2629800.0, _SECOND),
        "year": (31557600.0, _SECOND),
        "years": (31557600.0, _SECOND),
        "uAh": (3.6e-3, _COULOMB),
        "mAh": (3.6, _COULOMB),
        "Ah": (3600.0, _COULOMB),
        "Wh": (3600.0, _JOULE),
        "mWh": (3.6, _JOULE),
        "%": (0.01, NONE),
        "x": (1.0, NONE),
        "mm": (1e-3, _METRE),
        "cm": (1e-2, _METRE),
        "m": (1.0, _METRE),
        "mm2": (1e-6, _AREA),
        "cm2": (1e-4, _AREA),
        "dm2": (1e-2, _AREA),
        "m2": (1.0, _AREA),
    }
    return table


_SYMBOLS: Mapping[str, tuple[float, Exponents]] = _symbols()

DIMENSIONS: Mapping[str, tuple[Exponents, str, str]] = {
    "area": (_AREA, "m2", "10cm2"),
    "power": (_WATT, "W", "100uW"),
    "energy": (_JOULE, "J", "20mJ"),
    "voltage": (_VOLT, "V", "3.3V"),
    "current": (_AMPERE, "A", "2.5uA"),
    "charge": (_COULOMB, "C", "225mAh"),
    "capacitance": (_FARAD, "F", "470uF"),
    "resistance": (_OHM, "Ohm", "10Ohm"),
    "time": (_SECOND, "s", "30ms"),
    "frequency": (_PER_SECOND, "Hz", "40MHz"),
    "rate": (_PER_SECOND, "1/s", "2/min"),
    "size": (_BYTE, "bytes", "256KiB"),
    "bit rate": (_times(_BYTE, _PER_SECOND), "bytes/s", "1Mbit/s"),
    "macs": (_MAC, "MAC", "7.5MMAC"),
    "current per frequency": (_times(_AMPERE, _SECOND), "A/Hz", "63uA/MHz"),
    "power density": (_times(_WATT, _AREA, -1), "W/m2", "10uW/cm2"),
    "energy per MAC": (_times(_JOULE, _MAC, -1), "J/MAC", "20pJ/MAC"),
    "energy per byte": (_times(_JOULE, _BYTE, -1), "J/byte", "1nJ/B"),
    "MAC rate": (_times(_MAC, _PER_SECOND), "MAC/s", "25MMAC/s"),
    "ratio": (NONE, "ratio", "80%"),
    "cycles": (NONE, "cycles", "1500"),
    "count": (NONE, "", "12"),
}
"""Name → (exponents, SI unit used inside, an example to show to people)."""

_ALIASES = str.maketrans({"µ": "u", "μ": "u", "²": "2", "Ω": "Ohm", " ": "", "\u202f": ""})
_QUANTITY = re.compile(
    r"(?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)"
    r"(?P<unit>[A-Za-z%][A-Za-z0-9]*)?"
    r"(?:/(?P<per>\d+(?:\.\d+)?)?(?P<below>[A-Za-z][A-Za-z0-9]*))?"
)


def parse(text: str, dimension: str) -> float:
    """Read a quantity such as ``10cm2``, ``2/min``, ``1/3.6s`` or ``63 uA/MHz``.

    Args:
        text: a number, its unit, and at most one denominator; spaces do not matter.
        dimension: what it must be: a key of `DIMENSIONS`.

    Returns:
        The value in the dimension's SI unit; bytes and counts are floats too.

    Raises:
        UsageError: not a quantity, an unknown unit, another dimension, a division by zero, or
            not finite.
    """
    exponents, _, example = DIMENSIONS[dimension]
    expected = f"{_article(dimension)} such as {example} was expected"
    match = _QUANTITY.fullmatch(text.strip().translate(_ALIASES))
    if match is None:
        raise UsageError(f"'{text}' is not a quantity", hint=expected)
    scale, found = _unit(match["unit"] or "", text, expected)
    if match["below"]:
        below_scale, below = _unit(match["below"], text, expected)
        below_scale *= float(match["per"] or 1)
        if not below_scale:
            raise UsageError(f"'{text}' divides by nothing", hint=expected)
        scale /= below_scale
        found = _times(found, below, -1)
    if found != exponents:
        raise UsageError(f"'{text}' is {_describe(found)}", hint=expected)
    value = float(match["number"]) * scale
    if not math.isfinite(value):
        raise UsageError(f"'{text}' is too large", hint=expected)
    # 10 µW/cm² is 0.1 W/m², not 0.09999999999999998
    return float(f"{value:.15g}")


def _unit(symbol: str, text: str, expected: str) -> tuple[float, Exponents]:
    if not symbol:
        return 1.0, NONE
    if symbol in _SYMBOLS:
        return _SYMBOLS[symbol]
    alike = [known for known in _SYMBOLS if known.lower() == symbol.lower()]
    hint = f"did you mean {' or '.join(alike)}? " if alike else ""
    raise UsageError(f"'{symbol}' in '{text}' is not a unit", hint=hint + expected)


def _describe(exponents: Exponents) -> str:
    if exponents == NONE:
        return "a number without a unit"
    names = [name for name, (known, _, _) in DIMENSIONS.items() if known == exponents]
    if exponents == _METRE:
        names = ["length"]
    return " or ".join(map(_article, names)) if names else "of no dimension used here"


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeioM' else 'a'} {noun}"


_SCALES: Mapping[str, tuple[tuple[float, str], ...]] = {
    "m2": ((1.0, "m²"), (1e-4, "cm²"), (1e-6, "mm²")),
    "W/m2": ((1e4, "W/cm²"), (10.0, "mW/cm²"), (1e-2, "µW/cm²"), (1e-5, "nW/cm²")),
    "A/Hz": ((1e-9, "mA/MHz"), (1e-12, "µA/MHz"), (1e-15, "nA/MHz")),
    "s": (
        (31557600.0, "years"),
        (86400.0, "days"),
        (3600.0, "h"),
        (60.0, "min"),
        (1.0, "s"),
        (1e-3, "ms"),
        (1e-6, "µs"),
        (1e-9, "ns"),
    ),
    "1/s": ((1.0, "/s"), (1 / 60.0, "/min"), (1 / 3600.0, "/h"), (1 / 86400.0, "/day")),
    "C": ((3600.0, "Ah"), (3.6, "mAh"), (3.6e-3, "µAh")),
    "bytes": ((1024.0**3, "GiB"), (1024.0**2, "MiB"), (1024.0, "KiB"), (1.0, "B")),
    "bytes/s": ((125e3, "Mbit/s"), (125.0, "kbit/s"), (0.125, "bit/s")),
    "ratio": ((0.01, "%"),),
}
_ENGINEERING = tuple(
    (factor, prefix.replace("u", "µ"))
    for prefix, factor in reversed(_PREFIXES.items())
    if prefix != "T"
)
_PLAIN = ("", "cycles", "MAC", "MAC/s")
# the largest unit that leaves at least this many of it; 200 h reads better than 8.3 days
_LEAST = {"min": 2.0, "h": 2.0, "days": 3.0, "years": 1.0, "m²": 0.1}


def format(value: float, unit: str, digits: int = 2) -> str:
    """Write an SI value as an engineer would: ``8.3 mW``, ``34 cm²``, ``256 KiB``.

    Args:
        value: in the SI unit.
        unit: SI unit: one of those in `DIMENSIONS`.
        digits: significant digits; digits before the decimal point are never dropped.
    """
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞" if value < 0 else "unknown"
    if unit in _SCALES:
        scales = _SCALES[unit]
    elif unit in _PLAIN:
        scales = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
        scales = tuple((factor, prefix + unit) for factor, prefix in scales)
    else:
        scales = tuple((factor, prefix + unit) for factor, prefix in _ENGINEERING)
    if value == 0:
        return f"0 {dict(scales).get(1.0) or unit}".strip() if unit != "ratio" else "0 %"
    if unit == "bytes":
        digits = max(digits, 3)
    index = next(
        (i for i, (scale, name) in enumerate(scales) if abs(value) >= scale * _LEAST.get(name, 1)),
        len(scales) - 1,
    )
    number = _number(value / scales[index][0], digits)
    if index and abs(float(number)) * scales[index][0] >= scales[index - 1][0] * _LEAST.get(
        scales[index - 1][1], 1
    ):
        # 999.7 mW is 1 W when rounded
        index -= 1
        number = _number(value / scales[index][0], digits)
    symbol = scales[index][1]
    if symbol.startswith("/"):
        return number + symbol
    return f"{number} {symbol}".strip()


def finite(value: float | None) -> float | None:
    """The number; None where JSON has no way to write it: unknown, infinite or none."""
    return value if value is not None and math.isfinite(value) else None


def format_rate(rate_per_s: float, noun: str = "inference") -> str:
    """Write a rate for people: ``12 inferences/s``, ``1 inference every 3.6 s``."""
    if rate_per_s <= 0:
        return f"no {noun}s"
    if rate_per_s >= 1:
        number = _number(rate_per_s, 2)
        return f"{number} {noun}{'' if number == '1' else 's'}/s"
    return f"1 {noun} every {format(1 / rate_per_s, 's')}"


def _number(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
