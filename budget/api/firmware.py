"""Emitted files as something to build and run: what their manifest promises."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from budget.codegen.options import ARENA, IO, OPTIMISE
from budget.core.machine import Machine
from budget.errors import ModelError
from budget.graph.types import DType

_HINT = "give a folder that 'budget emit' wrote"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,200}")
# what may stand in a compiler's command without being taken for an option, or for another folder
_PATH = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]*/)*[A-Za-z0-9_][A-Za-z0-9_.-]*")
_LONGEST_PATH = 200
_MOST_ELEMENTS = 1 << 28


@dataclass(frozen=True)
class Firmware:
    """What `emit` writes, from memory or from a folder.

    Attributes:
        files: relative path → content.
        manifest: NAME.json.
    """

    files: Mapping[str, bytes]
    manifest: Mapping[str, Any]

    @staticmethod
    def read(folder: Path) -> Firmware:
        """Reads a folder that `emit` wrote.

        Raises:
            ModelError: there is no manifest, it is damaged, or what it lists is not there.
        """
        for path in sorted(folder.glob("*.json")):
            try:
                manifest = json.loads(path.read_text("utf-8"))
            except (OSError, ValueError, RecursionError):
                continue
            if isinstance(manifest, dict) and {"generator", "layers", "files"} <= manifest.keys():
                return Firmware._complete(folder, manifest)
        raise ModelError("there is no manifest of emitted C", where=str(folder), hint=_HINT)

    @staticmethod
    def _complete(folder: Path, manifest: Mapping[str, Any]) -> Firmware:
        if not _is_sound(manifest):
            raise ModelError("the manifest is damaged", where=str(folder), hint=_HINT)
        wanted = [path for path in manifest["files"] if path.endswith((".c", ".h"))]
        missing = [path for path in wanted if not (folder / path).is_file()]
        if missing:
            raise ModelError(
                f"files are missing: {', '.join(missing)}", where=str(folder), hint=_HINT
            )
        return Firmware({path: (folder / path).read_bytes() for path in wanted}, manifest)

    @property
    def name(self) -> str:
        """Prefix of its symbols."""
        return str(self.manifest["name"])

    @property
    def layers(self) -> list[Mapping[str, Any]]:
        """Steps as the manifest has them."""
        return list(self.manifest["layers"])

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return int(self.manifest["macs"])

    @property
    def arena_bytes(self) -> int:
        """Declared size of the arena."""
        return int(self.manifest["arena_bytes"])

    @property
    def optimise(self) -> str:
        """What it was emitted for: ``time``, ``balanced`` or ``size``."""
        return str(self.manifest["options"]["optimise"])

    @property
    def target(self) -> str:
        """The core it was written for, or ``portable``."""
        return str(self.manifest["options"]["target"])

    @property
    def sources(self) -> dict[str, bytes]:
        """What the application links: everything at the top but the self-test."""
        skipped = f"{self.name}_selftest.c"
        return {
            path: content
            for path, content in self.files.items()
            if "/" not in path and path.endswith((".c", ".h")) and path != skipped
        }

    @property
    def selftest_sources(self) -> dict[str, bytes]:
        """The same with the self-test; empty if there is none."""
        path = f"{self.name}_selftest.c"
        return {**self.sources, path: self.files[path]} if path in self.files else {}

    @property
    def entry_points(self) -> tuple[str, ...]:
        """Functions that an application calls."""
        ports = [f"{self.name}_invoke", f"{self.name}_init"]
        return tuple(ports + [f"{self.name}_{port}" for port in self._pointer_ports])

    @property
    def io_bytes(self) -> int:
        """The caller's buffers; 0 where they are in the arena."""
        if self._io == "arena":
            return 0
        return sum(len(self._zeros(t)) for t in (*self._inputs, *self._outputs))

    @property
    def has_real_outputs(self) -> bool:
        """Whether the application gets floating-point numbers."""
        return any(self._dtype(tensor).kind == "f" for tensor in self._outputs)

    def prepare(self, machine: Machine, seed: int = 0) -> list[int]:
        """Initialises the program and places an input drawn at random.

        Returns:
            The arguments of NAME_invoke.
        """
        context = []
        if self.manifest["options"]["arena"] == "caller":
            context = [machine.allocate(self.arena_bytes + 64)]
        machine.call(f"{self.name}_init", context)
        generator = np.random.default_rng(seed)
        values = [self._random(tensor, generator) for tensor in self._inputs]
        if self._io == "arena":
            for port, value in zip(self._pointer_ports, values, strict=False):
                machine.write(machine.call(f"{self.name}_{port}", context).result, value)
            return context
        arguments = list(context)
        for value in (*values, *(self._zeros(tensor) for tensor in self._outputs)):
            arguments.append(machine.allocate(len(value)))
            machine.write(arguments[-1], value)
        return arguments

    @property
    def _io(self) -> str:
        return str(self.manifest["options"]["io"])

    @property
    def _inputs(self) -> list[Mapping[str, Any]]:
        return list(self.manifest["inputs"])

    @property
    def _outputs(self) -> list[Mapping[str, Any]]:
        return list(self.manifest["outputs"])

    @property
    def _pointer_ports(self) -> list[str]:
        if self._io != "arena":
            return []
        names = []
        for kind, tensors in (("input", self._inputs), ("output", self._outputs)):
            many = len(tensors) > 1
            names += [f"{kind}{index}" if many else kind for index in range(len(tensors))]
        return names

    def _zeros(self, tensor: Mapping[str, Any]) -> bytes:
        return bytes(int(np.prod(tensor["shape"])) * self._dtype(tensor).itemsize)

    def _random(self, tensor: Mapping[str, Any], generator: np.random.Generator) -> bytes:
        dtype = self._dtype(tensor)
        if dtype.kind == "f":
            return bytes(generator.normal(0, 1, tensor["shape"]).astype(dtype).tobytes())
        if "scale" not in tensor:
            return self._zeros(tensor)  # an index or a count: zero is always allowed
        info = np.iinfo(dtype)
        drawn = generator.integers(info.min, info.max, tensor["shape"], dtype, endpoint=True)
        return bytes(drawn.tobytes())

    def _dtype(self, tensor: Mapping[str, Any]) -> np.dtype[Any]:
        if self._io == "float" and "scale" in tensor:
            return np.dtype(np.float32)
        return np.dtype(DType(tensor["dtype"]).numpy)


