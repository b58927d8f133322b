"""Measuring models, folders and ELF files on the virtual core."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

pytest.importorskip("unicorn")
pytest.importorskip("capstone")

from budget.api.emit import emit
from budget.api.firmware import Firmware
from budget.api.measure import measure
from budget.api.measurement import Comparison, Measurement
from budget.errors import ModelError, UsageError
from budget.hardware import library

gcc = pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="no Arm gcc")


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BUDGET_CACHE", str(tmp_path_factory.mktemp("builds")))
        yield


@pytest.fixture(scope="module")
def digits(own_cache: None) -> Measurement:
    return measure("zoo:digits", compiler="gcc", device="stm32l4r5")


@gcc
def test_layers_sum_to_the_whole(digits: Measurement) -> None:
    assert digits.bit_exact is True
    layers = sum(layer.cycles for layer in digits.layers)
    assert 0.97 < layers / float(digits.cycles.value) <= 1
    assert sum(layer.share_ratio for layer in digits.layers) == pytest.approx(
        layers / float(digits.cycles.value)
    )
    functions = sum(count.cycles for count in digits.functions.values())
    assert functions == digits.count.cycles
    assert digits.macs == sum(layer.macs for layer in digits.layers)
    # what the layers share, and the interface, is nobody's own
    flash = sum(layer.flash_bytes for layer in digits.layers)
    assert digits.macs and 0.4 < flash / sum(digits.flash_bytes.values()) < 1


@gcc
def test_time_and_energy_are_those_of_the_device(digits: Measurement) -> None:
    device = library.device("stm32l4r5")
    assert digits.clock_hz == device.max_hz == 120e6
    assert digits.latency is not None and digits.energy is not None
    assert digits.latency.value == pytest.approx(float(digits.cycles.value) / 120e6)
    assert digits.energy.value == pytest.approx(
        float(digits.latency.value) * float(device.power_w().value)
    )
    assert digits.wait_states == 5
    assert 0 < digits.waits.cycles < digits.count.cycles
    assert digits.waits.cycles % 5 == 0
    assert float(digits.cycles.low) < float(digits.cycles.value) < float(digits.cycles.high)


@gcc
def test_a_slower_clock_waits_less(tmp_path: Path) -> None:
    """Of one and the same code, which a folder holds: for a model the clock decides the code."""
    emit("zoo:digits", tmp_path / "digits", target="cortex-m4")
    slow, half, fast = (
        measure(tmp_path / "digits", compiler="gcc", device="stm32l4r5", clock_hz=clock_hz)
        for clock_hz in (20e6, 60e6, 120e6)
    )
    assert (slow.wait_states, slow.waits.cycles) == (0, 0)
    assert slow.count == half.count == fast.count
    assert (half.wait_states, fast.wait_states) == (2, 5)
    assert 0 < half.waits.cycles * 5 == fast.waits.cycles * 2


@gcc
def test_memory_is_what_was_planned(digits: Measurement) -> None:
    assert digits.arena_bytes is not None and digits.arena_used_bytes is not None
    assert 0.9 * digits.arena_bytes < digits.arena_used_bytes <= digits.arena_bytes
    assert digits.static_ram_bytes >= digits.arena_bytes
    assert digits.ram_bytes == digits.static_ram_bytes + digits.stack_bytes + digits.io_bytes


@gcc
@pytest.mark.parametrize(
    ("io", "arena"),
    [
        ("model", "caller"),
        ("float", "static"),
        ("arena", "static"),
        pytest.param("model", "static", marks=pytest.mark.slow),
        pytest.param("float", "caller", marks=pytest.mark.slow),
        pytest.param("arena", "caller", marks=pytest.mark.slow),
    ],
)
def test_every_interface_can_be_called(io: str, arena: str, tmp_path: Path) -> None:
    emit("zoo:digits", tmp_path / "out", target="cortex-m4", io=io, arena=arena)
    measured = measure(tmp_path / "out", compiler="gcc")
    assert measured.outputs_agree is True
    # real numbers are compared with a tolerance, which shows no bits
    assert measured.bit_exact is (None if io == "float" else True)
    assert (measured.io_bytes == 0) == (io == "arena")
    assert (measured.arena_used_bytes is None) == (arena == "caller")
    assert all(layer.count.cycles for layer in measured.layers)


@gcc
def test_a_wrong_weight_is_found(tmp_path: Path) -> None:
    emit("zoo:digits", tmp_path / "out", target="cortex-m4")
    weights = tmp_path / "out" / "digits_weights.h"
    text = weights.read_text()
    # the first number of a layer is a bias, so that a large change must show
    changed = re.sub(r"(= \{\s+)-?\d+", r"\g<1>2000000", text, count=1)
    assert changed != text
    weights.write_text(changed)
    assert measure(tmp_path / "out", compiler="gcc").bit_exact is False


@gcc
def test_two_builds_side_by_side(tmp_path: Path, digits: Measurement) -> None:
    emit("zoo:digits", tmp_path / "small", target="cortex-m4", optimise="size")
    small = measure(tmp_path / "small", compiler="gcc", device="stm32l4r5")
    assert small.flash_bytes["code"] < digits.flash_bytes["code"]
    document = Comparison(digits, small).to_json()
    assert document["against"]["name"] == "digits"
    assert document["cycles_ratio"] == pytest.approx(
        float(digits.cycles.value) / float(small.cycles.value)
    )


@gcc
def test_a_folder_is_measured_on_the_core_it_was_emitted_for(tmp_path: Path) -> None:
    emit("zoo:digits", tmp_path / "out", target="cortex-m0plus")
    assert measure(tmp_path / "out", compiler="gcc").core == "cortex-m0plus"
    other = measure(tmp_path / "out", compiler="gcc", core="cortex-m3")
    assert "the C was emitted for cortex-m0plus, not for cortex-m3" in other.notes


@gcc
def test_any_linked_program_can_be_timed(tmp_path: Path) -> None:
    from budget.core.build import build

    source = (
        b"static int ready; void init(void) { ready = 5; }"
        b"int __attribute__((noinline)) twice(int x) { return 2 * x; }"
        b"int work(void) { return twice(ready) + 1; }"
    )
    program = tmp_path / "work.elf"
    program.write_bytes(build({"a.c": source}, "cortex-m4", keep=("work", "init")).data)
    measured = measure(program, symbol="work", setup=["init"], device="stm32l4r5")
    assert "returned 11" in measured.notes
    assert set(measured.functions) <= {"work", "twice"}
    assert measured.bit_exact is None and measured.cycles_per_mac is None
    with pytest.raises(UsageError, match="which function") as caught:
        measure(program)
    assert "work" in caught.value.hint


@gcc
def test_json_has_the_agreed_names(digits: Measurement) -> None:
    document = json.loads(json.dumps(digits.to_json(), allow_nan=False))
    assert document["schema"] == 1 and document["command"] == "measure"
    assert set(document["cycles"]) == {"value", "low", "high", "unit", "kind", "references"}
    assert document["bit_exact"] is True
    assert document["instructions"] == digits.count.instructions
    assert {"cycles", "cycles_per_mac", "share_ratio", "flash_bytes"} <= set(document["layers"][0])


def test_usage_is_checked_before_anything_is_built(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no virtual 'cortex-a7'"):
        measure("zoo:digits", core="cortex-a7")
    with pytest.raises(UsageError, match="clock needs a device"):
        measure("zoo:digits", clock_hz=1e6)
    with pytest.raises(UsageError, match="only a linked program"):
        measure("zoo:digits", symbol="main")
    with pytest.raises(UsageError, match="no virtual 'xtensa-lx6'"):
        measure("zoo:digits", device="esp32")


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "other.json").write_text("[1]")
    with pytest.raises(ModelError, match="no manifest"):
        Firmware.read(tmp_path)


def test_missing_files_are_all_listed(tmp_path: Path) -> None:
    emit("zoo:digits", tmp_path / "out", target="cortex-m4")
    (tmp_path / "out" / "digits.c").unlink()
    (tmp_path / "out" / "digits.h").unlink()
    with pytest.raises(ModelError, match=r"digits\.h, digits\.c|digits\.c, digits\.h"):
        Firmware.read(tmp_path / "out")


def test_unmeasured_cores_and_flash_are_told_of() -> None:
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("no Arm gcc")
    measured = measure("zoo:digits", device="rp2040", compiler="gcc")
    assert any("was not compared with silicon" in note for note in measured.notes)
    assert any("does not say" in note for note in measured.notes)
    other = measure("zoo:digits", device="rp2040", core="cortex-m3", compiler="gcc")
    assert any("has a cortex-m0plus" in note for note in other.notes)
