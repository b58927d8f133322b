"""What the program knows of the software that runs a model: its cycles, code and RAM."""

from __future__ import annotations

from budget.errors import ProfileError
from budget.hardware.figure import Figure, Quantity, exact
from budget.hardware.schema import Profile, quantity, section
from budget.records import keyword_record


@keyword_record
class Cycles:
    """Cycles of a runtime's kernels on one core family.

    A core is either described by cycles per multiply-accumulate of each operator kind, or by
    cycles per FLOP, or borrowed: like another core, times a ratio. Cycles are those without wait
    states of the flash, unless the profile's `stalls` says that they are included.

    Attributes:
        like: core family whose prices are borrowed, times `ratio`.
        borrowed: what the prices rest on where the runtime has no measurements on this core.
        kernel_table: whether the table of measured kernels prices the steps that it knows; the
            other prices are for what it lacks.
        rows: distinct measurements of the runtime on this core that the prices were fitted to.
        residual_ratio: measured over estimated latency on this core, as a figure around 1.
        shallow_conv_mac: of convolutions over so few channels that words are not filled.
        output: to requantise and store one output of an operator with MACs.
        element: to process one element of an operator without.
        layer: for each operator, whatever its size.
        inference: for each inference.
    """

    like: str = ""
    borrowed: str = ""
    kernel_table: bool = False
    rows: int = 0
    ratio: Figure | None = quantity("ratio")
    residual_ratio: Figure | None = quantity("ratio")
    flop: Figure | None = quantity("cycles")
    conv_mac: Figure | None = quantity("cycles")
    shallow_conv_mac: Figure | None = quantity("cycles")
    pointwise_mac: Figure | None = quantity("cycles")
    depthwise_mac: Figure | None = quantity("cycles")
    fully_connected_mac: Figure | None = quantity("cycles")
    float_mac: Figure | None = quantity("cycles")
    output: Figure | None = quantity("cycles")
    element: Figure | None = quantity("cycles")
    layer: Figure | None = quantity("cycles")
    inference: Figure | None = quantity("cycles")


@keyword_record
class CodeSize:
    """Flash besides weights: the runtime itself, and what each operator type and step adds."""

    base_bytes: Figure | None = quantity("size")
    operator_bytes: Figure | None = quantity("size")
    step_bytes: Figure | None = quantity("size")


@keyword_record
class RamOverhead:
    """RAM besides the planned arena.

    Attributes:
        arena_ratio: what the runtime's own planner needs for activations, over what ours does.
        base_bytes: whatever the model.
        step_bytes: persistent structures for each step.
        tensor_bytes: persistent structures for each tensor.
        channel_bytes: for each output channel of a quantised convolution.
        stack_bytes: deepest stack of the inference call.
    """

    arena_ratio: Figure | None = quantity("ratio")
    base_bytes: Figure | None = quantity("size")
    step_bytes: Figure | None = quantity("size")
    tensor_bytes: Figure | None = quantity("size")
    channel_bytes: Figure | None = quantity("size")
    stack_bytes: Figure | None = quantity("size")


