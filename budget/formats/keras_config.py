"""The JSON by which Keras describes a model, brought to one form; nothing in it is executed.

Keras 2 and Keras 3, Sequential and Functional, with models inside models. References between
layers are resolved by name, call and output index.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from budget.errors import CorruptModelError, UnsupportedModelError

MAX_CONFIG_BYTES = 64 << 20
MAX_NESTED_MODELS = 32
_MODEL_CLASSES = {"Functional", "Model", "Sequential"}
_OPERATION_MODULES = ("keras.src.ops.", "keras.ops", "keras.src.layers.ops")


@dataclass(frozen=True, slots=True)
class TensorReference:
    """One output of one call of a layer.

    Attributes:
        layer: name of the layer.
        call: which of its calls in this model, from 0.
        output: which of the call's outputs.
    """

    layer: str
    call: int
    output: int


@dataclass(frozen=True, slots=True)
class Call:
    """One use of a layer in a functional model.

    Attributes:
        args: positional arguments; each a `TensorReference`, a plain value, or lists of them.
        kwargs: named arguments, likewise.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class LayerEntry:
    """A layer of a model.

    Attributes:
        class_name: such as ``Conv2D``; ``ops.Add`` for a function used as a layer.
        name: unique in its model.
        config: everything the file says about it.
        calls: where it is used; empty in a Sequential.
        model: the layers inside, if it is a model itself.
        build_shape: input shape recorded when it was built, if any.
        wrapper: class of a wrapper that trained the layer with simulated quantisation and is left
            out here; what it stored lies beside the layer's weights.
    """

    class_name: str
    name: str
    config: Mapping[str, Any]
    calls: tuple[Call, ...] = ()
    model: ModelEntry | None = None
    build_shape: Any = None
    wrapper: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class ModelEntry:
    """A Sequential or Functional model.

    Attributes:
        class_name: ``Sequential`` or ``Functional``.
        name: of the model.
        layers: in file order.
        inputs: outputs of input layers (Functional).
        outputs: what the model returns (Functional).
        build_shape: input shape of a Sequential without an input layer.
        is_trainable: False for a frozen model, whose weights h5 files order otherwise.
    """

    class_name: str
    name: str
    layers: tuple[LayerEntry, ...]
    inputs: tuple[TensorReference, ...] = ()
    outputs: tuple[TensorReference, ...] = ()
    build_shape: Any = None
    is_trainable: bool = True

    def walk(self, prefix: str = "") -> Iterator[tuple[str, LayerEntry]]:
        """Every layer with its path of names, models inside included, depth first."""
        for layer in self.layers:
            yield prefix + layer.name, layer
            if layer.model is not None:
                yield from layer.model.walk(f"{prefix}{layer.name}/")


def parse_config(text: bytes | str, where: str) -> ModelEntry:
    """The model that a configuration describes.

    Args:
        text: JSON, at most `MAX_CONFIG_BYTES` of it.
        where: the file, for messages.

    Raises:
        CorruptModelError: it is not JSON, or not what Keras writes.
        UnsupportedModelError: the model is a subclass, whose structure only its code knows.
    """
    if len(text) > MAX_CONFIG_BYTES:
        raise CorruptModelError(
            f"the configuration has {len(text):,} bytes, more than {MAX_CONFIG_BYTES:,}",
            where=where,
        )
    try:
        config = json.loads(text)
        return _model(config, where, 0)
    except RecursionError:
        raise CorruptModelError("the configuration is nested too deeply", where=where) from None
    except (ValueError, UnicodeDecodeError) as error:
        raise CorruptModelError(f"the configuration is not JSON: {error}", where=where) from None


def _model(config: Any, where: str, depth: int) -> ModelEntry:
    entry = _mapping(config, "a model", where)
    class_name = _text(entry, "class_name", where)
    if class_name not in _MODEL_CLASSES or entry.get("registered_name") not in _PLAIN_NAMES:
        shown = entry.get("registered_name") or class_name
        raise UnsupportedModelError(
            f"the model is of class {shown!r}; only its own code knows its structure",
            where=where,
            hint="export it as a SavedModel: model.export('folder')",
        )
    if depth > MAX_NESTED_MODELS:
        raise CorruptModelError(f"more than {MAX_NESTED_MODELS} models nested", where=where)
    inner = entry.get("config")
    if class_name == "Sequential" and isinstance(inner, list):  # as Keras wrote before 2.2.3
        inner = {"name": "sequential", "layers": inner}
    inner = _mapping(inner, f"the configuration of {class_name}", where)
    if not isinstance(inner.get("layers"), list):
        raise UnsupportedModelError(
            f"the {class_name} model lists no layers: it is a subclass with code of its own",
            where=where,
            hint="export it as a SavedModel: model.export('folder')",
        )
    layers = tuple(_layer(layer, where, depth) for layer in inner["layers"])
    names = [layer.name for layer in layers]
    if len(set(names)) != len(names):
        raise CorruptModelError("two layers of one model have the same name", where=where)
    name = str(inner.get("name") or class_name.lower())
    trainable = inner.get("trainable", True) is not False
    if class_name == "Sequential":
        shape = inner.get("build_input_shape") or inner.get("batch_input_shape")
        return ModelEntry("Sequential", name, layers, (), (), shape, trainable)
    inputs = _references(inner.get("input_layers"), where)
    outputs = _references(inner.get("output_layers"), where)
    model = ModelEntry("Functional", name, layers, inputs, outputs, None, trainable)
    return _renumbered(model, where)


