"""The same models in five forms: are their counts the same, and what did each form lose?

    nice python tests/benchmarks/forms.py                     # all models; continues where it was
    nice python tests/benchmarks/forms.py --only lstm gru     # some of them
    nice python tests/benchmarks/forms.py --again             # forgets what is known
    nice python tests/benchmarks/forms.py --table             # prints what is known, runs nothing

Every model is made in Keras with random weights and written as `.keras`, `.h5`, SavedModel, frozen
graph and `.tflite`. MACs and parameters of what is deployed (numbers in flash, equal constants
counted once) must be equal in all five; outputs of
small models (below 40 million MACs) are compared with Keras's own. Each model has a process of its
own, and its result is kept in `--cache`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FORMS = (".keras", ".h5", "SavedModel", "frozen graph", ".tflite")
MAX_RUN_MACS = 40_000_000
RELATIVE_TOLERANCE = 1e-4
TIME_LIMIT_S = 1800


def measure(family: str, name: str) -> dict[str, Any]:
    """Makes one model, writes and reads its five forms."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    import warnings

    warnings.simplefilter("ignore")
    import numpy as np
    from form_models import models

    random = np.random.default_rng(1)
    start_s = time.process_time()
    model = models()[family][name]()
    for weight in model.weights:
        if "seed" not in weight.path:
            spread = 1 / np.sqrt(max(np.prod(weight.shape[:-1]), 1))
            values = random.normal(0, spread, weight.shape)
            weight.assign(np.abs(values) + 0.5 if "variance" in weight.path else values)
    x = [random.normal(size=(1, *item.shape[1:])).astype(np.float32) for item in model.inputs]
    expected = [np.asarray(y) for y in _listed(model(x if len(x) > 1 else x[0], training=False))]
    with tempfile.TemporaryDirectory() as folder:
        found = {
            form: _read(path, x, expected) for form, path in _write(model, Path(folder)).items()
        }
    return {"family": family, "name": name, "forms": found,
            "time_s": round(time.process_time() - start_s, 1)}  # fmt: skip


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _write(model: Any, folder: Path) -> dict[str, Path | str]:
    """The five forms; a text says why one could not be written."""
    import tensorflow as tf
    from tensorflow.lite.python.convert_phase import ConverterError
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    paths: dict[str, Path | str] = {
        ".keras": folder / "m.keras",
        ".h5": folder / "m.h5",
        "SavedModel": folder / "saved",
        "frozen graph": folder / "m.pb",
        ".tflite": folder / "m.tflite",
    }
    model.save(paths[".keras"])
    model.save(paths[".h5"])
    model.export(paths["SavedModel"], verbose=False)
    signature = [tf.TensorSpec((1, *x.shape[1:]), tf.float32, x.name) for x in model.inputs]

    @tf.function
    def call(*x: Any) -> Any:
        return model(list(x) if len(x) > 1 else x[0], training=False)

    function = call.get_concrete_function(*signature)
    frozen = convert_variables_to_constants_v2(function, lower_control_flow=False)
    assert isinstance(paths["frozen graph"], Path) and isinstance(paths[".tflite"], Path)
    paths["frozen graph"].write_bytes(frozen.graph.as_graph_def().SerializeToString())
    try:
        converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
        paths[".tflite"].write_bytes(converter.convert())
    except ConverterError as error:
        paths[".tflite"] = f"TensorFlow cannot convert it: {str(error)[:80]}"
    return paths


def _read(path: Path | str, x: list[Any], expected: list[Any]) -> dict[str, Any]:
    """Counts of one form, and how far its outputs are from Keras's."""
    from budget.analysis.costs import total_cost
    from budget.errors import BudgetError
    from budget.readers import load
    from budget.transforms.lower import lower

    if isinstance(path, str):
        return {"error": path}
    try:
        graph = lower(load(path))
        parameters = _distinct_elements(graph)
        macs = total_cost(graph).macs
    except BudgetError as error:
        return {"error": error.what}
    found: dict[str, Any] = {"macs": macs, "parameters": parameters, "operators": len(graph.nodes)}
    if macs <= MAX_RUN_MACS:
        try:
            found["error_ratio"] = _difference(graph, x, expected)
        except BudgetError as error:
            found["error"] = f"cannot be run: {error.what}"
    return found


def _distinct_elements(graph: Any) -> int:
    """Elements of all constants that are read; those with the same contents count once.

    That is how they lie in flash, and files differ in how often they hold, say, a 6.
    """
    read = {name for node in graph.nodes for name in node.present_inputs}
    constants = [graph.tensors[name].data for name in read if graph.tensors[name].is_constant]
    found = {(data.dtype.str, data.tobytes()): data.size for data in constants}
    return sum(found.values())