def _is_sound(manifest: Mapping[str, Any]) -> bool:
    """Whether a manifest has what is used of it, and no name that a compiler would misread."""
    options, files, layers = (manifest.get(key) for key in ("options", "files", "layers"))
    tensors = [manifest.get("inputs"), manifest.get("outputs")]
    return (
        _is_name(manifest.get("name"))
        and isinstance(options, dict)
        and options.get("optimise") in OPTIMISE
        and options.get("arena") in ARENA
        and options.get("io") in IO
        and isinstance(options.get("target"), str)
        and isinstance(files, dict)
        and all(_PATH.fullmatch(path) and len(path) <= _LONGEST_PATH for path in files)
        and isinstance(layers, list)
        and all(_is_layer(layer) for layer in layers)
        and all(isinstance(found, list) and all(map(_is_tensor, found)) for found in tensors)
        and all(_is_count(manifest.get(key)) for key in ("macs", "arena_bytes"))
    )


def _is_layer(layer: Any) -> bool:
    return (
        isinstance(layer, dict)
        and _is_name(layer.get("function"))
        and all(isinstance(layer.get(key), str) for key in ("layer", "operator"))
        and all(_is_count(layer.get(key)) for key in ("index", "macs"))
        and isinstance(layer.get("tables"), list)
        and all(isinstance(t, dict) and isinstance(t.get("name"), str) for t in layer["tables"])
    )


def _is_tensor(tensor: Any) -> bool:
    if not isinstance(tensor, dict) or not isinstance(tensor.get("shape"), list):
        return False
    shape, dtype = tensor["shape"], tensor.get("dtype")
    known = [item.value for item in DType if item.numpy.kind in "biuf"]
    sound = dtype in known and len(shape) <= 32 and all(map(_is_count, shape))
    return sound and prod(shape) <= _MOST_ELEMENTS


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63
