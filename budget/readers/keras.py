"""Reads Keras models without TensorFlow or Keras: .keras, whole-model .h5, configuration JSON.

The configuration is parsed against a list of known layers; nothing that a file holds is executed.
The graph's dialect is ``keras``: one node for each call of a layer, its whole configuration as
attributes, its weights as constants behind the operands in the order in which Keras stores them.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from budget.errors import CorruptModelError, ModelError, UnsupportedModelError, UsageError
from budget.formats.keras_config import (
    Call,
    LayerEntry,
    ModelEntry,
    TensorReference,
    parse_config,
    tensor_references,
)
from budget.formats.keras_settings import Settings
from budget.graph import ABSENT, DType, Graph, GraphBuilder, ModelSource, TensorType
from budget.readers.keras_checks import check_supported
from budget.readers.keras_composites import rule_of
from budget.readers.keras_files import open_keras
from budget.readers.keras_layers import IDENTITIES
from budget.readers.keras_operations import OPERATIONS, with_key
from budget.readers.keras_rules import LayerRule, Shape, Weight
from budget.readers.keras_weights import (
    absent_weights,
    archive_weights,
    legacy_weights,
    quantization_notes,
)

MAX_CALLS = 2_000
MAX_CALLS_EACH = 32
"""A model that is called many times stands for many layers; but not for these and for so many
for each layer and call in the file, as doubling at each depth would soon outgrow any memory."""
MAX_ELEMENTS = 1 << 40
_KEEPS_TYPE = IDENTITIES | set(
    (
        "Flatten", "Reshape", "Permute", "RepeatVector", "ZeroPadding1D", "ZeroPadding2D",
        "Cropping1D", "Cropping2D", "Concatenate", "ops.Reshape", "ops.Transpose",
        "ops.Concatenate", "ops.ExpandDims", "ops.Squeeze", "ops.Identity",
    )
)  # fmt: skip


def read_keras(path: str | Path, input_shapes: Mapping[str, Sequence[int]] | None = None) -> Graph:
    """The model in a file, as a graph of Keras layers.

    Args:
        path: a .keras archive, an HDF5 file of Keras 2 or 3, or a configuration as JSON.
        input_shapes: complete shapes, batch first, by name of the input layer; an unknown batch
            is 1 where nothing is said.

    Raises:
        CorruptModelError: the file is broken.
        UnsupportedModelError: it holds layers that are not on the list; all are named.
        ModelError: a dimension beside the batch is unknown and not given.
        UsageError: ``input_shapes`` names no input of the model.
        MissingToolError: h5py is not installed.
    """
    path = Path(path)
    file = open_keras(path)
    model = parse_config(file.config, path.name)
    check_supported(model, path.name)
    reader = _Reader(path.name, model, dict(input_shapes or {}))
    reader.read(model)
    if file.weights is None:
        reader.notes.append("weights absent: all are start values")
        found = absent_weights(reader.wanted)
    elif file.format == "keras":
        found = archive_weights(model, reader.wanted, file.weights)
    else:
        found = legacy_weights(model, reader.wanted, file.weights)
    for layer, names in reader.constants.items():
        for name, data in zip(names, found.get(layer, ())):
            reader.builder.constant(name, data)
    notes = tuple(dict.fromkeys((*reader.notes, *quantization_notes(model))))
    return reader.builder.build(
        ModelSource(path.name, file.format, file.sha256, notes),
        {"keras_version": file.keras_version},
    )


class _Reader:
    """Walks a model, its inner models too, and writes down nodes and the weights they want."""

    def __init__(self, where: str, model: ModelEntry, input_shapes: dict[str, Sequence[int]]):
        self.where = where
        self.builder = GraphBuilder(model.name, "keras")
        self.input_shapes = input_shapes
        self.notes: list[str] = []
        self.wanted: dict[LayerEntry, list[Weight]] = {}
        self.constants: dict[LayerEntry, list[str]] = {}
        stored = sum(1 + len(layer.calls) for _, layer in model.walk())
        self.calls, self.most_calls = 0, MAX_CALLS + MAX_CALLS_EACH * stored

    def read(self, model: ModelEntry) -> None:
        """Declares inputs, walks the layers, declares outputs."""
        if model.class_name == "Sequential":
            inputs = [self._sequential_input(model)]
        else:
            layers = {layer.name: layer for layer in model.layers}
            inputs = [
                self._input(
                    reference.layer,
                    _recorded_shape(layers[reference.layer].config),
                    layers[reference.layer].config.get("dtype"),
                )
                for reference in model.inputs
            ]
        known = {*self.builder.inputs, *([""] if len(self.builder.inputs) == 1 else ())}
        unknown = sorted(set(self.input_shapes) - known)
        if unknown:
            raise UsageError(
                f"the model has no input {', '.join(unknown)}",
                where=self.where,
                hint=f"its inputs are {', '.join(self.builder.inputs)}",
            )
        self.builder.output(*self._model(model, inputs, ""))

    def _sequential_input(self, model: ModelEntry) -> str:
        if not model.layers:
            raise CorruptModelError("the model has no layers", where=self.where)
        first = model.layers[0]
        shape = _recorded_shape(first.config)
        if first.class_name == "InputLayer":
            return self._input(first.name, shape, first.config.get("dtype"))
        if shape is None and first.model is not None and first.model.class_name == "Sequential":
            shape = _recorded_shape(first.model.layers[0].config) if first.model.layers else None
        shape = shape or model.build_shape or first.build_shape
        return self._input(
            f"{first.name}_input", shape, "int32" * (first.class_name == "Embedding")
        )

    def _input(self, name: str, shape: Any, dtype: Any) -> str:
        given = self.input_shapes.get(name, self.input_shapes.get(""))
        if given is not None:
            shape = list(given)
        if shape is None:
            raise ModelError(
                f"the file does not say the shape of input {name!r}",
                where=self.where,
                hint=f"give it, batch first: --input-shape {name}=1,…",
            )
        if not isinstance(shape, list | tuple) or not all(
            n is None or (type(n) is int and n > 0) for n in shape
        ):
            raise CorruptModelError(f"input {name!r} has shape {shape!r}", where=self.where)
        shape = list(shape)
        if shape and shape[0] is None:
            shape[0] = 1
            self.notes.append(f"batch of input {name!r} is set to 1")
        if None in shape:
            raise ModelError(
                f"input {name!r} has shape {shape} with unknown dimensions",
                where=self.where,
                hint=f"give it, batch first: --input-shape {name}=1,…",
            )
        if isinstance(dtype, dict):
            dtype = "float32"
        try:
            kind = DType(dtype or "float32")
        except ValueError:
            raise CorruptModelError(
                f"input {name!r} has type {dtype!r}", where=self.where
            ) from None
        if kind.is_float and kind is not DType.FLOAT32:
            self.notes.append(f"input {name!r} is taken as float32 instead of {kind.value}")
            kind = DType.FLOAT32
        return self.builder.input(name, self._type(tuple(shape), kind, name))

    def _model(self, model: ModelEntry, inputs: Sequence[str], prefix: str) -> list[str]:
        if model.class_name == "Sequential":
            if len(inputs) != 1:
                raise CorruptModelError(f"{model.name!r} takes one input", where=self.where)
            current = list(inputs)
            for layer in model.layers:
                if layer.class_name != "InputLayer":
                    current = self._apply(layer, Call((list(current),), {}), current, prefix)
                    current = current[:1] if layer.model is None else current
            return current
        if len(inputs) != len(model.inputs):
            raise CorruptModelError(
                f"{model.name!r} takes {len(model.inputs)} inputs, not {len(inputs)}",
                where=self.where,
            )
        values: dict[tuple[str, int], list[str]] = {}
        for reference, name in zip(model.inputs, inputs):
            values[reference.layer, 0] = [name]
        self._run(model, values, prefix)
        return [self._value(values, reference) for reference in model.outputs]

    def _run(
        self, model: ModelEntry, values: dict[tuple[str, int], list[str]], prefix: str
    ) -> None:
        """Applies every call once its operands are there, in file order where that is free."""
        calls = [(layer, call) for layer in model.layers for call in enumerate(layer.calls)]
        waiting: dict[tuple[str, int], list[int]] = {}
        missing: list[int] = []
        ready: list[int] = []
        for index, (_, (_, call)) in enumerate(calls):
            keys = {
                (r.layer, r.call) for r in tensor_references([list(call.args), dict(call.kwargs)])
            }
            absent = [key for key in keys if key not in values]
            missing.append(len(absent))
            for key in absent:
                waiting.setdefault(key, []).append(index)
            if not absent:
                ready.append(index)
        done = 0
        heapq.heapify(ready)
        while ready:
            layer, (number, call) = calls[heapq.heappop(ready)]
            done += 1
            references = list(tensor_references([list(call.args), dict(call.kwargs)]))
            names = [self._value(values, reference) for reference in references]
            values[layer.name, number] = self._apply(layer, call, names, prefix)
            for index in waiting.get((layer.name, number), ()):
                missing[index] -= 1
                if not missing[index]:
                    heapq.heappush(ready, index)
        if done != len(calls):
            raise CorruptModelError(
                f"layers of {model.name!r} depend on each other in a circle", where=self.where
            )

    def _value(
        self, values: Mapping[tuple[str, int], list[str]], reference: TensorReference
    ) -> str:
        outputs = values.get((reference.layer, reference.call), [])
        if reference.output >= len(outputs):
            raise CorruptModelError(
                f"layer {reference.layer!r} has no output {reference.output} of call "
                f"{reference.call}",
                where=self.where,
            )
        return outputs[reference.output]

    def _apply(
        self, layer: LayerEntry, call: Call, tensors: Sequence[str], prefix: str
    ) -> list[str]:
        """Nodes for one call; ``tensors`` are its operands that are computed, in order."""
        self.calls += 1
        if self.calls > self.most_calls:
            raise CorruptModelError(
                f"models inside it are called so often that it has more than "
                f"{self.most_calls:,} layers",
                where=self.where,
            )
        path = prefix + layer.name
        if layer.model is not None:
            return self._model(layer.model, tensors, path + "/")
        where = f"{self.where}: layer {path!r} ({layer.class_name})"
        if layer.class_name == "ops.GetItem":
            layer, call = with_key(layer, call)
        settings = Settings(layer.config, where)
        operation = OPERATIONS.get(layer.class_name)
        if operation is not None:
            operands = self._operands(call, list(tensors), path, settings)
            if operation.operands not in (None, len(operands)) or not operands:
                raise UnsupportedModelError(f"it is given {len(operands)} operands", where=where)
            shapes = [self.builder.tensors[name].type.shape for name in operands]
            return self._node(layer, path, operands, [operation.shape(settings, shapes)], settings)
        rule = rule_of(layer.class_name, layer.config)
        if rule is None:
            raise UnsupportedModelError("an input layer inside the model", where=where)
        _check_keywords(layer, call, where)
        shapes = [self.builder.tensors[name].type.shape for name in tensors]
        _check_operands(rule, shapes, settings)
        if layer not in self.wanted:
            self._want(layer, path, rule.weights(settings, shapes))
        elif self.wanted[layer] != rule.weights(settings, shapes):
            raise settings.bad("it is called with inputs that do not fit the same weights")
        present = iter(self.constants[layer])
        weights = [next(present) if w.is_present else ABSENT for w in self.wanted[layer]]
        outputs = rule.shapes(settings, shapes)
        return self._node(layer, path, [*tensors, *weights], outputs, settings)

    def _want(self, layer: LayerEntry, path: str, weights: list[Weight]) -> None:
        self.wanted[layer] = weights
        self.constants[layer] = [
            self.builder.tensor(
                self.builder.unique_name(f"{path}/{weight.name}"),
                self._type(weight.shape, DType.FLOAT32, path),
            )
            for weight in weights
            if weight.is_present
        ]

    def _operands(self, call: Call, tensors: list[str], path: str, settings: Settings) -> list[str]:
        """Tensors and numbers that a function is called with; numbers become constants."""
        operands = []
        values = [*call.args, *(v for v in call.kwargs.values() if v is not None)]
        if len(values) == 1 and isinstance(values[0], list):
            values = values[0]
        for value in values:
            if isinstance(value, TensorReference):
                operands.append(tensors.pop(0))
            elif type(value) in (int, float):
                name = self.builder.unique_name(f"{path}/operand")
                operands.append(self.builder.constant(name, np.float32(value)))
            else:
                raise UnsupportedModelError(
                    f"it is called with {str(value)[:60]}", where=settings.where
                )
        return operands

    def _node(
        self,
        layer: LayerEntry,
        path: str,
        inputs: Sequence[str],
        shapes: Sequence[Shape],
        settings: Settings,
    ) -> list[str]:
        kind = DType.FLOAT32
        if layer.class_name in _KEEPS_TYPE:
            kind = self.builder.tensors[inputs[0]].type.dtype
        outputs = [
            self.builder.tensor(
                self.builder.unique_name(path), self._type(shape, kind, settings.where)
            )
            for shape in shapes
        ]
        attributes = MappingProxyType(dict(layer.config))
        self.builder.node(f"keras.{layer.class_name}", inputs, outputs, attributes, origin=(path,))
        return outputs

    def _type(self, shape: Shape, kind: DType, where: str) -> TensorType:
        type = TensorType(shape, kind)
        if any(n < 1 for n in shape) or type.element_count > MAX_ELEMENTS:
            raise ModelError(f"a tensor would have shape {shape}", where=where)
        return type


def _recorded_shape(config: Mapping[str, Any]) -> Any:
    return config.get("batch_shape") or config.get("batch_input_shape")


def _check_operands(rule: LayerRule, shapes: Sequence[Shape], settings: Settings) -> None:
    if not rule.operands[0] <= len(shapes) <= rule.operands[1]:
        raise settings.bad(f"it is given {len(shapes)} inputs")
    # states, which recurrent layers may be given, have a rank of their own
    if rule.rank is not None and len(shapes[0]) != rule.rank:
        raise settings.bad(f"its input has shape {shapes[0]}, not {rule.rank} dimensions")


def _check_keywords(layer: LayerEntry, call: Call, where: str) -> None:
    """Only operands may be named; masks and the like are refused."""
    operands = {"inputs", "x", "query", "value", "key", "initial_state", "sequence"}
    odd = [
        key
        for key, value in call.kwargs.items()
        if value not in (None, False) and key not in operands and key != "training"
    ]
    odd += ["arguments"] * any(
        not isinstance(arg, TensorReference | str)
        for value in (*call.args, *(call.kwargs.get(key) for key in operands))
        for arg in (value if isinstance(value, list) else [value])
        if arg is not None and arg is not False
    )
    if odd:
        raise UnsupportedModelError(f"it is called with {', '.join(odd)}", where=where)
