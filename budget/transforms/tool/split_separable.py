"""``split_separable``: a convolution whose filters are separable becomes two of one dimension."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from budget.errors import UsageError
from budget.transforms.tool.affine import array_of, is_channels_first
from budget.transforms.tool.nodes import NodeDef, NodeGraph, constant
from budget.transforms.tool.patterns import (
    ANY,
    Match,
    Pattern,
    Rewriting,
    find_matches,
    replaced,
)
from budget.transforms.tool.transform import Context, Transform

_CONV = Pattern("Conv2D", (ANY, Pattern("Const", capture="weights")))


@dataclass(frozen=True)
class SplitSeparable(Transform):
    """Replaces w ∗ x by v ∗ (u ∗ x), where u is k×1, v is 1×k and w[h, w] = Σ_r u[h, r] · v[r, w].

    The least r for which the singular values left out are below ``tolerance`` of the largest; only
    where that takes fewer multiplications. With the default only filters that are separable to
    rounding are split; a larger tolerance is the approximation of Jaderberg et al., "Speeding up
    convolutional neural networks with low rank expansions" (BMVC 2014, arXiv 1405.3866).

    Attributes:
        tolerance: of a singular value left out, over the largest.
    """

    tolerance: float = 1e-6
    called: ClassVar[str] = "split_separable"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says.

        Raises:
            UsageError: the tolerance is not between 0 and 1.
        """
        if not 0 <= self.tolerance < 1:
            raise UsageError("split_separable needs a tolerance from 0 to 1", where="transforms")
        matches, refusals = find_matches(graph, replace(_CONV, condition=self._refusal))
        context.notes += [f"{item.node} stays: {item.reason}" for item in refusals]
        return replaced(graph, matches, self._parts) if matches else graph

    def _refusal(self, graph: NodeGraph, match: Match) -> str:
        conv, weights = match.root, array_of(match.nodes["weights"])
        height, width, inputs, outputs = weights.shape
        if height == 1 or width == 1:
            return "its filters have one dimension already"
        if weights.dtype.kind != "f" or is_channels_first(conv):
            return "it is not a float convolution of the layout NHWC"
        if conv.attributes.get("padding") == b"EXPLICIT":
            return "its padding is explicit; run split_padding before"
        if tuple(conv.attributes.get("dilations") or (1, 1, 1, 1)) != (1, 1, 1, 1):
            return "it is dilated"
        rank = len(self._factors(weights)[0])
        steps = conv.attributes["strides"]
        # the first is strided along its own dimension only, so it works steps[2] as much
        split = rank * (height * inputs * steps[2] + width * outputs)
        if split >= weights.size:
            return f"its filters have rank {rank}: two convolutions would multiply no less"
        return ""

    def _factors(self, weights: Any) -> tuple[Any, Any, Any]:
        height, width, inputs, outputs = weights.shape
        flat = np.asarray(weights, np.float64).transpose(0, 2, 1, 3)
        u, s, v = np.linalg.svd(flat.reshape(height * inputs, width * outputs), False)
        rank = max(1, int((s > self.tolerance * s[0]).sum()))
        return s[:rank], u[:, :rank], v[:rank]

    def _parts(self, match: Match, rewriting: Rewriting) -> list[NodeDef]:
        conv, held = match.root, match.nodes["weights"]
        weights = array_of(held)
        height, width, inputs, outputs = weights.shape
        s, u, v = self._factors(weights)
        root = np.sqrt(s)
        columns = (u * root).reshape(height, inputs, -1)[:, None]
        rows = (v * root[:, None]).reshape(-1, width, outputs).transpose(1, 0, 2)[None]
        kind, dtype = held.attributes["dtype"], weights.dtype
        first, second = (
            constant(rewriting.name(f"{held.name}/{name}"), part.astype(dtype), kind, held.device)
            for name, part in (("vertical", columns), ("horizontal", rows))
        )
        down, across = conv.attributes["strides"][1:3]
        name = rewriting.name(f"{conv.name}/vertical")
        vertical = {**conv.attributes, "strides": (1, down, 1, 1)}
        horizontal = {**conv.attributes, "strides": (1, 1, across, 1)}
        before = conv.changed(name=name, inputs=(conv.inputs[0], first.name), attributes=vertical)
        behind = conv.changed(inputs=(name, second.name), controls=(), attributes=horizontal)
        return [first, second, before, behind]
