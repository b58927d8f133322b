"""What of a model is the same for every input, and so need not be computed or kept."""

from __future__ import annotations

from budget.analysis.costs import total_cost
from budget.analysis.operands import operand_roles
from budget.graph import Graph
from budget.records import record


@record
class Removable:
    """Constant and unread channels of a quantised model, all of them exactly removable.

    Attributes:
        channel_count: channels of all computed tensors.
        removable_count: of these, how many no input can influence, or nothing reads.
        macs: with all channels.
        macs_left: once they are removed.
        weight_bytes: quantised weights without biases, with all channels.
        weight_bytes_left: once they are removed.
    """

    channel_count: int
    removable_count: int
    macs: int
    macs_left: int
    weight_bytes: int
    weight_bytes_left: int

    def to_json(self) -> dict[str, int]:
        """The form that `--json` prints."""
        return {
            "channels": self.channel_count,
            "removable": self.removable_count,
            "macs": self.macs,
            "macs_left": self.macs_left,
            "weight_bytes": self.weight_bytes,
            "weight_bytes_left": self.weight_bytes_left,
        }


def find_removable(graph: Graph) -> Removable:
    """Proves what a canonical graph can do without; nothing if it is not quantised."""
    from budget.transforms.constant_channels import remove_constant_channels

    found = remove_constant_channels(graph)
    return Removable(
        found.channel_count,
        found.removed_count,
        total_cost(graph).macs,
        total_cost(found.graph).macs,
        _weight_bytes(graph),
        _weight_bytes(found.graph),
    )


def _weight_bytes(graph: Graph) -> int:
    names = {
        name
        for node in graph.nodes
        for index, name in enumerate(node.inputs)
        if operand_roles(node.op).get(index) == "weights" and graph.constant(name) is not None
    }
    return sum(graph.type_of(name).size_bytes for name in names)
