"""A user's measurements, made from a known truth, sharpen a profile that the rest then uses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from budget.api.calibrate import Calibration, calibrate
from budget.api.check import check
from budget.errors import UsageError
from budget.hardware import library

MODELS = (
    "zoo:ds_cnn",
    "zoo:autoencoder",
    "zoo:resnet8",
    "zoo:mobilenet_v1?alpha=0.25&resolution=96",
)


def truth_s(model: str, clock_hz: float = 120e6) -> float:
    """A board that is 1.5 times as slow as the profile says."""
    latency = check(
        model, device="stm32l4r5", runtime="tflm-cmsis-nn", clock_hz=clock_hz
    ).inference.latency
    assert latency is not None
    return 1.5 * float(latency.value)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    folder = tmp_path_factory.mktemp("calibrate")
    rows = ["model,latency_ms,clock_mhz,energy_uj,supply_v"]
    rows += [f"{m},{truth_s(m) * 1e3},120,{truth_s(m) * 60e-3 * 1e6},1.8" for m in MODELS]
    table = folder / "measurements.csv"
    table.write_text("\n".join(rows), "utf-8")
    return calibrate(
        table,
        folder / "my_runtime.toml",
        runtime="tflm-cmsis-nn",
        device="stm32l4r5",
        device_output=folder / "my_board.toml",
    )


def test_errors_fall_and_intervals_too(made: Calibration) -> None:
    for item in made.comparisons:
        assert item.before_ratio == pytest.approx(1 / 3, abs=0.03)
        assert item.after_ratio is not None and item.after_ratio < 0.1
    assert 1.0 < made.result.reach_after < made.result.reach_before
    assert made.format == "table"


def test_the_profile_is_one_and_says_what_was_measured(made: Calibration) -> None:
    runtime = library.runtime(str(made.output))
    assert runtime.plan_id == "tflm-cmsis-nn"
    figure = runtime.cycles["cortex-m4"].residual_ratio
    assert figure is not None and "4 measurements of your stm32l4r5" in figure.where
    found = check(MODELS[0], device="stm32l4r5", runtime=str(made.output)).inference
    assert found.latency is not None
    assert found.latency.value == pytest.approx(truth_s(MODELS[0]), rel=0.06)
    assert found.latency.low < truth_s(MODELS[0]) < found.latency.high
    # memory is planned as before: the arena is TFLM's
    before = check(MODELS[0], device="stm32l4r5", runtime="tflm-cmsis-nn").inference
    assert found.ram.value == before.ram.value


def test_the_power_measured_makes_a_device(made: Calibration) -> None:
    assert made.measured_power_w == pytest.approx(60e-3)
    assert made.profile_power is not None
    assert made.profile_power.value == pytest.approx(45e-3)
    device = library.device(str(made.device_output))
    assert device.power_w(120e6, 1.8).value == pytest.approx(60e-3)
    assert device.boundary == "core"


def test_one_model_has_nothing_to_be_left_out_of(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text(f"Median throughput is {1 / truth_s(MODELS[0]):.4f} inf./sec.\n", "utf-8")
    made = calibrate(
        log, tmp_path / "mine.toml", runtime="tflm-cmsis-nn", device="stm32l4r5", model=MODELS[0]
    )
    (item,) = made.comparisons
    assert item.after is None and item.after_ratio is None
    assert made.measured_power_w is None
    document = json.dumps(made.to_json())
    assert '"after_ratio": null' in document


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        ("model,latency_ms\na,1", {"runtime": "rule-of-thumb"}, "not a fitted runtime"),
        ("model,latency_ms\na,1", {"output": "x.txt"}, "a .toml file"),
        ("model,latency_ms\na,1", {"device": None}, "no device is named"),
        ("model,device,latency_ms\na,rp2040,1\nb,stm32l4r5,1", {}, "of one device"),
        ("model,latency_ms\n,1", {}, "no model is named"),
        ("model,latency_ms\nzoo:ds_cnn,1", {"device": "dsp-20pj"}, "has no clock"),
        ("model,latency_ms\nzoo:ds_cnn,100", {"device_output": "b.toml"}, "no energies"),
    ],
)
def test_refused(tmp_path: Path, table: str, options: dict[str, str], message: str) -> None:
    path = tmp_path / "m.csv"
    path.write_text(table, "utf-8")
    arguments = {
        "runtime": "tflm-cmsis-nn",
        "device": "stm32l4r5",
        "output": "mine.toml",
        **options,
    }
    output = tmp_path / arguments.pop("output")
    if "device_output" in arguments:
        arguments["device_output"] = str(tmp_path / arguments["device_output"])
    with pytest.raises(UsageError, match=message):
        calibrate(path, output, **arguments)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.csv"]
