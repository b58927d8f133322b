"""Cortex-M3.

Source: Arm Cortex-M3 Technical Reference Manual r2p1 (ARM DDI 0337), table 3-1 and section 3.3.3.
Long multiplies end early there: 3 to 5 cycles, 4 to 7 with an addition; the middle is used.
"""

from __future__ import annotations

from budget.core.timing.rules import InOrder, plain_table

TIMING = InOrder(
    core="cortex-m3",
    has=frozenset({"thumb2"}),
    source="ARM DDI 0337 (r2p1), table 3-1, section 3.3.3; P = 2, divide 7, long multiply 4 and 6",
    table=plain_table(
        multiply_add=2,
        multiply_long=4,
        multiply_add_long=6,
        divide=7,
        load=2,
        load_double=3,
        store=2,
        store_double=3,
        table_branch=6,
        special=2,
    ),
    refill=2,
    pipelines=True,
    address_stall=1,
    link_cycles=0,
    load_pc_cycles=5,
    pop_refill=2,
)
