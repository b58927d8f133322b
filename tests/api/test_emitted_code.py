"""The flash that `check` tells for our runtime is that which `emit` predicts."""

from __future__ import annotations

from pathlib import Path

import pytest

from budget.api.check import check
from budget.api.emit import emit
from budget.api.emitted_code import emitted_code


@pytest.mark.parametrize("model", ["zoo:hotword", "zoo:tiny-vww", "zoo:tiny-kws", "zoo:tiny-ad"])
def test_flash_is_the_emitter_s(model: str) -> None:
    found = check(model, device="stm32l4r5", runtime="budget-c")
    code = emitted_code(found.model, found.program, found.device)
    assert code is not None
    emitted = emit(model, None, device="stm32l4r5").manifest
    assert code.low < emitted["prediction"]["code_bytes"] < code.high
    flash = found.inference.flash
    assert flash.value == pytest.approx(emitted["prediction"]["flash_bytes"], rel=0.04)
    assert flash.low < flash.value < flash.high
    assert found.inference.cycles is not None
    assert emitted["prediction"]["cycles"] == pytest.approx(found.inference.cycles.value, abs=1)


def test_other_runtimes_code_is_their_profile_s() -> None:
    found = check("zoo:tiny-ad", device="stm32l4r5", runtime="tflm-cmsis-nn")
    assert emitted_code(found.model, found.program, found.device) is None


def test_a_model_that_is_not_yet_quantised_is_priced_by_the_profile() -> None:
    found = check("zoo:autoencoder", device="stm32l4r5", runtime="budget-c", precision="int8")
    assert emitted_code(found.model, found.program, found.device) is None
    assert found.inference.flash.value > found.program.weight_bytes


@pytest.mark.parametrize("name", ["kws_{}", "ic_{}", "ad_{}"])
def test_a_float_model_is_priced_as_the_one_that_it_becomes(models: Path, name: str) -> None:
    held = {"kws_{}": "float32"}.get(name, "float")
    found = {
        kind: check(models / f"{name.format(kind)}.tflite", device="stm32l4r5").inference
        for kind in ("int8", held)
    }
    cycles = {kind: float(each.cycles.value) for kind, each in found.items()}
    assert cycles[held] == pytest.approx(cycles["int8"], rel=0.03)
    flash = {kind: float(each.flash.value) for kind, each in found.items()}
    assert flash[held] == pytest.approx(flash["int8"], rel=0.08)
