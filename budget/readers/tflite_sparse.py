"""Sparse constants of TensorFlow Lite files as dense arrays.

Source: the storage described at ``SparsityParameters`` in tensorflow/lite/schema/schema.fbs: a
tree whose levels follow ``traversal_order``; blocks add levels behind the tensor's own dimensions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from budget.formats.tflite_schema import fields_of
from budget.formats.tflite_wire import FlatFile, Table, union_member
from budget.graph import Array, TensorType

Ints = np.ndarray[Any, np.dtype[np.int64]]
_DENSE, _COMPRESSED = 0, 1


def densify(file: FlatFile, table: Table, values: Array, type: TensorType, name: str) -> Array:
    """The dense array of a sparse tensor.

    Args:
        file: the file, for messages and limits.
        table: the tensor's ``SparsityParameters``.
        values: the elements that are stored.
        type: of the dense tensor.
        name: of the tensor.

    Raises:
        CorruptModelError: the parts do not fit together.
    """
    what = f"sparse tensor {name!r}"
    shape = type.shape
    order, block_map = table.integers(0), table.integers(1)
    levels = table.tables(2)
    rank = len(shape)
    if len(levels) != len(order) or sorted(order) != list(range(rank + len(block_map))):
        file.fail(f"{what} is traversed in the impossible order {list(order)}")
    if any(not 0 <= axis < rank for axis in block_map):
        file.fail(f"{what} has blocks along dimensions {list(block_map)} of {rank}")
    file.charge(8 * type.element_count)
    entries: Ints = np.zeros(1, np.int64)
    coordinates: dict[int, Ints] = {}
    extents: dict[int, int] = {}
    for axis, level in zip(order, levels):
        entries, chosen, repeats, extent = _descend(file, level, entries, type, what)
        coordinates = {known: np.repeat(c, repeats) for known, c in coordinates.items()}
        coordinates[axis] = chosen
        extents[axis] = extent
    if len(entries) > len(values):
        file.fail(f"{what} has {len(entries)} places for {len(values)} elements")
    position = []
    for axis in range(rank):
        place = coordinates[axis]
        for block, target in enumerate(block_map):
            if target == axis:
                place = place * extents[rank + block] + coordinates[rank + block]
        if place.size and place.max() >= shape[axis]:
            file.fail(f"{what} has an element outside its shape {list(shape)}")
        position.append(place)
    dense: Array = np.zeros(shape, type.dtype.numpy)
    dense[tuple(position)] = values[entries]
    dense.setflags(write=False)
    return dense


def _descend(
    file: FlatFile, level: Table, entries: Ints, type: TensorType, what: str
) -> tuple[Ints, Ints, Ints, int]:
    """One level down: (entries, their coordinates, children of each parent, extent if dense)."""
    limit = type.element_count
    if level.scalar(0, "b") == _DENSE:
        extent = level.scalar(1, "i")
        if extent < 0 or extent * len(entries) > limit:
            file.fail(f"{what} has a dimension of impossible size {extent}")
        counts = np.full(len(entries), extent, np.int64)
        inside = np.tile(np.arange(extent, dtype=np.int64), len(entries))
        return np.repeat(entries * extent, counts) + inside, inside, counts, extent
    segments = _numbers(file, level, "array_segments", what)
    indices = _numbers(file, level, "array_indices", what)
    if len(entries) and (entries.max() + 1 >= len(segments)):
        file.fail(f"{what} has {len(segments)} segments, too few")
    starts, ends = segments[entries], segments[entries + 1]
    counts = ends - starts
    if np.any(counts < 0) or np.any(starts < 0) or np.any(ends > len(indices)):
        file.fail(f"{what} has segments that do not rise or leave its indices")
    total = int(counts.sum())
    if total > limit:
        file.fail(f"{what} has {total} places for {limit} elements")
    first = np.repeat(starts - np.concatenate(([0], np.cumsum(counts)[:-1])), counts)
    children = first + np.arange(total, dtype=np.int64)
    chosen = indices[children]
    if chosen.size and chosen.min() < 0:
        file.fail(f"{what} has a negative index")
    return children, chosen, counts, 0


def _numbers(file: FlatFile, level: Table, union: str, what: str) -> Ints:
    fields = {field.name: field for field in fields_of("DimensionMetadata")}
    member = union_member(union, level.scalar(fields[f"{union}_type"].slot, "B"))
    inner = level.table(fields[union].slot)
    numbers = None
    if inner is not None and member:
        numbers = inner.numbers(0, fields_of(member)[0].code)
    if numbers is None:
        file.fail(f"{what} lacks its {union.replace('_', ' ')}")
    file.charge(8 * numbers.size)
    return numbers.astype(np.int64)
