"""The smallest arena by trying everything; shares no code with the planner.

Every executable order; at each element-wise node every choice of a dying input to overwrite, or
none; every way to stack the buffers.
"""

from __future__ import annotations

from collections.abc import Iterator

from budget.graph import Graph

IN_PLACE = {"relu": 1, "add": 2}
"""Operators of the test graphs that may run in place, and how many of their inputs may die."""

Block = tuple[int, int, int]
"""First step, last step, bytes."""


def smaller_arena(graph: Graph, than: int) -> int | None:
    """An arena size below ``than`` that some order, overwriting and stacking reaches, if any."""
    seen: set[tuple[Block, ...]] = set()
    for order in _orders(graph):
        for blocks in _storages(graph, order):
            key = tuple(sorted(blocks))
            if key in seen or _fullest(blocks) >= than:
                continue
            seen.add(key)
            found = _stack(list(blocks), [], than)
            if found < than:
                return found
    return None


def fullest(graph: Graph) -> int:
    """Fewest bytes alive at the fullest step, over all orders."""
    return min(_fullest(b) for order in _orders(graph) for b in _storages(graph, order))


def _size(graph: Graph, tensor: str) -> int:
    return graph.type_of(tensor).shape[1]


def _orders(graph: Graph) -> Iterator[list[int]]:
    producer = {out: i for i, node in enumerate(graph.nodes) for out in node.outputs}
    needs = [{producer[name] for name in node.inputs if name in producer} for node in graph.nodes]

    def extend(order: list[int]) -> Iterator[list[int]]:
        if len(order) == len(needs):
            yield list(order)
            return
        for node, before in enumerate(needs):
            if node not in order and before.issubset(order):
                yield from extend([*order, node])

    return extend([])


def _storages(graph: Graph, order: list[int]) -> Iterator[list[Block]]:
    end = len(order)
    last: dict[str, int] = {name: -1 for name in graph.inputs}
    for step, node in enumerate(order):
        for name in graph.nodes[node].inputs + graph.nodes[node].outputs:
            last[name] = step
    for name in graph.outputs:
        last[name] = end

    def walk(step: int, blocks: dict[str, Block], home: dict[str, str]) -> Iterator[list[Block]]:
        if step == end:
            yield list(blocks.values())
            return
        node = graph.nodes[order[step]]
        out = node.outputs[0]
        size = _size(graph, out)
        own = {**blocks, out: (step, last[out], size)}
        yield from walk(step + 1, own, {**home, out: out})
        for name in dict.fromkeys(node.inputs[: IN_PLACE.get(node.op, 0)]):
            if last[name] == step and _size(graph, name) == size:
                root = home[name]
                taken = {**blocks, root: (blocks[root][0], last[out], size)}
                yield from walk(step + 1, taken, {**home, out: root})

    start = {name: (-1, last[name], _size(graph, name)) for name in graph.inputs}
    return walk(0, start, {name: name for name in graph.inputs})


def _fullest(blocks: list[Block]) -> int:
    steps = {first for first, _, _ in blocks}
    return max(sum(s for first, last, s in blocks if first <= t <= last) for t in steps)


def _stack(rest: list[Block], placed: list[tuple[Block, int]], best: int) -> int:
    """Puts each remaining block on the floor or on each placed one, wherever it is free."""
    if not rest:
        return max(at + block[2] for block, at in placed)
    if len(placed) and max(at + block[2] for block, at in placed) >= best:
        return best
    for index, block in enumerate(rest):
        others = [(b, at) for b, at in placed if b[0] <= block[1] and block[0] <= b[1]]
        for at in sorted({0, *(at + b[2] for b, at in others)}):
            if at < (placed[-1][1] if placed else 0):
                continue  # blocks are placed from below
            if all(at + block[2] <= o or o + b[2] <= at for b, o in others):
                remaining = rest[:index] + rest[index + 1 :]
                best = min(best, _stack(remaining, [*placed, (block, at)], best))
    return best
