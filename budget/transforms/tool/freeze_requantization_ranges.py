"""``freeze_requantization_ranges``: ranges that were logged take the place of computed ones."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from budget.errors import UsageError
from budget.transforms.tool.nodes import NodeDef, NodeGraph, constant, free_name, renamed_inputs
from budget.transforms.tool.transform import Context, Transform

_LINE = re.compile(r";([^;]+)__print__;__requant_min_max:\[([^\]]+)\]\[([^\]]+)\]")


@dataclass(frozen=True)
class FreezeRequantizationRanges(Transform):
    """Replaces (min, max) of each logged RequantizationRange by two constants.

    They are percentiles of what was logged; with percentiles of 0, the extremes: then no value
    that occurred while logging is cut off. Logs come from
    ``insert_logging(op=RequantizationRange, show_name=true, message="__requant_min_max:")``.

    Attributes:
        min_max_log_file: path of the log.
        min_percentile: share of the smallest minima to leave out.
        max_percentile: share of the largest maxima to leave out.
    """

    min_max_log_file: str
    min_percentile: float = 5.0
    max_percentile: float = 5.0
    called: ClassVar[str] = "freeze_requantization_ranges"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says.

        Raises:
            UsageError: the log cannot be read, is empty, or names other nodes.
        """
        ranges = self._ranges()
        names: dict[str, str] = {}
        nodes: dict[str, list[NodeDef]] = {}
        for name, (low, high) in ranges.items():
            node = graph.nodes.get(name)
            if node is None or node.op != "RequantizationRange":
                found = f"is a {node.op}" if node else "does not exist"
                raise UsageError(
                    f"the log has a range of {name!r}, which {found}", where=self.min_max_log_file
                )
            made = [
                constant(free_name(graph.nodes, f"{name}/frozen_{end}"), value, device=node.device)
                for end, value in (("min", np.float32(low)), ("max", np.float32(high)))
            ]
            names |= {name: made[0].name, f"{name}:1": made[1].name}
            nodes[name] = made
        kept = [item for name, node in graph.nodes.items() for item in nodes.get(name, [node])]
        return graph.with_nodes(renamed_inputs(kept, names))

    def _ranges(self) -> dict[str, tuple[float, float]]:
        path = Path(self.min_max_log_file).expanduser()
        try:
            text = path.read_text("utf-8", "replace")
        except OSError as error:
            raise UsageError(f"cannot be read: {error.strerror}", where=str(path)) from None
        logged: dict[str, tuple[list[float], list[float]]] = {}
        for name, low, high in _LINE.findall(text):
            try:
                ends = float(low), float(high)
            except ValueError:
                raise UsageError(f"[{low}][{high}] is no range", where=str(path)) from None
            for values, end in zip(logged.setdefault(name, ([], [])), ends, strict=True):
                values.append(end)
        if not logged:
            raise UsageError("holds no line with __requant_min_max:", where=str(path))
        return {name: self._cut(*values) for name, values in logged.items()}

    def _cut(self, lows: list[float], highs: list[float]) -> tuple[float, float]:
        count = len(lows)
        low = min(count - 1, round(count * self.min_percentile / 100))
        high = min(count - 1, round(count * (1 - self.max_percentile / 100)))
        return sorted(lows)[low], sorted(highs)[high]