@keyword_record
class StepCycles:
    """A runtime's kernels on one core, resolved and ready to multiply."""

    runtime: str
    core: str
    table: Cycles
    ratio: Quantity
    borrowed_from: str = ""

    def mac(self, operator: str, *, is_float: bool = False) -> Quantity:
        """Cycles of one multiply-accumulate.

        Args:
            operator: ``conv``, ``shallow_conv``, ``pointwise``, ``depthwise`` or
                ``fully_connected``.
            is_float: whether the arithmetic is float32.
        """
        kinds = {
            "shallow_conv": self.table.shallow_conv_mac,
            "pointwise": self.table.pointwise_mac,
            "depthwise": self.table.depthwise_mac,
            "fully_connected": self.table.fully_connected_mac,
        }
        figure = kinds.get(operator) or self.table.conv_mac
        if is_float:
            figure = self.table.float_mac or figure
        if figure is not None:
            return (figure.quantity * self.ratio).as_unit("cycles")
        return (self._or_zero(self.table.flop) * 2).as_unit("cycles")

    def step(
        self, operator: str, *, macs: int, outputs: int, flops: int, is_float: bool = False
    ) -> Quantity:
        """Cycles of one step.

        Args:
            operator: one that `mac` knows, or ``other``.
            macs: multiply-accumulates of the step.
            outputs: elements it writes; of an operator without MACs, those it reads if more.
            flops: used only where the runtime is priced by FLOP.
            is_float: whether the arithmetic is float32.
        """
        if self.table.flop is not None:
            return (self.table.flop.quantity * self.ratio * flops).as_unit("cycles")
        each = self.table.output if macs else self.table.element or self.table.output
        cycles = self._or_zero(each) * outputs + self._or_zero(self.table.layer)
        if macs:
            cycles = cycles + self.mac(operator, is_float=is_float) * macs
        return cycles.as_unit("cycles")

    @property
    def lineage(self) -> str:
        """What the prices are borrowed from; empty where the runtime was measured on the core."""
        if self.borrowed_from:
            return self.borrowed_from
        return self.table.borrowed

    @property
    def inference(self) -> Quantity:
        """Cycles of one inference besides its steps."""
        return self._or_zero(self.table.inference).as_unit("cycles")

    def _or_zero(self, figure: Figure | None) -> Quantity:
        return exact(0.0, "cycles") if figure is None else figure.quantity * self.ratio


@keyword_record
class Runtime(Profile):
    """The software that runs a model.

    Attributes:
        version: what the figures hold for.
        based_on: id of the shipped runtime that this one was calibrated from; memory is planned
            as for that one.
        removes_constant_channels: whether channels that are the same for every input cost nothing.
        cycles: by core family; ``any`` serves every core that is not listed.
        residual_ratio: spread of measured over estimated inference latency, as a figure around 1;
            for cores that have none of their own.
        includes_stalls: whether the cycles hold the waits for the flash of the boards measured.
        code: flash besides the weights.
        ram: RAM besides the planned buffers.
    """

    version: str = ""
    based_on: str = ""
    removes_constant_channels: bool = False
    includes_stalls: bool = False
    cycles: dict[str, Cycles] = section(Cycles, many=True)
    residual_ratio: Figure | None = quantity("ratio")
    code: CodeSize = section(CodeSize, empty=True)
    ram: RamOverhead = section(RamOverhead, empty=True)

    @property
    def plan_id(self) -> str:
        """The id that decides how memory is planned."""
        return self.based_on or self.id

    def on(self, core: str) -> StepCycles:
        """Its kernels on a core family.

        Raises:
            ProfileError: the runtime does not know the core, or its borrowing goes in a circle.
        """
        ratio = exact(1.0, "ratio")
        name, visited = core if core in self.cycles else "any", [core]
        while name in self.cycles:
            table = self.cycles[name]
            if table.ratio is not None:
                ratio = ratio * table.ratio.quantity
            if not table.like:
                source = "" if name == core else f"its prices on {name}"
                return StepCycles(
                    runtime=self.id, core=core, table=table, ratio=ratio, borrowed_from=source
                )
            if table.like in visited:
                raise ProfileError(
                    f"cores borrow from each other in a circle: {' → '.join(visited)}",
                    where=f"{self.id}: cycles.{name}",
                    hint="give one of them its own cycles",
                )
            visited.append(table.like)
            name = table.like
        raise ProfileError(
            f"the runtime has no figures for {visited[-1] or 'this device'}",
            where=self.id,
            hint=f"it knows {', '.join(sorted(self.cycles)) or 'no core'}; "
            "add the core to its profile, or choose another runtime",
        )

    def supports(self, core: str) -> bool:
        """Whether `on` would answer."""
        return core in self.cycles or "any" in self.cycles
