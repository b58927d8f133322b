"""Compute or transmit: both ways priced by hand, equal at the break-even."""

from __future__ import annotations

from functools import cache

import pytest

from budget.api.transmit import Transmission, transmit
from budget.hardware import library
from budget.scenario.schema import Preprocess, Scenario, Transmit
from budget.scenario.transmit import compute_or_transmit


@cache
def hotword(ratio: float = 0.01) -> Transmission:
    return transmit(
        scenario=Scenario(
            model="zoo:hotword",
            device="stm32u575",
            rate_hz=1.0,
            preprocess=Preprocess(features="zoo:hotword"),
            transmit=Transmit(ratio=ratio),
        )
    )


def test_both_ways_by_hand() -> None:
    found = hotword()
    ble = next(choice for choice in found.choices if choice.radio.id == "ble-nrf52840")
    assert found.raw_bytes == 32000
    assert float(ble.raw.value) == pytest.approx(132 * 20e-6 + 32000 * 0.19e-6)
    message = 20e-6 + 4 * 0.19e-6
    assert float(ble.local.value) == pytest.approx(float(found.computing.value) + 0.01 * message)
    assert ble.better == "infer"


def test_at_the_break_even_both_cost_the_same() -> None:
    found = hotword()
    cycle = found.estimate.cycle(found.question)
    for choice in found.choices:
        ratio = float(choice.break_even_ratio.value)
        computing = float(found.computing.value)
        if ratio:
            both = computing + ratio * float(choice.result.value)
            assert both == pytest.approx(float(choice.raw.value))
        else:
            assert float(choice.raw.value) <= computing
        size = choice.break_even_bytes
        again = compute_or_transmit(
            cycle,
            choice.radio,
            raw_bytes=size,
            payload_bytes=found.payload_bytes,
            message_ratio=0.01,
            rate_hz=1.0,
        )
        if size:
            assert float(again.raw.value) <= float(choice.local.value)
        assert float(choice.radio.message_j(size + 1).value) > float(choice.local.value)


def test_what_takes_longer_than_a_cycle_is_no_way() -> None:
    slow = next(choice for choice in hotword().choices if choice.radio.id == "lora-sf12")
    assert slow.sends_in_time is False and slow.better == "infer"


def test_few_raw_data_are_better_sent() -> None:
    found = transmit("zoo:hotword", device="efm32pg12", rate_hz=0.1, raw_bytes=8)
    ble = next(choice for choice in found.choices if choice.radio.id == "ble-stm32wb55")
    assert ble.better == "send" and found.raw_from == "as given"


def test_the_input_is_what_would_be_sent() -> None:
    found = transmit("zoo:tiny-vww", device="stm32u575", rate_hz=1.0, radios=["ble-nrf52840"])
    assert found.raw_bytes == 48 * 48 * 3
    assert found.to_json()["radios"][0]["better"] in {"infer", "send", "close"}


def test_every_way_to_send_by_ble_takes_more_than_ten_milliwatts() -> None:
    """The article's comparison: a radio takes more power than the thinking does."""
    for name in ("ble-nrf52840", "ble-stm32wb55"):
        power = library.radio(name).transmit_w
        assert power is not None and power.value > 10e-3
