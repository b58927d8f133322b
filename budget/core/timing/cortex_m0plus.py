"""Cortex-M0+.

Source: Arm Cortex-M0+ Technical Reference Manual r0p1 (ARM DDI 0484), table 3-1, with the
single-cycle multiplier (the other option takes 32 cycles) and memory on the system bus.
"""

from __future__ import annotations

from budget.core.timing.rules import InOrder, plain_table

TIMING = InOrder(
    core="cortex-m0plus",
    has=frozenset(),
    source="ARM DDI 0484 (r0p1), table 3-1, single-cycle multiplier",
    table=plain_table(load=2, store=2, special=3, barrier=3),
    refill=1,
    pipelines=False,
    address_stall=0,
    link_cycles=1,
    load_pc_cycles=4,
    pop_refill=2,
)
