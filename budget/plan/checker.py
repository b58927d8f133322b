"""Checks a finished program's memory without the planner's help.

Two looks at the same plan. One sweeps over the steps and compares the buffers that are alive. The
other ignores buffers and lifetimes: it plays the program on a map of the arena that remembers whose
value every byte holds, so that a step which reads bytes that something else has overwritten is
found whatever the planner believed.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

from budget.errors import InvalidGraphError
from budget.ops import registry
from budget.plan.accesses import destroys_input, planes_destroy_input, selected_elements
from budget.plan.overlays import LOOKAHEAD, PLANES
from budget.plan.program import Buffer, Program, Role, Step
from budget.plan.variants import kind_of, planes_of

Piece = tuple[int, int, str]
"""Start in the arena, end (exclusive), and the name of the value that lies there."""


def check_plan(program: Program) -> Program:
    """Returns the program, or raises if its memory cannot work.

    Raises:
        InvalidGraphError: a defect of the planner: a step runs before its inputs exist or after
            they are overwritten, two live buffers overlap, a tensor leaves its buffer, an offset
            is not aligned, the arena is too small.
    """
    problems = [*_buffer_problems(program), *_overlap_problems(program)]
    if not problems:
        problems = list(_Playback(program).problems())
    if problems:
        raise InvalidGraphError(f"plan of {program.graph.name!r}: " + "; ".join(problems[:10]))
    return program


def _buffer_problems(program: Program) -> Iterator[str]:
    for name, buffer in program.buffers.items():
        if name != buffer.name:
            yield f"buffer {buffer.name!r} is stored as {name!r}"
        if buffer.offset_bytes < 0 or buffer.offset_bytes % program.alignment_bytes:
            yield f"buffer {name!r} lies at {buffer.offset_bytes}, which is not aligned"
        if buffer.offset_bytes + buffer.size_bytes > program.arena_bytes - program.persistent_bytes:
            yield f"buffer {name!r} leaves the arena of {program.arena_bytes} bytes"
    for tensor, location in program.locations.items():
        if location.buffer not in program.buffers:
            yield f"tensor {tensor!r} lies in buffer {location.buffer!r}, which does not exist"
            continue
        element_bytes = min(4, max(1, program.types[tensor].dtype.bits // 8))
        if location.offset_bytes % element_bytes:
            yield f"tensor {tensor!r} is not aligned"
        end = location.offset_bytes + program.types[tensor].size_bytes
        if location.offset_bytes < 0 or end > program.buffers[location.buffer].size_bytes:
            yield f"tensor {tensor!r} leaves its buffer {location.buffer!r}"
    if sorted(step.node.name for step in program.steps) != sorted(
        node.name for node in program.graph.nodes
    ):
        yield "the steps are not the graph's nodes"
    if any(step.index != index for index, step in enumerate(program.steps)):
        yield "the steps are not numbered in order"


def _overlap_problems(program: Program) -> Iterator[str]:
    """Sweeps over time with the live buffers sorted by offset: only neighbours can collide.

    An input that dies under the output of its step ends a moment earlier here; what that step
    does to it, byte by byte, is for `_Playback` to judge.
    """
    buffers = [buffer for buffer in program.buffers.values() if buffer.size_bytes]
    overlaid = {step.index for step in program.steps if step.overlaid_bytes}
    under = {
        program.locations[step.node.inputs[0]].buffer
        for step in program.steps
        if step.index in overlaid and step.node.inputs[0] in program.locations
    }
    # at equal times an end comes before a start; a buffer that ends at t still blocks t
    events = [(2 * buffer.first_step, 1, index) for index, buffer in enumerate(buffers)]
    events += [
        (2 * buffer.last_step + (not _is_under(buffer, under, overlaid)), 0, index)
        for index, buffer in enumerate(buffers)
    ]
    live: list[tuple[int, int]] = []
    for _, is_start, index in sorted(events):
        buffer = buffers[index]
        key = (buffer.offset_bytes, index)
        if not is_start:
            position = bisect_left(live, key)
            if position < len(live) and live[position] == key:
                del live[position]
            continue
        position = bisect_left(live, key)
        for _, other in live[max(0, position - 1) : position + 1]:
            if _share_bytes(buffer, buffers[other]):
                yield f"buffers {buffer.name!r} and {buffers[other].name!r} overlap"
        insort(live, key)


def _is_under(buffer: Buffer, under: set[str], overlaid: set[int]) -> bool:
    is_born_earlier = buffer.first_step < buffer.last_step
    return buffer.name in under and buffer.last_step in overlaid and is_born_earlier


def _share_bytes(one: Buffer, other: Buffer) -> bool:
    return (
        one.offset_bytes < other.offset_bytes + other.size_bytes
        and other.offset_bytes < one.offset_bytes + one.size_bytes
    )


class _Playback:
    """The arena as a sorted list of runs of bytes, each with the value that it holds."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.values: list[str] = []
        self.pieces: dict[str, list[Piece]] = {}

    def problems(self) -> Iterator[str]:
        """What goes wrong from before the first step until after the last."""
        graph = self.program.graph
        variables = [name for name, tensor in graph.tensors.items() if tensor.is_variable]
        for name in (*graph.inputs, *variables):
            if name in self.program.locations:
                self._write(name, name)
        scratch: dict[int, list[Buffer]] = {}
        for buffer in self.program.buffers.values():
            if buffer.role is Role.SCRATCH:
                scratch.setdefault(buffer.first_step, []).append(buffer)
        done: set[str] = set()
        for step in self.program.steps:
            yield from self._play(step, scratch.get(step.index, []))
            for name in step.node.control_inputs:
                if name not in done:
                    yield f"step {step.node.name!r} runs before {name!r}"
            done.add(step.node.name)
        for name in (*graph.outputs, *variables):
            if not self._holds(name):
                yield f"{name!r} is lost before the end"

    def _play(self, step: Step, scratch: list[Buffer]) -> Iterator[str]:
        node = step.node
        for buffer in scratch:
            self._put(buffer.offset_bytes, buffer.offset_bytes + buffer.size_bytes, buffer.name)
        for name in node.present_inputs:
            if not self._holds(name):
                yield f"step {node.name!r} reads {name!r}, which is not there"
        if not step.kernel:
            yield from self._adopt(step)
            return
        for index, name in enumerate(node.inputs):
            clash = self._overwritten(step, index)
            if clash:
                yield f"step {node.name!r} writes {clash!r} over its input {name!r}"
        for name in node.outputs:
            if name not in self.program.locations:
                yield f"step {node.name!r} writes {name!r}, which has no place"
                continue
            self._write(name, f"{name}#{step.index}")
        for name in node.outputs:
            if name in self.pieces and not self._holds(name):
                yield f"step {node.name!r} writes two outputs in one place"
        for buffer in scratch:
            for name in node.outputs:
                if _meet(self.pieces.get(name, []), buffer):
                    yield f"step {node.name!r} writes {name!r} over its scratch"

    def _adopt(self, step: Step) -> Iterator[str]:
        """A step without a kernel: outputs are bytes of its inputs, where they lie already."""
        node = step.node
        sources = node.present_inputs if len(self._located(step)) > 1 else node.inputs[:1]
        pieces = [piece for name in sources for piece in self.pieces.get(name, [])]
        parts = selected_elements(node, self.program.types)
        for index, out in enumerate(node.outputs):
            if out not in self.program.locations:
                if any(name in self.program.locations for name in node.present_inputs):
                    yield f"view {out!r} has no place but its source has"
                continue
            if parts is None:
                yield from self._adopt_pieces(out, pieces)
                continue
            first = parts[index]
            if first is None:
                yield f"view {out!r} is no run of its source"
                continue
            size = self.program.types[out].dtype.bits // 8
            start = self._range(sources[0])[0] + first * size
            stop = start + self.program.types[out].size_bytes
            cut = [(max(a, start), min(b, stop), value) for a, b, value in pieces]
            yield from self._adopt_pieces(out, [piece for piece in cut if piece[0] < piece[1]])

    def _adopt_pieces(self, out: str, pieces: list[Piece]) -> Iterator[str]:
        start, end = self._range(out)
        at = start
        for piece_start, piece_end, _ in pieces:
            if piece_start != at:
                break
            at = piece_end
        if at != end:
            yield f"view {out!r} is not the bytes of its sources"
        self.pieces[out] = pieces

    def _located(self, step: Step) -> list[str]:
        return [name for name in step.node.present_inputs if name in self.program.locations]

    def _overwritten(self, step: Step, index: int) -> str | None:
        """The output that a step writes over input ``index``, if it must not."""
        name = step.node.inputs[index]
        if name not in self.program.locations or not step.node.outputs:
            return None
        start, end = self._range(name)
        for position, out in enumerate(step.node.outputs):
            if out not in self.program.locations or out == name:
                continue
            out_start, out_end = self._range(out)
            if start >= out_end or out_start >= end:
                continue
            allowed = index in registry.get(step.node.op).overwrites and position == 0
            same = (start, end) == (out_start, out_end)
            shapes = self.program.types[name].shape == self.program.types[out].shape
            if allowed and same and shapes:
                continue
            if step.variant == PLANES and same and shapes and not index and not position:
                types = self.program.types
                x, weights, y = (types[n] for n in (*step.node.inputs[:2], out))
                block = planes_of(step.node, x, weights, y).block
                if not planes_destroy_input(step.node, types, block):
                    continue
            lookahead = LOOKAHEAD.get((step.kernel, kind_of(step.variant)))
            if lookahead is None or index or position:
                return out
            if destroys_input(step.node, self.program.types, start, out_start, lookahead):
                return out
        return None

    def _range(self, tensor: str) -> tuple[int, int]:
        location = self.program.locations[tensor]
        start = self.program.buffers[location.buffer].offset_bytes + location.offset_bytes
        return start, start + self.program.types[tensor].size_bytes

    def _write(self, tensor: str, value: str) -> None:
        start, end = self._range(tensor)
        self._put(start, end, value)
        self.pieces[tensor] = [(start, end, value)] if end > start else []

    def _put(self, start: int, end: int, value: str) -> None:
        """Replaces whatever lies in [start, end), cutting runs that reach across its borders."""
        if start >= end:
            return
        first = bisect_right(self.ends, start)
        last = bisect_left(self.starts, end)
        runs = [(start, end, value)]
        if first < last and self.starts[first] < start:
            runs.insert(0, (self.starts[first], start, self.values[first]))
        if first < last and self.ends[last - 1] > end:
            runs.append((end, self.ends[last - 1], self.values[last - 1]))
        self.starts[first:last] = [run[0] for run in runs]
        self.ends[first:last] = [run[1] for run in runs]
        self.values[first:last] = [run[2] for run in runs]

    def _holds(self, tensor: str) -> bool:
        """Whether every byte of the tensor is what was last written to it."""
        if tensor not in self.program.locations:
            return self._is_in_flash(tensor)
        if tensor not in self.pieces:
            return False
        for start, end, value in self.pieces[tensor]:
            index = bisect_right(self.starts, start) - 1
            whole = index >= 0 and self.ends[index] >= end
            if not whole or self.values[index] != value:
                return False
        return True

    def _is_in_flash(self, tensor: str) -> bool:
        """Whether a tensor is a constant, or a view of one."""
        graph = self.program.graph
        while not graph.tensors[tensor].is_constant:
            producer = graph.producers.get(tensor)
            if producer is None or not registry.get(producer.op).is_view:
                return False
            tensor = producer.inputs[0]
        return True


def _meet(pieces: list[Piece], buffer: Buffer) -> bool:
    stop = buffer.offset_bytes + buffer.size_bytes
    return any(start < stop and buffer.offset_bytes < end for start, end, _ in pieces)
