"""Our quantiser against TensorFlow's converter with its defaults, on the same examples.

    python tests/benchmarks/quantization.py [MODEL …] [--calibrate 100] [--json FILE]

Both get the same representative data and make int8 files, which LiteRT's reference kernels run on
the same held-out inputs. Where a model has no data set here, its outputs are compared with those of
the float model on pictures (two that scikit-learn ships, cut and scaled at random) or on the
features of zoo:hotword; such rows say so, and mean nothing about the model's task.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from trained_models import NAMES, trained

from budget.api.models import load, lower
from budget.graph import DType, Graph, QuantParams
from budget.shrinking.stored import real_values, stored_values
from budget.shrinking.way import Calibration, find
from budget.writers.tflite import write_tflite

REAL = Path(os.environ.get("BUDGET_MODELS", Path(__file__).resolve().parents[3] / "shared/models"))


@dataclass
class Task:
    """A float model with inputs.

    Attributes:
        name: in the table.
        path: of the Keras file or SavedModel.
        graph: lowered.
        training: to calibrate with.
        held_out: to judge by.
        labels: of the held-out inputs; None: agreement with the float model is judged.
        inputs: what they are, where they are not the model's own.
    """

    name: str
    path: Path
    graph: Graph
    training: np.ndarray
    held_out: np.ndarray
    labels: np.ndarray | None
    inputs: str = ""


def tasks() -> dict[str, Any]:
    """Functions that make each task."""

    def own(name: str) -> Any:
        def make() -> Task:
            t = trained(name)
            return Task(name, t.path, t.graph, t.training, t.held_out, t.labels)

        return make

    found = {name: own(name) for name in (*NAMES, "hotword-large")}
    if REAL.is_dir():
        found["mlperf kws"] = _kws
        found["mlperf vww"] = lambda: _pictures("mlperf vww", REAL / "vww.h5", 96, 1 / 255, 250)
        found["mlperf ic"] = lambda: _pictures("mlperf ic", REAL / "ic.h5", 32, 1.0, 1200)
    return found


def _kws() -> Task:
    data = trained("hotword")
    spread = 20.0  # the model's own features are larger than ours
    x, y = data.training * spread, data.held_out * spread
    path = REAL / "kws_saved_model"
    graph = lower(load(path))
    return Task("mlperf kws", path, graph, x, y, None, "features of zoo:hotword")


def _pictures(name: str, path: Path, size: int, scale: float, judged: int) -> Task:
    from sklearn.datasets import load_sample_images

    random = np.random.default_rng(0)
    images = load_sample_images().images
    cuts = []
    for index in range(150 + judged):
        image = images[index % 2]
        step = int(random.integers(1, min(image.shape[:2]) // size + 1))
        top, left = (
            int(random.integers(0, extent - step * size + 1)) for extent in image.shape[:2]
        )
        cut = image[top : top + step * size : step, left : left + step * size : step]
        cuts.append(cut[:, :: -1 if random.integers(2) else 1].astype(np.float32) * scale)
    x = np.stack(cuts)
    return Task(name, path, lower(load(path)), x[:150], x[150:], None, "cuts of two pictures")


def tensorflow_int8(task: Task, calibration: np.ndarray) -> bytes:
    """The converter with its defaults: full integer, int8 in and out."""
    import tensorflow as tf

    if task.path.is_dir():
        converter = tf.lite.TFLiteConverter.from_concrete_functions([_frozen(task.path)])
    else:
        import keras

        class Depthwise(keras.layers.DepthwiseConv2D):
            """Files of Keras 2 say groups=1, which Keras 3 refuses."""

            def __init__(self, *arguments: Any, groups: int = 1, **options: Any) -> None:
                super().__init__(*arguments, **options)

        old = {"DepthwiseConv2D": Depthwise}
        model = keras.models.load_model(task.path, compile=False, custom_objects=old)
        single = keras.Input(batch_shape=(1, *model.input_shape[1:]), name="input")
        converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(single, model(single)))
    (name,) = task.graph.inputs
    shape = task.graph.type_of(name).shape

    def examples() -> Iterator[list[np.ndarray]]:
        for example in calibration:
            yield [example.reshape(shape).astype(np.float32)]

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = examples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    with redirect_stdout(StringIO()):  # it lists the variables
        return bytes(converter.convert())


def _frozen(path: Path) -> Any:
    """A SavedModel that TensorFlow 2 does not load, through a session of TensorFlow 1."""
    import tensorflow as tf

    old = tf.compat.v1
    with old.Session(graph=tf.Graph()) as session:
        signature = old.saved_model.load(session, ["serve"], str(path)).signature_def
        (into,) = signature["serving_default"].inputs.values()
        (out,) = signature["serving_default"].outputs.values()
        name = out.name.partition(":")[0]
        definition = old.graph_util.convert_variables_to_constants(
            session, session.graph.as_graph_def(), [name]
        )
    whole = old.wrap_function(lambda: tf.import_graph_def(definition, name=""), [])
    return whole.prune(into.name, out.name)


def answers(content: bytes, inputs: np.ndarray) -> np.ndarray:
    """Real outputs of a file by LiteRT's reference kernels."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    made = Interpreter(
        model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    made.allocate_tensors()
    into, out = made.get_input_details()[0], made.get_output_details()[0]
    found = []
    for x in inputs:
        value = x.reshape(into["shape"]).astype(np.float32)
        if into["dtype"] == np.int8:
            value = stored_values(value, _quant(into), DType.INT8)
        made.set_tensor(into["index"], value)
        made.invoke()
        y = made.get_tensor(out["index"])
        found.append((real_values(y, _quant(out)) if y.dtype == np.int8 else y).reshape(-1))
    return np.stack(found)