_PLAIN_NAMES = (None, "", "Functional", "Sequential", "Model")


def _layer(config: Any, where: str, depth: int) -> LayerEntry:
    entry = _mapping(config, "a layer", where)
    class_name = _text(entry, "class_name", where)
    settings = _mapping(entry.get("config"), f"the configuration of a {class_name}", where)
    if class_name in _MODEL_CLASSES and entry.get("registered_name") in _PLAIN_NAMES:
        model = _model(entry, where, depth + 1)
        name = str(entry.get("name") or model.name)
        return LayerEntry(class_name, name, settings, _calls(entry, where), model)
    if class_name.rpartition(">")[2] in _QUANTIZERS:
        return _unwrapped(entry, class_name.rpartition(">")[2], settings, where, depth)
    module = str(entry.get("module") or "")
    registered = entry.get("registered_name")
    is_operation = module.startswith(_OPERATION_MODULES) or (
        not module
        and class_name != "InputLayer"
        and "trainable" not in settings
        and "dtype" not in settings
        and "inbound_nodes" in entry
    )
    shown = f"ops.{class_name}" if is_operation else class_name
    if not is_operation and registered not in (None, class_name, f"Keras>{class_name}"):
        shown = str(registered)
    elif module and not module.startswith(("keras.", "tf_keras", "tensorflow.keras", "builtins")):
        shown = f"{module}.{class_name}"
    build = entry.get("build_config")
    return LayerEntry(
        shown,
        str(entry.get("name") or settings.get("name") or class_name.lower()),
        settings,
        _calls(entry, where),
        None,
        build.get("input_shape") if isinstance(build, dict) else None,
    )


# of tensorflow_model_optimization: layers that train as if their neighbours were quantised
_QUANTIZERS = ("QuantizeWrapper", "QuantizeWrapperV2", "QuantizeLayer")
_SIMULATED = {"QuantizeAwareActivation": None, "NoOpActivation": "linear"}


def _unwrapped(
    entry: Mapping[str, Any], wrapper: str, settings: Mapping[str, Any], where: str, depth: int
) -> LayerEntry:
    """The layer inside a wrapper, under the wrapper's name; a lone quantiser passes values on."""
    name = str(settings.get("name") or entry.get("name") or wrapper.lower())
    calls = _calls(entry, where)
    if wrapper == "QuantizeLayer":
        return LayerEntry(
            "Activation", name, {"name": name, "activation": "linear"}, calls, None, None, wrapper
        )
    inner = _layer(settings.get("layer"), where, depth + 1)
    if depth > MAX_NESTED_MODELS or inner.model is not None:
        raise UnsupportedModelError(
            f"{wrapper} {name!r} holds more than one layer",
            where=where,
            hint="convert the model to .tflite, which stores what the wrappers stand for",
        )
    config = {**inner.config, "name": name}
    for key, value in inner.config.items():
        if isinstance(value, dict) and value.get("class_name") in _SIMULATED:
            within = _mapping(value.get("config"), f"{key} of {name!r}", where)
            config[key] = _SIMULATED[value["class_name"]] or within.get("activation", "linear")
    return LayerEntry(inner.class_name, name, config, calls, None, inner.build_shape, wrapper)


def _calls(entry: Mapping[str, Any], where: str) -> tuple[Call, ...]:
    nodes = entry.get("inbound_nodes") or ()
    if not isinstance(nodes, list | tuple):
        raise CorruptModelError("inbound_nodes is not a list", where=where)
    return tuple(_call(node, where) for node in nodes)


