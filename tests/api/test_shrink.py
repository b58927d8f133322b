"""Networks shrink until they fit: from any file, in spite of interruptions, honestly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from tensorflow_models import freeze, quietly, tensorflow

from budget import zoo
from budget.api.measure import measure
from budget.api.models import prepare
from budget.api.shrink import shrink
from budget.api.workbench import excess_of
from budget.errors import MissingToolError, UsageError
from budget.ops.interpreter import run
from budget.report.shrink import render, report_shrinkage, require_format, save_front
from budget.scenario.schema import Scenario
from budget.shrinking import recovery
from budget.shrinking.recovery import Training
from budget.verdict import Verdict

TIGHT = Scenario(device="efm32pg12", deadline_s=4e-3)
QUICK = Training(epochs=3, copies=0, rate=5e-3)


@pytest.fixture(autouse=True)
def _needs_tensorflow() -> None:
    tensorflow()
    pytest.importorskip("optuna")
    quietly(lambda: recovery.tensorflow("training"))


def compiled() -> bool:
    from budget.core.build import find_compiler

    try:
        find_compiler()
    except MissingToolError:
        return False
    return True


@pytest.mark.slow
def test_digits_shrink_into_a_deadline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    result = shrink(
        "zoo:digits",
        output=tmp_path / "fits.tflite",
        scenario=TIGHT,
        trials=4,
        finalists=1,
        training=Training(epochs=6, copies=2, rate=5e-3),
        emit_to=tmp_path / "c",
        say=lines.append,
    )
    assert result.before.verdict is Verdict.DOES_NOT_FIT
    assert result.verdict is Verdict.FITS and excess_of(result.after) <= 1
    assert result.output == tmp_path / "fits.tflite" and result.held_out is not None
    after, before = result.held_out.after, result.held_out.before
    assert after is not None and before is not None and after.count == 450
    assert after.ratio > 0.9 and before.ratio > 0.97
    # the accuracy that is told is that of the file, by another way
    graph = prepare(result.output).graph
    with np.load(zoo.MODELS / "digits.heldout.npz") as file:
        features, labels = file["features"], file["labels"]
    x = graph.inputs[0]
    quant = graph.type_of(x).quant
    assert quant is not None
    real = (features.astype(np.float32) + 128) / 255
    stored = np.clip(np.rint(real / quant.scale[0]) + quant.zero_point[0], -128, 127)
    right = sum(
        int(run(graph, {x: v.reshape(1, 8, 8, 1)})[graph.outputs[0]].argmax() == label)
        for v, label in zip(stored.astype(np.int8)[:150], labels[:150])
    )
    assert abs(right / 150 - after.ratio) < 0.06
    if compiled():
        measured = measure(tmp_path / "c", device="efm32pg12")
        assert measured.bit_exact and result.measurement is not None
        assert measured.cycles.value == result.measurement.cycles.value
        assert result.measurement.latency is not None
        assert result.measurement.latency.high <= 4e-3
    assert not list(tmp_path.glob(".*shrink"))
    assert [line.step for line in result.lines][:1] == ["original"]
    assert any("meets the budget" in line for line in lines)
    document = json.loads(json.dumps(result.to_json()))
    assert document["verdict"] == "fits" and len(document["candidates"]) == 4
    report_shrinkage(result, json=False)
    printed = capsys.readouterr()
    assert "held out: 450 examples" in printed.out and "McNemar" in printed.out
    for ending in ("json", "csv"):
        save_front(result, tmp_path / f"front.{ending}")
        assert "prune" in (tmp_path / f"front.{ending}").read_text()
    pytest.importorskip("matplotlib")
    save_front(result, tmp_path / "front.png")
    assert (tmp_path / "front.png").read_bytes()[1:4] == b"PNG"


@pytest.mark.slow
def test_a_frozen_graph_without_labels_learns_from_itself(tmp_path: Path) -> None:
    tensorflow()
    keras = __import__("keras")
    with np.load(zoo.MODELS / "digits.training.npz") as file:
        pixels, labels = (file["features"][..., None] + 128.0) / 255, file["labels"]

    def trained():
        keras.utils.set_random_seed(0)
        layers = keras.layers
        model = keras.Sequential([
            keras.Input((8, 8, 1)), layers.Conv2D(24, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(), layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Flatten(), layers.Dense(10, activation="softmax"),
        ])  # fmt: skip
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(pixels.astype(np.float32), labels, epochs=8, batch_size=32, verbose=0)
        return model

    model = quietly(trained)
    (tmp_path / "frozen.pb").write_bytes(freeze(model, (1, 8, 8, 1)))
    np.savez(tmp_path / "inputs.npz", x=pixels.astype(np.float32))  # no labels
    result = shrink(
        tmp_path / "frozen.pb",
        output=tmp_path / "small.tflite",
        scenario=Scenario(device="efm32pg12", deadline_s=5e-3),
        data=str(tmp_path / "inputs.npz"),
        ways=("prune:keep=0.4", "int8"),
        training=Training(epochs=8, copies=2, rate=5e-3),
    )
    assert result.before.verdict is Verdict.DOES_NOT_FIT and result.verdict is Verdict.FITS
    held_out = result.held_out
    assert held_out is not None and held_out.after is None and held_out.agreement is not None
    accuracies = [line.accuracy for line in result.lines if line.accuracy is not None]
    assert held_out.agreement.ratio > 0.93
    assert accuracies[-1] > accuracies[1]  # training made good what pruning had cost
    assert "labels" not in result.lines[2].note


@pytest.mark.slow
def test_every_step_has_its_accuracy_and_cost_whatever_its_input_is(tmp_path: Path) -> None:
    result = shrink(
        "zoo:digits",
        output=tmp_path / "small.tflite",
        scenario=Scenario(device="efm32pg12", deadline_s=1.0),
        ways=("resolution:scale=0.75", "prune:keep=0.9", "int8:ranges=min-max"),
        training=replace(QUICK, epochs=1),
    )
    names = [line.step.partition(":")[0] for line in result.lines]
    assert names[:5] == ["original", "resolution", "prune", "fine-tune", "int8"]
    assert all(0 <= line.accuracy <= 1 for line in result.lines if line.accuracy is not None)
    assert None not in [line.accuracy for line in result.lines]
    macs = [line.macs for line in result.lines[:3]]
    assert macs == sorted(macs, reverse=True) and len(set(macs)) == 3
    report_shrinkage(result)


@pytest.mark.slow
def test_nothing_fits_is_said_with_what_would(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = shrink(
        "zoo:digits",
        output=tmp_path / "never.tflite",
        scenario=Scenario(device="efm32pg12", deadline_s=1e-5),
        ways=("prune", "int8"),
        trials=2,
        training=QUICK,
    )
    assert result.verdict is Verdict.DOES_NOT_FIT and result.verdict.exit_code == 1
    assert not (tmp_path / "never.tflite").exists() and result.output is None
    assert result.nearest is not None and result.nearest.excess > 1
    assert result.after.remedies
    report_shrinkage(result)
    printed = capsys.readouterr().out
    assert "nothing fits" in printed and "needs a clock of" in printed


_SCRIPT = """
import sys
from budget.api.shrink import shrink
from budget.scenario.schema import Scenario
from budget.shrinking.recovery import Training
def say(line):
    print(line, flush=True)
