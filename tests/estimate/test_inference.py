"""One inference: against sums made by hand from the profiles' text, and laws that must hold."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path

import pytest

import budget
from budget.api.models import prepare
from budget.errors import ProfileError
from budget.estimate.inference import estimate_inference, ram_need, tensor_arena_bytes
from budget.estimate.stalls import NO_STALLS, Stalls, stalls_of
from budget.hardware import library
from budget.hardware.figure import Kind
from budget.plan import plan
from budget.plan.program import Program

PROFILES = Path(budget.__file__).parent / "hardware_profiles" / "runtimes"
NETWORKS = ("zoo:ds_cnn", "zoo:autoencoder", "zoo:resnet8")


def planned(model: str, runtime: str) -> Program:
    prepared = prepare(model)
    return plan(
        prepared.graph,
        runtime=runtime,
        precision=prepared.precision,
        remove_constant_channels=library.runtime(runtime).removes_constant_channels,
    )


def by_hand(program: Program, prices: dict[str, float], states: int) -> float:
    """Cycles from the TOML's numbers and the graph's shapes, without the estimator."""
    total = 0.0
    for step in program.steps:
        if not step.kernel:
            continue
        out = program.types[step.node.outputs[0]].element_count
        read = program.types[step.node.inputs[0]].element_count
        stall = 1 + states * 0.038
        if step.node.op == "conv_2d":
            _, height, width, depth = program.types[step.node.inputs[1]].shape
            name = "conv_mac" if depth > 4 else "shallow_conv_mac"
            name = "pointwise_mac" if height * width == 1 else name
            cycles = out * height * width * depth * prices[name] + out * prices["output"]
        elif step.node.op == "depthwise_conv_2d":
            _, height, width, _ = program.types[step.node.inputs[1]].shape
            cycles = out * height * width * prices["depthwise_mac"] + out * prices["output"]
        elif step.node.op == "fully_connected":
            depth = program.types[step.node.inputs[1]].shape[-1]
            cycles = out * (depth * prices["fully_connected_mac"] + prices["output"])
            stall = 1 + states * 0.045
        else:
            cycles = max(out, read) * prices["element"]
        total += stall * (cycles + prices["layer"])
    return total


@pytest.mark.parametrize("model", NETWORKS)
@pytest.mark.parametrize("runtime", ["tflm-cmsis-nn", "x-cube-ai", "hale"])
def test_cycles_are_the_sum_of_the_profile_s_prices(model: str, runtime: str) -> None:
    table = tomllib.loads((PROFILES / f"{runtime}.toml").read_text("utf-8"))
    prices = {
        key: figure["value"]
        for key, figure in table["cycles"]["cortex-m4"].items()
        if isinstance(figure, dict)
    }
    program = planned(model, runtime)
    device = library.device("stm32l4r5")
    for clock_hz, states in ((120e6, 5), (16e6, 0), (50e6, 2)):
        result = estimate_inference(program, device, library.runtime(runtime), clock_hz=clock_hz)
        assert result.cycles is not None and result.latency is not None
        assert result.cycles.value == pytest.approx(by_hand(program, prices, states))
        assert result.latency.value == pytest.approx(float(result.cycles.value) / clock_hz)
        assert result.power is not None
        watts = float(device.power_w(clock_hz).value)
        assert result.energy.value == pytest.approx(watts * float(result.latency.value))
        assert result.boundary == "core"
        assert result.cycles.low < result.cycles.value < result.cycles.high
        # the residual is in the interval, and the layers' shares are of one whole
        assert float(result.cycles.high) / float(result.cycles.value) > 1.05
        assert sum(layer.share_ratio for layer in result.layers) == pytest.approx(1.0)


def test_a_slower_clock_waits_less_for_flash_but_never_takes_less_time() -> None:
    program = planned("zoo:ds_cnn", "tflm-cmsis-nn")
    runtime, device = library.runtime("tflm-cmsis-nn"), library.device("stm32l4r5")
    cycles, seconds = [], []
    for clock_hz in (16e6, 30e6, 60e6, 80e6, 100e6, 120e6):
        result = estimate_inference(program, device, runtime, clock_hz=clock_hz)
        assert result.cycles is not None and result.latency is not None
        cycles.append(float(result.cycles.value))
        seconds.append(float(result.latency.value))
    assert cycles == sorted(cycles)
    assert seconds == sorted(seconds, reverse=True)


def test_a_cache_hides_code_but_not_streamed_weights() -> None:
    cached, uncached = Stalls(4, True), Stalls(4, False)
    assert cached.ratio("conv") == 1.0 < uncached.ratio("conv")
    assert cached.ratio("fully_connected") == uncached.ratio("fully_connected") > 1.0
    assert NO_STALLS.ratio("fully_connected") == 1.0


def test_wait_states_are_the_device_s_or_said_to_be_assumed() -> None:
    assert stalls_of(library.device("stm32l4r5"), 120e6) == Stalls(5, False)
    assert stalls_of(library.device("stm32u575"), 160e6) == Stalls(4, True)
    device = library.device("stm32h7a3")
    assert stalls_of(device, device.max_hz or 0.0).is_assumed
    result = estimate_inference(
        planned("zoo:ds_cnn", "x-cube-ai"), device, library.runtime("x-cube-ai")
    )
    assert any("wait states" in note for note in result.notes)


def test_what_is_borrowed_is_said_and_less_sure() -> None:
    runtime = library.runtime("x-cube-ai")
    known, borrowed = (runtime.on(core).table for core in ("cortex-m7", "cortex-m0plus"))
    assert known.rows > 0 and not known.borrowed
    assert borrowed.rows == 0 and "cortex-m7" in borrowed.borrowed
    assert known.residual_ratio is not None and borrowed.residual_ratio is not None
    result = estimate_inference(
        planned("zoo:ds_cnn", "x-cube-ai"), library.device("rp2040"), runtime
    )
    assert any("borrows" in note for note in result.notes)
    assert result.cycles is not None and result.cycles.kind is Kind.DERIVED
    sure = estimate_inference(
        planned("zoo:ds_cnn", "x-cube-ai"), library.device("stm32h7a3"), runtime
    )
    assert sure.cycles is not None
    width, least = (float(q.high) / float(q.low) for q in (result.cycles, sure.cycles))
    assert width > least


def test_the_rule_of_thumb_has_its_own_stalls_and_says_it_knows_no_core() -> None:
    program = planned("zoo:ds_cnn", "rule-of-thumb")
    device, runtime = library.device("stm32l4r5"), library.runtime("rule-of-thumb")
    result = estimate_inference(program, device, runtime, clock_hz=40e6)
    assert result.latency is not None
    assert result.latency.value == pytest.approx(program.cost.flops / 2e6)
    assert any("general ones" in note for note in result.notes)


def test_an_engine_counts_joules_per_mac() -> None:
    program = planned("zoo:ds_cnn", "tflm-cmsis-nn")
    device = library.device("dsp-20pj")
    result = estimate_inference(program, device, library.runtime("tflm-cmsis-nn"))
    assert result.energy.value == pytest.approx(program.cost.macs * 20e-12)
    assert result.cycles is None and result.power is None


def test_ram_of_tflm_is_its_arena_and_stack_and_the_arena_to_request_holds_it() -> None:
    runtime = library.runtime("tflm-cmsis-nn")
    assert runtime.ram.stack_bytes is not None
    for model in NETWORKS:
        program = planned(model, runtime.id)
        need = ram_need(program, runtime)
        assert need.value == program.arena_bytes + runtime.ram.stack_bytes.value
        requested = tensor_arena_bytes(program)
        assert requested is not None and requested >= program.arena_bytes
        assert requested % 16 == 0 and requested < program.arena_bytes + 2048
    assert tensor_arena_bytes(planned("zoo:ds_cnn", "x-cube-ai")) is None


def test_a_microcontroller_without_a_clock_or_a_known_core_is_refused() -> None:
    program, runtime = planned("zoo:ds_cnn", "x-cube-ai"), library.runtime("x-cube-ai")
    device = library.device("stm32l4r5")
    with pytest.raises(ProfileError, match="needs a clock"):
        estimate_inference(program, dataclasses.replace(device, clock=None), runtime)
    with pytest.raises(ProfileError, match="no figures for"):
        estimate_inference(program, library.device("esp32"), runtime)


def test_constant_channels_cost_nothing_where_the_runtime_removes_them(models: Path) -> None:
    path = str(models / "vww_int8.tflite")
    old, new = planned(path, "x-cube-ai-7"), planned(path, "x-cube-ai-8")
    assert old.cost.macs == 7_489_664
    assert new.cost.macs == 3_727_313