def _call(node: Any, where: str) -> Call:
    if isinstance(node, dict):  # Keras 3
        args = node.get("args", [])
        kwargs = node.get("kwargs", {})
        if not isinstance(args, list) or not isinstance(kwargs, dict):
            raise CorruptModelError("a call of a layer is not args and kwargs", where=where)
        return Call(
            tuple(_argument(arg, where) for arg in args),
            {key: _argument(value, where) for key, value in kwargs.items()},
        )
    if not isinstance(node, list):
        raise CorruptModelError("a call of a layer is neither list nor object", where=where)
    if node and isinstance(node[0], str):  # one tensor, not wrapped in a list
        node = [node]
    references = []
    kwargs = {}
    for item in node:
        if not isinstance(item, list) or len(item) not in (3, 4):
            raise CorruptModelError("a call's input is not [layer, call, output]", where=where)
        references.append(_reference(item[:3], where))
        if len(item) == 4 and isinstance(item[3], dict):
            kwargs.update({key: _keyword(value, where) for key, value in item[3].items()})
    return Call((references[0] if len(references) == 1 else references,), kwargs)


def _keyword(value: Any, where: str) -> Any:
    is_reference = (
        isinstance(value, list)
        and len(value) == 3
        and isinstance(value[0], str)
        and all(type(v) is int for v in value[1:])
    )
    return _reference(value, where) if is_reference else value


def _argument(value: Any, where: str) -> Any:
    if isinstance(value, list):
        return [_argument(item, where) for item in value]
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            history = _mapping(value.get("config"), "a tensor", where).get("keras_history")
            return _reference(history, where)
        if value.get("class_name") == "__tuple__":
            return [_argument(item, where) for item in value.get("items", [])]
        return {key: _argument(item, where) for key, item in value.items()}
    return value


def _reference(value: Any, where: str) -> TensorReference:
    if (
        not isinstance(value, list)
        or len(value) < 3
        or not isinstance(value[0], str)
        or any(type(v) is not int or v < 0 for v in value[1:3])
    ):
        raise CorruptModelError("a tensor is not [layer, call, output]", where=where)
    return TensorReference(value[0], value[1], value[2])


def _references(value: Any, where: str) -> tuple[TensorReference, ...]:
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list) or not value:
        raise CorruptModelError("the model names no input or output layers", where=where)
    if isinstance(value[0], str):
        value = [value]
    return tuple(_reference(item, where) for item in value)


def _renumbered(model: ModelEntry, where: str) -> ModelEntry:
    """Calls numbered from 0: files count a nested model's from 1, as it is called once alone."""
    count = {layer.name: len(layer.calls) for layer in model.layers}
    first = dict.fromkeys(count, 0)
    for reference in _all_references(model):
        if reference.layer not in count:
            raise CorruptModelError(f"layer {reference.layer!r} does not exist", where=where)
        excess = reference.call + 1 - max(count[reference.layer], 1)
        if excess > 1:
            raise CorruptModelError(
                f"call {reference.call} of layer {reference.layer!r} does not exist", where=where
            )
        first[reference.layer] = max(first[reference.layer], excess)

    def shift(value: Any) -> Any:
        if isinstance(value, TensorReference):
            call = value.call - first[value.layer]
            return TensorReference(value.layer, max(call, 0), value.output)
        if isinstance(value, list):
            return [shift(item) for item in value]
        return value

    layers = tuple(
        LayerEntry(
            layer.class_name,
            layer.name,
            layer.config,
            tuple(
                Call(
                    tuple(shift(arg) for arg in call.args),
                    {key: shift(value) for key, value in call.kwargs.items()},
                )
                for call in layer.calls
            ),
            layer.model,
            layer.build_shape,
            layer.wrapper,
        )
        for layer in model.layers
    )
    inputs = tuple(shift(reference) for reference in model.inputs)
    outputs = tuple(shift(reference) for reference in model.outputs)
    return ModelEntry(
        model.class_name, model.name, layers, inputs, outputs, None, model.is_trainable
    )


def tensor_references(value: Any) -> Iterator[TensorReference]:
    """Every reference inside an argument, in order."""
    if isinstance(value, TensorReference):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensor_references(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensor_references(item)


def _all_references(model: ModelEntry) -> Iterator[TensorReference]:
    yield from model.inputs
    yield from model.outputs
    for layer in model.layers:
        for call in layer.calls:
            yield from tensor_references(list(call.args))
            yield from tensor_references(list(call.kwargs.values()))


def _mapping(value: Any, what: str, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise CorruptModelError(f"{what} is not described by an object", where=where)
    return value


def _text(entry: Mapping[str, Any], key: str, where: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str):
        raise CorruptModelError(f"{key!r} is missing or not text", where=where)
    return value
