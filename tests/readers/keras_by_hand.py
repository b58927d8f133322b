"""Keras files written by hand, byte by byte as Keras would, for tests that need no Keras."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from budget.errors import BudgetError, CorruptModelError
from budget.readers.keras import read_keras


def layer(class_name: str, name: str, **config: Any) -> dict[str, Any]:
    return {
        "module": "keras.layers",
        "class_name": class_name,
        "config": {"name": name, "trainable": True, "dtype": "float32", **config},
        "registered_name": None,
        "name": name,
    }


def source(shape: list[int | None], name: str = "x", **config: Any) -> dict[str, Any]:
    return layer("InputLayer", name, batch_shape=[None, *shape], **config)


def sequential(*layers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "model", "layers": list(layers)},
        "registered_name": None,
        **more,
    }


def dense(name: str = "dense", units: int = 2, **config: Any) -> dict[str, Any]:
    return layer("Dense", name, **{"units": units, "activation": "linear", **config})


def tensor(name: str, call: int = 0, output: int = 0) -> dict[str, Any]:
    return {
        "class_name": "__keras_tensor__",
        "config": {"shape": [], "keras_history": [name, call, output]},
    }


def calls(entry: dict[str, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    node = {"args": list(args), "kwargs": kwargs}
    return {**entry, "inbound_nodes": [*entry.get("inbound_nodes", []), node]}


def functional(layers: list[dict[str, Any]], inputs: Any, outputs: Any) -> dict[str, Any]:
    config = {"name": "f", "layers": layers, "input_layers": inputs, "output_layers": outputs}
    return {"class_name": "Functional", "config": config, "registered_name": "Functional"}


def write_json(path: Path, config: Any) -> Path:
    path.write_text(json.dumps(config))
    return path


def weights_file(arrays: dict[str, Any], change: Callable[[Any], None] | None = None) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, data in arrays.items():
            file[name] = data
        if change is not None:
            change(file)
    return buffer.getvalue()


DENSE = {
    "layers/dense/vars/0": np.arange(6, dtype=np.float32).reshape(3, 2),
    "layers/dense/vars/1": np.ones(2, np.float32),
}
CONFIG = sequential(source([3]), dense())


def write_keras(
    path: Path,
    config: Any = CONFIG,
    arrays: dict[str, Any] | None = None,
    change: Callable[[Any], None] | None = None,
    weights: bytes | None = None,
    **options: Any,
) -> Path:
    data = weights_file(DENSE if arrays is None else arrays, change) if weights is None else weights
    with zipfile.ZipFile(path, "w", **options) as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        text = config if isinstance(config, str | bytes) else json.dumps(config)
        archive.writestr("config.json", text)
        archive.writestr("model.weights.h5", data)
    return path


def write_h5(path: Path, config: Any = CONFIG, change: Callable[[Any], None] | None = None) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.4.0"
        file.attrs["model_config"] = config if isinstance(config, str) else json.dumps(config)
        group = file.create_group("model_weights/dense")
        group.attrs["weight_names"] = [b"dense/kernel:0", b"dense/bias:0"]
        group["dense/kernel:0"] = DENSE["layers/dense/vars/0"]
        group["dense/bias:0"] = DENSE["layers/dense/vars/1"]
        if change is not None:
            change(file)
    return path


def refuse(path: Path, *words: str, kind: type[BudgetError] = CorruptModelError) -> str:
    with pytest.raises(BudgetError) as caught:
        read_keras(path)
    assert type(caught.value) is kind, repr(caught.value)
    text = f"{caught.value} {caught.value.hint}"
    for word in words:
        assert word in text
    return text
