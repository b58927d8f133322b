"""Cortex-M4 and M4F.

Source: Arm Cortex-M4 Processor Technical Reference Manual r0p1 (ARM DDI 0439), table 3-1
(instruction set summary), section 3.3.3 (load/store timings) and table 7-1 (floating-point
instruction set). P, the refill after a taken branch, is 1 to 3 there: 2 fits published
measurements best. A divide takes 2 to 12 cycles there, whatever its operands' lengths make of it.
Floating-point loads are taken to overlap as integer loads do: without it published times of
float networks are missed by 15 %.
"""

from __future__ import annotations

from budget.core.timing.rules import InOrder, plain_table

TIMING = InOrder(
    core="cortex-m4",
    has=frozenset({"thumb2", "dsp", "fpu"}),
    source="ARM DDI 0439 (r0p1), tables 3-1 and 7-1, section 3.3.3; P = 2, divide 7",
    table=plain_table(
        divide=7,
        load=2,
        load_double=3,
        store=2,
        store_double=3,
        table_branch=6,
        special=2,
        float_multiply_add=3,
        float_divide=14,
        float_load=2,
        float_store=2,
    ),
    refill=2,
    pipelines=True,
    address_stall=1,
    link_cycles=0,
    load_pc_cycles=5,
    pop_refill=2,
)