r = shrink("zoo:digits", output=sys.argv[1], scenario=Scenario(device="efm32pg12", deadline_s=4e-3),
           ways=("prune", "int8:ranges=min-max"), trials=3, finalists=1,
           training=Training(epochs=5, copies=0, rate=5e-3), say=say)
print("DONE", r.verdict.value, flush=True)
"""


def run_until(output: Path, wanted: str | None, how: int) -> list[str]:
    """Runs the script until it says something, then ends it that way; all it said."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SCRIPT, str(output)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    said: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        said.append(line.strip())
        if wanted is not None and wanted in line:
            process.send_signal(how)
            break
    process.stdout.close()
    process.wait(timeout=60)
    return said


@pytest.mark.slow
def test_killed_at_any_point_it_goes_on_and_the_file_is_whole_or_absent(tmp_path: Path) -> None:
    whole = tmp_path / "whole.tflite"
    shrink(
        "zoo:digits",
        output=whole,
        scenario=TIGHT,
        ways=("prune", "int8:ranges=min-max"),
        trials=3,
        finalists=1,
        training=Training(epochs=5, copies=0, rate=5e-3),
    )
    cut = tmp_path / "cut.tflite"
    said = []
    for wanted, how in (
        ("candidate 2", signal.SIGKILL),
        ("epoch 3 of 5", signal.SIGINT),
        ("epoch 4 of 5", signal.SIGKILL),
    ):
        said += run_until(cut, wanted, how)
        assert not cut.exists()
        assert (tmp_path / ".cut.tflite.shrink").is_dir()
    last = run_until(cut, None, signal.SIGTERM)
    assert "going on with 3 candidates tried before" in last
    assert not any("epoch 1 of 5" in line or "epoch 2 of 5" in line for line in last)
    assert last[-1].startswith("DONE")
    assert cut.read_bytes() == whole.read_bytes()
    assert not (tmp_path / ".cut.tflite.shrink").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_cluster_loses_nothing_when_a_worker_is_killed(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    killed: list[int] = []
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        pids = [w.process.pid for w in cluster.workers.values()]

        def say(line: str) -> None:
            if line.startswith("candidate 2") and not killed:
                killed.append(pids[0])
                os.kill(pids[0], signal.SIGKILL)
                time.sleep(0.2)

        result = shrink(
            "zoo:digits",
            output=tmp_path / "fits.tflite",
            scenario=TIGHT,
            ways=("prune", "int8:ranges=min-max"),
            trials=5,
            finalists=1,
            training=replace(QUICK, epochs=1),
            scheduler=cluster.scheduler_address,
            say=say,
        )
    assert killed
    assert len(result.outcomes) == 5 and not any(o.problem for o in result.outcomes)


def test_a_scheduler_that_does_not_answer_and_missing_dask_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from budget.api.cluster import connect

    if find_spec("distributed"):
        with pytest.raises(UsageError, match="no scheduler answers"):
            connect("nowhere://x")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingToolError, match="Dask"):
        connect("tcp://127.0.0.1:1")


def test_what_makes_no_sense_is_refused_before_any_work(tmp_path: Path) -> None:
    out = tmp_path / "out.tflite"
    for options, match in (
        ({"output": tmp_path / "out.pb"}, "written as .tflite"),
        ({"output": tmp_path / "none" / "out.tflite"}, "cannot be written there"),
        ({"output": out, "scenario": Scenario()}, "no device is named"),
        ({"output": out, "ways": ("shrivel",)}, "no way to shrink called 'shrivel'"),
    ):
        with pytest.raises(UsageError, match=match):
            shrink("zoo:digits", **{"scenario": TIGHT, **options})
    with pytest.raises(UsageError, match="no examples to shrink by"):
        shrink("zoo:resnet8", output=out, scenario=TIGHT)
    with pytest.raises(UsageError, match="format is not known") as told:
        require_format(Path("front.xls"))
    assert ".csv" in told.value.hint
    assert callable(render)
