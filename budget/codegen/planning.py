"""The plan of a graph for what the user decided about the emitted C."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from budget.codegen.footprint import predict
from budget.codegen.options import EmitOptions
from budget.codegen.source import write_steps
from budget.graph import Graph
from budget.plan.chooser import NO_LIMITS, SHIPPED, Knowledge, Limits
from budget.plan.fitting import plan_within
from budget.plan.patching import plan_in_patches
from budget.plan.program import Program

_ATTEMPTS = 6


def plan_for(
    graph: Graph,
    options: EmitOptions,
    *,
    remove_constant_channels: bool = True,
    limits: Limits = NO_LIMITS,
    knowledge: Knowledge = SHIPPED,
) -> Program:
    """Plans a graph as `emit` writes it.

    Args:
        graph: canonical, in the precision to deploy.
        options: target and optimisation decide; ``size`` runs first layers in bands of rows where
            that saves RAM.
        remove_constant_channels: leave out what is the same for every input; exact.
        limits: of the device: implementations are chosen so that flash and RAM of the whole
            firmware, as predicted, stay within them, if that is possible.
        knowledge: what implementations are chosen from.

    Raises:
        UnsupportedModelError: an operator is not known; all such are listed.
    """
    if options.optimise == "size":
        return plan_in_patches(
            graph,
            remove_constant_channels=remove_constant_channels,
            target=options.kernel_target,
            optimise=options.optimise,
        )
    make = partial(
        plan_within,
        graph,
        remove_constant_channels=remove_constant_channels,
        target=options.kernel_target,
        optimise=options.optimise,
        knowledge=knowledge,
    )
    program = make(limits=limits)
    left = limits
    for _ in range(_ATTEMPTS):
        if program.choice is None or (limits.flash_bytes is None and limits.ram_bytes is None):
            break
        found = predict(write_steps(program, options))
        over_flash = found.flash_bytes - (limits.flash_bytes or found.flash_bytes)
        over_ram = found.ram_bytes - (limits.ram_bytes or found.ram_bytes)
        if over_flash <= 0 and over_ram <= 0:
            break
        # what is not chosen, and what is predicted otherwise, takes its part of the limits
        if over_flash > 0:
            left = replace(left, flash_bytes=max(0, program.choice.flash_bytes - over_flash))
        if over_ram > 0:
            left = replace(left, ram_bytes=max(0, program.arena_bytes - over_ram))
        tighter = make(limits=left)
        if tighter.choice is None or tighter.steps == program.steps:
            break
        program = tighter
    if program.choice is None:
        return program
    return replace(
        program,
        choice=replace(
            program.choice,
            flash_limit_bytes=limits.flash_bytes,
            ram_limit_bytes=limits.ram_bytes,
        ),
    )
