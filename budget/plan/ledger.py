"""How many bytes are alive while nodes run one after another."""

from __future__ import annotations

from collections.abc import Sequence

from budget.plan.memory import MemoryModel


class Ledger:
    """Follows which items of a memory model are alive."""

    def __init__(self, model: MemoryModel) -> None:
        self.model = model
        self.waiting = [len(item.touching) for item in model.items]
        # an input that nobody reads dies before the first step
        self.alive = [
            item.from_start and bool(item.touching or item.to_end) for item in model.items
        ]
        self.live_bytes = sum(
            item.size_bytes for item, alive in zip(model.items, self.alive) if alive
        )

    def needs(self, node: int) -> tuple[int, int]:
        """Bytes alive while ``node`` runs and after it, if it were run now."""
        model, waiting, alive = self.model, self.waiting, self.alive
        during = after = self.live_bytes
        for index in model.touched[node]:
            item = model.items[index]
            if not alive[index]:
                during += item.size_bytes
                after += item.size_bytes
            if waiting[index] == 1 and not item.to_end:
                after -= item.size_bytes
        for source, out, saved_bytes in model.savings[node]:
            dies = waiting[source] == 1 and not model.items[source].to_end
            if dies and not alive[out]:
                during -= saved_bytes
                break
        return during + model.scratch_bytes[node], after

    def run(self, node: int) -> int:
        """Runs a node; returns the bytes alive while it does."""
        during, self.live_bytes = self.needs(node)
        for index in self.model.touched[node]:
            self.waiting[index] -= 1
            self.alive[index] = self.waiting[index] > 0 or self.model.items[index].to_end
        return during


def step_bytes(model: MemoryModel, order: Sequence[int]) -> list[int]:
    """Bytes alive while each step of an order runs, scratch included."""
    ledger = Ledger(model)
    return [ledger.run(node) for node in order]
