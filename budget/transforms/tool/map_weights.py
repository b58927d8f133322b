"""``map_weights``: constants become references into a file that is mapped into memory.

The operator is TensorFlow's ImmutableConst, with the region names that
convert_graphdef_memmapped_format gave them; the file is plain: each constant's elements, little
endian, at a multiple of 64 bytes, in the order of the graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np

from budget.errors import CorruptModelError
from budget.formats.tensorflow_values import DTYPES, MAX_ELEMENTS, Shape
from budget.transforms.tool.nodes import NodeDef, NodeGraph, constant
from budget.transforms.tool.transform import Context, Transform

PREFIX = "memmapped_package://"
ALIGNMENT_BYTES = 64
"""At least what vector instructions and flash lines ask for."""
_OFFSET = "_budget_offset"


@dataclass(frozen=True)
class MapWeights(Transform):
    """Replaces a constant by ImmutableConst, whose elements are those at its place in the file.

    Attributes:
        minimum_size: constants of fewer bytes stay.
    """

    minimum_size: int = 1024
    called: ClassVar[str] = "map_weights"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        return separate(graph, self.minimum_size)[0]


def separate(graph: NodeGraph, minimum_size_bytes: int = 1024) -> tuple[NodeGraph, bytes]:
    """The graph without its larger constants, and the file that holds them."""
    nodes: list[NodeDef] = []
    blob = bytearray()
    regions: set[str] = set()
    for node in graph.nodes.values():
        value = node.value
        if value is None or value.array.dtype == object or value.array.nbytes < minimum_size_bytes:
            nodes.append(node)
            continue
        blob += bytes(-len(blob) % ALIGNMENT_BYTES)
        attributes: dict[str, Any] = {
            "dtype": value.dtype,
            "shape": Shape(tuple(value.array.shape)),
            "memory_region_name": _region(node.name, regions).encode(),
            _OFFSET: len(blob),
        }
        array = np.ascontiguousarray(value.array)
        blob += array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        nodes.append(
            NodeDef(node.name, "ImmutableConst", (), node.controls, node.device, attributes)
        )
    return graph.with_nodes(nodes), bytes(blob)


def _region(name: str, taken: set[str]) -> str:
    """A name of letters, digits and what paths may hold, as the old converter made them."""
    plain = PREFIX + "".join(c if c.isalnum() or c in "_." else "_" for c in name)
    region, suffix = plain, 0
    while region in taken:
        suffix += 1
        region = f"{plain}_{suffix}"
    taken.add(region)
    return region


def join(graph: NodeGraph, weights: bytes) -> NodeGraph:
    """The graph with the constants of a file in their places again.

    Raises:
        CorruptModelError: the file is shorter than the graph says.
    """
    nodes = []
    for node in graph.nodes.values():
        offset = node.attributes.get(_OFFSET)
        if node.op != "ImmutableConst" or not isinstance(offset, int):
            nodes.append(node)
            continue
        nodes.append(_joined(graph, node, offset, weights))
    return graph.with_nodes(nodes)


def _joined(graph: NodeGraph, node: NodeDef, offset: int, weights: bytes) -> NodeDef:
    attributes: Mapping[str, Any] = node.attributes
    dtype, declared = attributes.get("dtype"), attributes.get("shape")
    shape = declared.known if isinstance(declared, Shape) else None
    kind = DTYPES[dtype].numpy if dtype in DTYPES else np.dtype(object)
    if dtype is None or shape is None or len(shape) > 32 or kind.kind not in "biufc":
        raise CorruptModelError(
            "neither its type nor its shape may be left open", where=graph.where(node)
        )
    count, claimed = prod(shape), prod(extent or 1 for extent in shape)
    if offset < 0 or offset + count * kind.itemsize > len(weights) or claimed > MAX_ELEMENTS:
        raise CorruptModelError(
            f"its {count * kind.itemsize} bytes at {offset} lie outside the file of weights",
            where=graph.where(node),
            hint="give the file that was written with the graph",
        )
    values = np.frombuffer(weights, kind.newbyteorder("<"), count, offset).astype(kind)
    made = constant(node.name, values.reshape(shape), dtype, node.device)
    return made.changed(controls=node.controls)


def c_source(name: str, blob: bytes) -> str:
    """C that links the file into flash: one aligned array in a section of its own."""
    rows = [
        "    " + ", ".join(f"0x{byte:02x}" for byte in blob[start : start + 16]) + ","
        for start in range(0, len(blob), 16)
    ]
    lines = [
        "#include <stdint.h>",
        "",
        "/* Stays in flash and is read in place; the linker script decides where. */",
        f'__attribute__((section(".rodata.{name}"), aligned({ALIGNMENT_BYTES})))',
        f"const uint8_t {name}[{max(1, len(blob))}] = {{",
        *(rows or ["    0,"]),
        "};",
        f"const uint32_t {name}_size = {len(blob)}u;",
    ]
    return "\n".join(lines) + "\n"
