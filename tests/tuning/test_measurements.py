"""The rows and layer tables that ship: sound, sourced, and those of the models themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from budget.api.models import prepare
from budget.estimate.work import layer_of
from budget.hardware import library
from budget.plan import plan
from budget.tuning.measurements import (
    FEATURES,
    architecture,
    energies,
    features,
    latencies,
    layers_run,
    networks,
    published,
)
from budget.tuning.refit import CORES


def test_every_row_has_a_source_a_network_and_sense() -> None:
    for row in published():
        assert len(row.source) > 10
        assert row.network in networks()
        assert row.latency_s is None or 1e-5 < row.latency_s < 100
        assert row.energy_j is None or 1e-6 < row.energy_j < 1
        if row.device:
            device = library.device(row.device)
            assert device.core == row.core, row
    for row in latencies(published()):
        macs = sum(features(layers_run(row.network, removes_constant_channels=False))[:5])
        assert 0.2 < row.cycles / macs < 200


def test_macs_are_those_the_authors_publish() -> None:
    def macs(name: str) -> int:
        return sum(layer.macs for layer in networks()[name])

    assert [macs(n) for n in ("kws", "ic", "ad", "vww")] == [
        2_656_768, 12_501_632, 264_192, 7_489_664,
    ]  # fmt: skip
    assert macs("vww_removed") == 3_727_313
    assert macs("resnet_v1_8_32_int8") == macs("ic")
    assert macs("st_yolo_lc_v1_256_int8") == 109_379_584


def test_repetitions_count_once() -> None:
    rows = latencies(published())
    assert len(rows) < len(published()) / 1.4
    for a in rows:
        for b in rows:
            same = (a.runtime, a.board, a.clock_hz, a.network) == (
                b.runtime, b.board, b.clock_hz, b.network,
            )  # fmt: skip
            if same and a is not b:
                assert abs(a.cycles / b.cycles - 1) > 0.009
    assert not any(row.quality for row in (*rows, *energies(published())))


def test_sizes_of_one_architecture_are_one() -> None:
    assert architecture("vww") == architecture("mobilenet_v1_0.25_224_fft_int8")
    assert architecture("ic") == architecture("resnet_v1_8_32_int8")
    assert architecture("st_yolo_lc_v1_192_int8") == architecture("st_yolo_lc_v1_256_int8")
    assert architecture("ssd_mobilenet_v1_025_192_int8") == architecture(
        "st_ssd_mobilenet_v1_025_256_int8"
    )
    assert architecture("resnet_v1_32_32_tfs_int8") != architecture("ic")
    assert architecture("mobilenet_v2_0.35_128_int8") != architecture("vww")


def test_removal_is_said_by_row_and_by_profile_alike() -> None:
    for row in published():
        if row.runtime in CORES:
            profile = library.runtime(row.runtime)
            assert profile.removes_constant_channels == row.removes_constant_channels, row


@pytest.mark.parametrize("name", ["ad", "ic", "kws", "vww"])
@pytest.mark.parametrize("removes", [False, True])
def test_layer_tables_are_those_of_the_files(models: Path, name: str, removes: bool) -> None:
    prepared = prepare(models / f"{name}_int8.tflite")
    program = plan(prepared.graph, runtime="x-cube-ai", remove_constant_channels=removes)
    found = [layer_of(step, program) for step in program.steps if step.kernel]
    assert list(layers_run(name, removes_constant_channels=removes)) == found
    work = dict(zip(FEATURES, features(found)))
    assert work["layer"] == len(found)
    assert sum(work[kind] for kind in FEATURES[:5]) == program.cost.macs
