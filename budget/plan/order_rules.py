"""Orders built in one walk by simple rules, for parts of any size."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from budget.plan.memory import MemoryModel


def stack_order(model: MemoryModel, low: int, high: int) -> list[int]:
    """Finishes what was begun last before it begins anything else."""
    missing = _missing(model, low, high)
    stack = [node for node in range(high - 1, low - 1, -1) if not missing[node - low]]
    order = []
    while stack:
        node = stack.pop()
        order.append(node)
        for successor in reversed(model.successors[node]):
            if successor < high:
                missing[successor - low] -= 1
                if not missing[successor - low]:
                    stack.append(successor)
    return order


def greedy_order(model: MemoryModel, low: int, high: int) -> list[int]:
    """Always runs the ready node that lets the bytes alive grow least."""
    part = _Growth(model, low, high)
    missing = _missing(model, low, high)
    heap = [(part.growth(n), n) for n in range(low, high) if not missing[n - low]]
    heapify(heap)
    done = [False] * (high - low)
    order = []
    while heap:
        _, node = heappop(heap)
        if done[node - low]:
            continue
        done[node - low] = True
        order.append(node)
        # whoever is last to need an item now frees it: such nodes have become cheaper
        for other in part.run(node):
            if other < high and not missing[other - low] and not done[other - low]:
                heappush(heap, (part.growth(other), other))
        for successor in model.successors[node]:
            if successor < high:
                missing[successor - low] -= 1
                if not missing[successor - low]:
                    heappush(heap, (part.growth(successor), successor))
    return order


def tree_order(model: MemoryModel, low: int, high: int) -> list[int]:
    """Runs before each node what it needs, the hungriest first: best possible on trees.

    A branch that needs much while it runs and leaves little behind should run while few results
    of other branches are kept (Sethi and Ullman, "The generation of optimal code for arithmetic
    expressions", 1970, with sizes for registers).
    """
    before: list[list[int]] = [[] for _ in range(high - low)]
    kept = [0] * (high - low)
    peak = [0] * (high - low)
    for node in range(low, high):
        at = node - low
        before[at].sort(key=lambda p: kept[p] - peak[p])
        live = 0
        for other in before[at]:
            peak[at] = max(peak[at], live + peak[other])
            live += kept[other]
        kept[at] = sum(
            model.items[i].size_bytes for i in model.touched[node]
            if model.items[i].touching[0] == node
        )  # fmt: skip
        peak[at] = max(peak[at], live + kept[at] + model.scratch_bytes[node])
        for successor in model.successors[node]:
            if successor < high:
                before[successor - low].append(at)
    order: list[int] = []
    state = [0] * (high - low)  # 0 not seen, 1 opened, 2 done
    is_sink = [all(s >= high for s in model.successors[n]) for n in range(low, high)]
    for sink in (at for at in range(high - low) if is_sink[at]):
        stack = [sink]
        while stack:
            at = stack[-1]
            if state[at] == 0:
                state[at] = 1
                stack.extend(other for other in reversed(before[at]) if not state[other])
            else:
                stack.pop()
                if state[at] == 1:
                    state[at] = 2
                    order.append(at + low)
    return order


def _missing(model: MemoryModel, low: int, high: int) -> list[int]:
    """Per node of the part, how many nodes of the part must run before it."""
    missing = [0] * (high - low)
    for node in range(low, high):
        for successor in model.successors[node]:
            if successor < high:
                missing[successor - low] += 1
    return missing


class _Growth:
    """How much the bytes alive grow with a node, while other nodes run."""

    def __init__(self, model: MemoryModel, low: int, high: int) -> None:
        self.model = model
        items = dict.fromkeys(item for n in range(low, high) for item in model.touched[n])
        self.waiting: dict[int, int] = {}
        self.rest: dict[int, int] = {}  # sum of the nodes still to touch it: the last one's name
        self.alive: dict[int, bool] = {}
        for index in items:
            item = model.items[index]
            left = [node for node in item.touching if node >= low]
            self.waiting[index], self.rest[index] = len(left), sum(left)
            self.alive[index] = item.from_start or len(left) < len(item.touching)

    def growth(self, node: int) -> int:
        """Bytes by which memory in use grows when ``node`` has run."""
        grown = 0
        for index in self.model.touched[node]:
            item = self.model.items[index]
            if not self.alive[index]:
                grown += item.size_bytes
            if self.waiting[index] == 1 and not item.to_end:
                grown -= item.size_bytes
        return grown

    def run(self, node: int) -> list[int]:
        """Runs a node; returns the nodes whose growth has become smaller."""
        changed = []
        for index in self.model.touched[node]:
            self.waiting[index] -= 1
            self.rest[index] -= node
            self.alive[index] = True
            if self.waiting[index] == 1:
                changed.append(self.rest[index])
        return changed
