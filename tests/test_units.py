"""Quantities as text: what is read, what is refused and with which hint, what is printed."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budget import units
from budget.errors import UsageError


@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        ("10cm2", "area", 1e-3),
        ("10 cm²", "area", 1e-3),
        ("1.5 m2", "area", 1.5),
        ("1/s", "rate", 1.0),
        ("2/min", "rate", 1 / 30),
        ("1/3.6s", "rate", 1 / 3.6),
        ("5/h", "rate", 5 / 3600),
        ("10Hz", "rate", 10.0),
        ("20pJ", "energy", 20e-12),
        ("1Wh", "energy", 3600.0),
        ("100uW", "power", 1e-4),
        ("100 µW", "power", 1e-4),
        ("40MHz", "frequency", 40e6),
        ("256KiB", "size", 262144.0),
        ("256kB", "size", 256000.0),
        ("5kB", "size", 5000.0),
        ("31B", "size", 31.0),
        ("3.3V", "voltage", 3.3),
        ("470uF", "capacitance", 470e-6),
        ("63uA/MHz", "current per frequency", 63e-12),
        ("10uW/cm2", "power density", 0.1),
        ("20pJ/MAC", "energy per MAC", 20e-12),
        ("67fJ/MAC", "energy per MAC", 67e-15),
        ("225mAh", "charge", 810.0),
        ("30ms", "time", 0.03),
        ("2 days", "time", 172800.0),
        ("1Mbit/s", "bit rate", 125e3),
        ("80%", "ratio", 0.8),
        ("0.8", "ratio", 0.8),
        ("1e3", "count", 1000.0),
        ("7.5MMAC", "macs", 7.5e6),
        ("10Ohm", "resistance", 10.0),
        ("10 Ω", "resistance", 10.0),
    ],
)
def test_parse(text: str, dimension: str, value: float) -> None:
    assert units.parse(text, dimension) == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize(
    ("text", "dimension", "what", "hint"),
    [
        ("10 cm", "area", "is a length", "an area such as 10cm2 was expected"),
        ("10", "area", "a number without a unit", "an area such as 10cm2"),
        ("10cm2", "power", "is an area", "a power such as 100uW"),
        ("3 MHZ", "frequency", "'MHZ' in '3 MHZ' is not a unit", "did you mean mHz or MHz?"),
        ("10mw", "power", "is not a unit", "did you mean mW or MW?"),
        ("10 parsec", "area", "'parsec'", "an area"),
        ("fast", "rate", "is not a quantity", "a rate such as 2/min"),
        ("1/s/s", "rate", "is not a quantity", "a rate"),
        ("", "time", "is not a quantity", "30ms"),
        ("3s*W", "energy", "is not a quantity", "20mJ"),
        ("5 V/s", "voltage", "of no dimension used here", "3.3V"),
        ("1e400 s", "time", "is too large", "30ms"),
        ("nan s", "time", "is not a quantity", "30ms"),
        ("1/xs", "rate", "'xs'", "2/min"),
        ("1/0s", "rate", "divides by nothing", "2/min"),
    ],
)
def test_refusals(text: str, dimension: str, what: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        units.parse(text, dimension)
    assert what in caught.value.what
    assert hint in caught.value.hint


def test_milli_is_not_mega_and_kib_is_not_kb() -> None:
    assert units.parse("1MW", "power") == 1e9 * units.parse("1mW", "power")
    assert units.parse("125KiB", "size") == units.parse("128kB", "size")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.008316, "W", "8.3 mW"),
        (3.6, "s", "3.6 s"),
        (34e-4, "m2", "34 cm²"),
        (262144, "bytes", "256 KiB"),
        (99999, "bytes", "97.7 KiB"),
        (31, "bytes", "31 B"),
        (120e6, "Hz", "120 MHz"),
        (0.9997, "W", "1 W"),
        (999.4e-6, "W", "999 µW"),
        (63e-12, "A/Hz", "63 µA/MHz"),
        (0.1, "W/m2", "10 µW/cm²"),
        (20e-12, "J/MAC", "20 pJ/MAC"),
        (67e-15, "J/MAC", "67 fJ/MAC"),
        (810.0, "C", "225 mAh"),
        (7.5e6, "MAC", "7.5 MMAC"),
        (1.25e6, "cycles", "1.2 Mcycles"),
        (0.8, "ratio", "80 %"),
        (0.0, "W", "0 W"),
        (0.0, "bytes", "0 B"),
        (0.0, "ratio", "0 %"),
        (-0.002, "J", "-2 mJ"),
        (86400 * 400.0, "s", "1.1 years"),
        (math.inf, "s", "∞"),
        (-math.inf, "s", "−∞"),
        (math.nan, "s", "unknown"),
        (0.5, "1/s", "30/min"),
    ],
)
def test_format(value: float, unit: str, text: str) -> None:
    assert units.format(value, unit) == text


def test_rates_for_people() -> None:
    assert units.format_rate(1 / 3.6) == "1 inference every 3.6 s"
    assert units.format_rate(12) == "12 inferences/s"
    assert units.format_rate(1) == "1 inference/s"
    assert units.format_rate(0, "frame") == "no frames"
    assert units.format_rate(1 / 7200) == "1 inference every 2 h"


_PRINTED = sorted(set(units.DIMENSIONS) - {"count", "ratio", "cycles", "bit rate", "macs"})


@given(
    st.sampled_from(_PRINTED),
    st.floats(1e-14, 1e12),
    st.integers(2, 6),
)
def test_what_is_printed_is_read_back(dimension: str, value: float, digits: int) -> None:
    unit = units.DIMENSIONS[dimension][1]
    text = units.format(value, unit, digits)
    assert units.parse(text, dimension) == pytest.approx(value, rel=0.51 * 10.0 ** (1 - digits))


@given(st.sampled_from(sorted(units.DIMENSIONS)), st.text(max_size=12))
def test_anything_is_read_or_refused(dimension: str, text: str) -> None:
    try:
        assert math.isfinite(units.parse(text, dimension))
    except UsageError as error:
        assert error.hint


@given(st.sampled_from(sorted(units.DIMENSIONS)))
def test_examples_in_hints_are_themselves_right(dimension: str) -> None:
    assert units.parse(units.DIMENSIONS[dimension][2], dimension) > 0