def _difference(graph: Any, x: list[Any], expected: list[Any]) -> float:
    """Largest difference of an output from Keras's, over the largest output; inf if none fits.

    Forms sort their inputs and outputs in ways of their own; shapes tell them apart.
    """
    import numpy as np

    from budget.ops.interpreter import run

    left = list(x)
    given = {}
    for name in graph.inputs:
        shape = graph.type_of(name).shape
        index = _same(name, shape, [item.shape for item in left])
        given[name] = left.pop(index).reshape(shape)
    results = list(run(graph, given).values())
    worst = 0.0
    for value in expected:
        scale = float(np.abs(value).max()) or 1.0
        distances = [
            float(np.abs(result.reshape(value.shape) - value).max()) / scale
            for result in results
            if result.size == value.size
        ]
        worst = max(worst, min(distances, default=float("inf")))
    return worst


def _same(name: str, shape: tuple[int, ...], shapes: list[tuple[int, ...]]) -> int:
    """Which of several arrays an input takes; equal ones keep the number in their name."""
    fitting = [index for index, other in enumerate(shapes) if other == shape]
    digits = re.findall(r"state_(\d)", name)
    if digits and len(fitting) > int(digits[0]):
        return fitting[int(digits[0])]
    return fitting[0]


def lost(result: dict[str, Any]) -> dict[str, str]:
    """By form, how it differs from the `.keras` file; empty where it does not."""
    forms = result.get("forms", {})
    base = forms.get(".keras", {})
    found = {}
    for form in FORMS:
        here = forms.get(form, {"error": result.get("error", "not done")})
        if "macs" not in here:
            found[form] = here["error"]
            continue
        said = [
            f"{here[key] - base[key]:+d} {what}"
            for key, what in (("macs", "MAC"), ("parameters", "parameters"))
            if key in base and here[key] != base[key]
        ]
        if here.get("error_ratio", 0.0) > RELATIVE_TOLERANCE:
            said.append(f"outputs differ by {here['error_ratio']:.1e}")
        if "error" in here:
            said.append(here["error"])
        found[form] = ", ".join(said)
    return found


def render(results: list[dict[str, Any]]) -> str:
    """The table, and a line of totals."""
    lines = [
        "| model | MACs | parameters | " + " | ".join(FORMS) + " | largest output error |",
        "|---|---:|---:|" + "---|" * len(FORMS) + "---|",
    ]
    passed = 0
    for result in results:
        base = next((form for form in result.get("forms", {}).values() if "macs" in form), {})
        said = lost(result)
        passed += not any(said.values())
        cells = [_shown(said[form]) for form in FORMS]
        ratios = [form.get("error_ratio") for form in result.get("forms", {}).values()]
        known = [ratio for ratio in ratios if ratio is not None]
        error = f"{max(known):.0e}" if known else "not run"
        counts = [f"{base.get(key, 0):,}" for key in ("macs", "parameters")]
        lines.append(f"| {' | '.join([result['name'], *counts, *cells, error])} |")
    total = f"{passed} of {len(results)} models have the same counts in all five forms."
    return "\n".join([*lines, "", total]) + "\n"


def _shown(text: str) -> str:
    return "=" if not text else text.replace("|", "/").replace("\n", " ")[:160]


def _path(cache: Path, name: str) -> Path:
    return cache / f"{re.sub('[^A-Za-z0-9.]+', '-', name)}.json"


def result_of(cache: Path, family: str, name: str, *, again: bool = False) -> dict[str, Any]:
    """The kept result of a model, or a new one from a process of its own."""
    path = _path(cache, name)
    if path.exists() and not again:
        kept: dict[str, Any] = json.loads(path.read_text())
        return kept
    command = [sys.executable, __file__, "--one", family, name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT_S)
        output = done.stdout.strip().rpartition("\n")[2]
        if done.returncode:
            return {"family": family, "name": name, "error": done.stderr.strip()[-160:]}
        result = json.loads(output)
    except subprocess.TimeoutExpired:
        result = {"error": f"took more than {TIME_LIMIT_S} s"}
    result = {"family": family, "name": name, **result}
    cache.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    return result


def main() -> int:
    """Runs what is asked for; exit status 1 if a form lost anything."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "forms")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--one", nargs=2, metavar=("FAMILY", "NAME"))
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(*options.one)))
        return 0
    from form_models import models

    results = []
    for family, builders in models().items():
        for name in builders:
            if options.only and name not in options.only:
                continue
            if options.table and not _path(options.cache, name).exists():
                continue
            result = result_of(options.cache, family, name, again=options.again)
            results.append(result)
            if not options.table:
                said = {form: text for form, text in lost(result).items() if text}
                print(f"{name}: {said or 'equal'}", file=sys.stderr, flush=True)
    print(render(results), end="")
    return int(any(any(lost(result).values()) for result in results))


if __name__ == "__main__":
    raise SystemExit(main())
