"""Makes the stand-ins of MLPerf Tiny's four shapes: int8 files with random, calibrated weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from budget.zoo.training import cards, networks, quantize

_NETWORKS: dict[str, tuple[Callable[[], keras.Model], str]] = {
    "tiny-kws": (
        lambda: networks.ds_cnn(16, dropout=0.0),
        "depthwise-separable, rectangular kernel, average pooling (the shape of kws)",
    ),
    "tiny-vww": (
        lambda: networks.mobilenet(48, (8, 16, 24, 24, 32, 32, 48, 48)),
        "MobileNet V1 (the shape of vww), a third of its channels constant",
    ),
    "tiny-ic": (lambda: networks.resnet(16, 8), "residual additions (the shape of ic)"),
    "tiny-ad": (
        lambda: networks.autoencoder(160, 32, 4),
        "fully connected autoencoder (the shape of ad)",
    ),
}
_PLANTED = "tiny-vww"
_PLANTED_SHARE = 1 / 3


def make(folder: Path, *, seed: int = 7) -> None:
    """Writes the four models and their card."""
    rows = []
    for name, (build, what) in _NETWORKS.items():
        quantize.seed(seed)
        random = np.random.default_rng(seed)
        model = build()
        examples = random.standard_normal((256, *model.input_shape[1:])).astype(np.float32)
        dead = _randomise(model, random, _PLANTED_SHARE if name == _PLANTED else 0.0)
        for _ in range(40):
            model(examples, training=True)
        content = quantize.to_int8(model, examples[:100])
        (folder / f"{name}.tflite").write_bytes(content)
        rows.append(f"| `{name}` | {what} | {len(content):,} | {dead} |")
    table = "\n".join(rows)
    card = f"""\
# zoo:tiny-kws, tiny-vww, tiny-ic, tiny-ad

Small int8 models in the shapes of MLPerf Tiny's four benchmarks. Weights are random, batch norms
are calibrated on random inputs: the answers mean nothing, but ranges, scales and zero points look
like a trained network's. They serve tests and trials of tools.

| model | shape | bytes | planted constant channels |
|---|---|---|---|
{table}

In `{_PLANTED}` a third of the channels behind batch norms have a batch-norm scale of zero, as
training with weight decay leaves them: their folded weights are all zero and what they put out is
the bias, whatever comes in. Half of these biases are negative, so the activation makes them zero.

`python -m budget.zoo.training tiny` makes them again (seed {seed}). Made with
{cards.versions(with_speech=False)}.
"""
    (folder / "tiny.md").write_text(card, encoding="utf-8")


def _randomise(model: keras.Model, random: np.random.Generator, dead_share: float) -> int:
    """Gives batch norms uneven scales and offsets; returns how many channels it made constant."""
    dead_count = 0
    for layer in model.layers:
        if not isinstance(layer, keras.layers.BatchNormalization):
            continue
        channels = layer.gamma.shape[0]
        gamma = random.uniform(0.5, 1.5, channels)
        beta = random.normal(0.0, 0.5, channels)
        dead = random.permutation(channels)[: round(channels * dead_share)]
        gamma[dead] = 0.0
        beta[dead] = np.where(np.arange(len(dead)) % 2, -1, 1) * random.uniform(0.1, 1, len(dead))
        layer.gamma.assign(gamma)
        layer.beta.assign(beta)
        dead_count += len(dead)
    return dead_count
