"""Cortex-M33, approximately.

Arm publishes no cycle table for it (ARM 100230 has none). Assumed: issue of two neighbouring
16-bit instructions in one cycle where they are independent, a load's result one cycle late, two
cycles to refill after a taken branch, other latencies as on Cortex-M4: the error is not known
from silicon.
"""

from __future__ import annotations

from budget.core.timing.dual_issue import DualIssue
from budget.core.timing.rules import plain_table

TIMING = DualIssue(
    core="cortex-m33",
    has=frozenset({"thumb2", "dsp", "fpu"}),
    source="assumed (Arm publishes no cycle table): pairs of 16-bit instructions, refill 2",
    issue=plain_table(divide=7, float_multiply_add=3, float_divide=14, special=2, if_then=0),
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
        divide=7,
        float_alu=2,
        float_multiply_add=3,
        float_divide=14,
        if_then=0,
    ),
    taken_cycles=2,
    return_cycles=2,
    narrow_only=True,
    two_loads=False,
)
