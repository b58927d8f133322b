"""How much smaller round_weights makes Inception V3 in a zip archive, and what outputs say to it.

    python tests/benchmarks/round_weights.py [STEPS]

Trained weights have heavy tails, on which the gain depends: uniform ones would give less, as they
fill all buckets alike. So the weights here are drawn from Student's t with 4 degrees of freedom,
seeded, in the scale that He et al. start from. The article that made round_weights known reports
87 MB becoming 24 MB for the trained network (Warden, "TensorFlow for Mobile Poets", 2016).
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SIZE = 96
"""Rows and columns of the input; no weight depends on them."""


def heavy_tailed(model: Any, seed: int = 0) -> Any:
    """Weights from Student's t with 4 degrees of freedom, statistics near those of a norm."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        shape = tuple(weight.shape)
        if weight.name == "moving_variance":
            values = rng.uniform(0.5, 1.5, shape)
        elif len(shape) < 2:
            values = rng.normal(size=shape) * 0.1 + (weight.name == "gamma")
        else:
            fan_in = int(np.prod(shape[:-1]))
            # the variance of t with 4 degrees of freedom is 2
            values = rng.standard_t(4, shape) / np.sqrt(fan_in)
        weight.assign(values.astype(np.float32))
    return model


def build(seed: int = 0) -> bytes:
    """Inception V3, frozen."""
    import tensorflow_models as models

    models.tensorflow()
    make = __import__("keras").applications.InceptionV3
    shape = (SIZE, SIZE, 3)
    model = models.quietly(
        lambda: heavy_tailed(make(weights=None, input_shape=shape, classes=1001), seed)
    )
    return models.freeze(lambda x: model(x, training=False), (1, *shape))


def main(steps: int) -> float:
    """Prints a row for each step; returns how many times smaller the archive became."""
    import budget

    rng = np.random.default_rng(1)
    examples = [rng.uniform(-1, 1, (1, SIZE, SIZE, 3)).astype(np.float32) for _ in range(4)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "inception_v3.pb"
        path.write_bytes(build())
        given = [{"x": x} for x in examples]
        result = budget.transform(
            path,
            "strip_unused_nodes fold_constants(ignore_errors=true) fold_batch_norms "
            f"fold_old_batch_norms round_weights(num_steps={steps})",
            examples=given,
            price=False,
        )
        before = budget.transform(path, "remove_device", compare=False, price=False)
    print(f"{'Inception V3, Student t(4)':<44}{'nodes':>7}{'weights':>12}{'zip':>12}{'change':>10}")
    print(_row("as frozen", result.before, None))
    for step in result.steps:
        print(_row(step.text, step.price, step.change))
    after = result.steps[-1].price.compressed_bytes or 0
    ratio = (result.before.compressed_bytes or 0) / after
    ours, theirs = (
        [int(np.argmax(_output(item.graph, x))) for x in examples] for item in (before, result)
    )
    agreed = sum(a == b for a, b in zip(ours, theirs, strict=True))
    print(f"the archive is {ratio:.2f} times smaller; "
          f"{agreed} of {len(examples)} inputs keep their best class")  # fmt: skip
    return ratio


def _output(graph: Any, x: Any) -> Any:
    import budget

    return next(iter(budget.run(graph, x).results[0].outputs.values()))


def _row(name: str, price: Any, change: Any) -> str:
    moved = "" if change is None else "-" if change.relative is None else f"{change.relative:.1e}"
    zipped = (price.compressed_bytes or 0) / 1e6
    sizes = f"{price.weight_bytes / 1e6:>9.1f} MB{zipped:>9.1f} MB"
    return f"{name:<44}{price.node_count:>7,}{sizes}{moved:>10}"


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 256) < 3)
