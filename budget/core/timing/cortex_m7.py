"""Cortex-M7, approximately.

Arm publishes no cycle table for it (ARM DDI 0489 has none). Assumed: two-way issue as in
`dual_issue`, both loads from tightly coupled memory or cache hits, a load's result one cycle
late, a multiply-accumulate's result two cycles after issue but forwarded to the next addend,
branches predicted. Cache misses and wrong predictions are not counted, so that times are a lower
bound: the error is not known from silicon.
"""

from __future__ import annotations

from budget.core.timing.dual_issue import DualIssue
from budget.core.timing.rules import plain_table

TIMING = DualIssue(
    core="cortex-m7",
    has=frozenset({"thumb2", "dsp", "fpu", "fpu-dp"}),
    source="assumed (Arm publishes no cycle table): dual issue, predicted branches, no misses",
    issue=plain_table(divide=8, float_divide=14, special=2, barrier=2, if_then=0),
    latency=plain_table(
        load=2,
        load_double=2,
        load_multiple=2,
        float_load=2,
        float_load_multiple=2,
        multiply=2,
        multiply_add=2,
        multiply_long=2,
        multiply_add_long=2,
        divide=8,
        float_alu=3,
        float_multiply_add=5,
        float_divide=16,
        if_then=0,
    ),
    taken_cycles=0,
    return_cycles=1,
    narrow_only=False,
    two_loads=True,
)