def _quant(detail: Any) -> QuantParams:
    return QuantParams.per_tensor(*detail["quantization"])


@dataclass
class Row:
    """One line of the table; accuracies and agreements in percent, noise in dB."""

    model: str
    float_accuracy: float | None
    tensorflow: float
    ours: float
    tensorflow_agreement: float
    our_agreement: float
    tensorflow_db: float
    our_db: float
    inputs: str
    note: str
    seconds: float


def compare(task: Task, count: int) -> Row:
    """Both quantisers on one task."""
    start = time.perf_counter()
    order = np.random.default_rng(0).permutation(len(task.training))[:count]
    calibration = task.training[order]
    (name,) = task.graph.inputs
    shape = task.graph.type_of(name).shape
    samples = [{name: x.reshape(shape).astype(np.float32)} for x in calibration]
    shrunk = find("int8").apply(task.graph, Calibration(samples))
    reference = answers(write_tflite(task.graph), task.held_out)
    ours = answers(write_tflite(shrunk.graph), task.held_out)
    theirs = answers(tensorflow_int8(task, calibration), task.held_out)
    agree = [100 * float((y.argmax(1) == reference.argmax(1)).mean()) for y in (theirs, ours)]
    spread = float(np.square(reference - reference.mean(0)).sum())
    noise = [-10 * np.log10(np.square(y - reference).sum() / spread) for y in (theirs, ours)]
    scores, exact = agree, None
    if task.labels is not None:
        exact, *scores = (
            100 * float((y.argmax(1) == task.labels).mean()) for y in (reference, theirs, ours)
        )
    elif "autoencoder" in task.name:
        # what it is for: how well it gives back its input
        flat = task.held_out.reshape(len(task.held_out), -1)
        exact, *scores = (
            100 * (1 - float(np.square(y - flat).mean() / flat.var()))
            for y in (reference, theirs, ours)
        )
    seconds = time.perf_counter() - start
    return Row(
        task.name, exact, *scores, *agree, *map(float, noise), task.inputs, shrunk.note, seconds
    )


def main() -> None:
    """Prints the table."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--calibrate", type=int, default=100)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    known = tasks()
    rows = []
    print(f"{'model':14} {'float':>6} {'TF':>6} {'ours':>6}  {'agree TF/ours':>13}  "
          f"{'SNR dB TF/ours':>14}  s    judged on; how ours was made")  # fmt: skip
    for name in options.models or known:
        row = compare(known[name](), options.calibrate)
        rows.append(row)
        exact = "" if row.float_accuracy is None else f"{row.float_accuracy:6.2f}"
        agreement = f"{row.tensorflow_agreement:.1f}/{row.our_agreement:.1f}"
        decibels = f"{row.tensorflow_db:.1f}/{row.our_db:.1f}"
        print(
            f"{name:14} {exact:>6} {row.tensorflow:6.2f} {row.ours:6.2f}  {agreement:>13}  "
            f"{decibels:>14} {row.seconds:4.0f}  {row.inputs or 'held-out data'}; {row.note}",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main()
