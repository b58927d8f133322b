"""What a kernel does how often: the counts that its cycles are a weighted sum of.

Kernels for cores with the DSP extension are straight-line code in loops, so that their cycles are
almost exactly linear in how often each loop is entered and gone round. For the kernels that every
core has, which leave more to the compiler, coarser counts stand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

from budget.graph import DType, Node, TensorType
from budget.ops import Activation, Cost
from budget.ops.fixed_point import activation_bounds
from budget.plan.variants import (
    UNROLLED_BLOCKS,
    UNROLLED_ROWS,
    UNROLLED_STEPS,
    UNROLLED_TILES,
    columns_of,
    even_loops,
    gemm_loops,
    has_setting,
    kind_of,
    number_of,
    planes_of,
    pointwise_block,
    row_loops,
    row_words_of,
)
from budget.records import record

Features = dict[str, float]


@record
class Shape:
    """A step's shapes.

    Attributes:
        node: of the graph.
        types: deployed types.
        cost: arithmetic.
    """

    node: Node
    types: Mapping[str, TensorType]
    cost: Cost

    @property
    def x(self) -> TensorType:
        """First input; the output of a node without inputs."""
        return self.types[self.node.inputs[0]] if self.node.inputs else self.y

    @property
    def w(self) -> TensorType:
        """Weights."""
        return self.types[self.node.inputs[1]]

    @property
    def y(self) -> TensorType:
        """First output."""
        return self.types[self.node.outputs[0]]

    @cached_property
    def cuts(self) -> int:
        """Bounds, 0 to 2, that cut outputs where saturation alone would not."""
        low, high = self._bounds
        return (low > -128) + (high < 127)

    @cached_property
    def rounds_away(self) -> bool:
        """Whether ties of negative numbers must be rounded away from zero."""
        quant = self.y.quant
        return quant is not None and self._bounds[0] < int(quant.zero_point[0])

    @property
    def is_constant(self) -> bool:
        """Whether the bounds leave one value only."""
        low, high = self._bounds
        return low >= high

    @cached_property
    def signature(self) -> str:
        """Everything about a step that its cycles depend on, as a key."""
        node = self.node
        types = [self.types[name] for name in (*node.present_inputs, *node.outputs)]
        shapes = " ".join(["x".join(map(str, t.shape)) + f":{t.dtype.value}" for t in types])
        window = [
            getattr(node.attributes, name, None)
            for name in ("stride", "padding", "dilation", "filter", "activation")
        ]
        flat = "/".join(str(part).rpartition(".")[2] if part is not None else "" for part in window)
        return f"{node.op} {shapes} {flat} {self.cuts}{int(self.rounds_away)}"

    @cached_property
    def _bounds(self) -> tuple[int, int]:
        activation = getattr(self.node.attributes, "activation", None)
        if activation is None or self.y.dtype is not DType.INT8 or self.y.quant is None:
            return -128, 127
        return activation_bounds(Activation(activation), self.y)


def features_of(shape: Shape, variant: str) -> Features:
    """Counts by name; the same names for all shapes of an operator and variant."""
    counts = _FEATURES.get((shape.node.op, kind_of(variant)))
    if counts is None:
        return _general(shape)
    found = counts(shape, variant)
    finished = sum(each * found.get(name, 0) for name, each in _OUTPUTS.items())
    return {**found, "cuts": finished * shape.cuts, "ties": finished * shape.rounds_away}


# outputs that are scaled and stored for each of what is counted
_OUTPUTS = {
    "endings": 8,
    "resident fours": 4,
    "resident twos": 2,
    "streamed outputs": 1,
    "winograd outputs": 32,
    "small winograd outputs": 8,
    "fours of sums": 4,
}


def signature(shape: Shape) -> str:
    """Everything about a step that its cycles depend on, as a key."""
    return shape.signature


def _general(shape: Shape) -> Features:
    outputs = shape.y.element_count
    channels = shape.y.shape[-1] if shape.y.shape else 1
    pixels = outputs // max(channels, 1)
    taps = shape.cost.macs // max(outputs, 1)
    return {
        "macs": shape.cost.macs,
        "outputs": outputs,
        "inputs": shape.x.element_count,
        "pixels": pixels,
        "taps without channels": outputs * (_window(shape) if taps else 0),
        "one": 1,
    }


def _codebook(shape: Shape, _variant: str) -> Features:
    return {**_general(shape), "unpacked": shape.w.element_count}


def _window(shape: Shape) -> int:
    """Places in the window of a convolution; 1 for other products."""
    if shape.node.op in {"conv_2d", "depthwise_conv_2d"}:
        return shape.w.shape[1] * shape.w.shape[2]
    return 1


def _products(shape: Shape, variant: str, depth: int, calls: int, pixels: int) -> Features:
    """Of 2 pixels x 4 channels; `calls` of `pixels` each in all."""
    channels = shape.y.shape[3]
    times, steps = gemm_loops(depth, number_of(variant, "u", UNROLLED_STEPS))
    pairs, fours = calls * -(-pixels // 2), -(-channels // 4)
    # loops beyond the size of a small instruction cache wait for flash on every pass
    over = gemm_code(shape, steps) > 1024
    found: Features = {
        "products": pairs * fours * times * steps,
        "products in large loops": pairs * fours * times * steps if over else 0,
        "loops": pairs * fours * times if times > 1 else 0,
        "endings": pairs * fours,
        "endings of large loops": pairs * fours if over else 0,
        "ragged endings": pairs * fours if channels % 4 else 0,
        "pairs": pairs,
        "calls": calls * (1 + pixels % 2),
        "one": 1,
    }
    if has_setting(variant, "ram"):
        found |= {
            "staged": calls * fours * times * steps,
            "stages": calls * fours,
            "calls": calls * fours * (1 + pixels % 2),
            "lines": calls,
        }
    return found


def gemm_code(shape: Shape, steps: int) -> int:
    """About the bytes of code that one passage over four channels runs."""
    return steps * 50 + 350 + 8 * (8 * shape.cuts + 4 * shape.rounds_away)


def _pointwise(shape: Shape, variant: str) -> Features:
    depth = shape.x.shape[3]
    pixels = shape.y.element_count // shape.y.shape[3]
    block = pointwise_block(pixels, depth, variant)
    whole, rest = divmod(pixels, block)
    if not has_setting(variant, "ram"):
        found = _products(shape, variant, depth, 1, pixels)
        return {**found, "calls": whole + (rest > 0) + pixels % 2, "widened": pixels * depth}
    found = _products(shape, variant, depth, whole, block)
    last = _products(shape, variant, depth, 1 if rest else 0, rest)
    sums = {name: count + last[name] for name, count in found.items()}
    return {**sums, "one": 1, "widened": pixels * depth}


def _columns(shape: Shape, variant: str) -> Features:
    down = kind_of(variant) == "armv7em-columns-down"
    columns = columns_of(shape.node, shape.x, shape.w, shape.y, down=down)
    _, height, width, _ = shape.y.shape
    k_lines, in_c = shape.w.shape[2 if down else 1], shape.x.shape[3]
    stride = shape.node.attributes.stride[1 if down else 0]
    lines, pixels = (width, height) if down else (height, width)
    kept = k_lines - stride if k_lines >= 2 * stride else 0
    widened = k_lines + (lines - 1) * (k_lines - kept)
    depth = shape.w.element_count // shape.w.shape[0]
    found = _products(shape, variant, depth, lines, pixels)
    count = widened * columns.width
    kind = "fours" if in_c % 4 == 0 else "colours" if in_c == 3 else "single"
    for name in ("fours", "colours", "single"):
        found[f"widened {name}"] = count * in_c if kind == name else 0
        found[f"columns of {name}"] = count if kind == name else 0
    found["widened lines"] = widened
    found["moved"] = (lines - 1) * columns.width * columns.column if kept else 0
    return found


def _winograd(shape: Shape, variant: str) -> Features:
    size = 4 if variant.endswith("4") else 2
    rows, places = size + 2, (size + 2) ** 2
    _, height, width, out_c = shape.y.shape
    in_c, pairs = shape.x.shape[3], height // size * width // (2 * size)
    steps = in_c // 2
    times, per_loop = even_loops(steps, UNROLLED_TILES)
    products = pairs * places * out_c // 4
    # two outputs' worth of code besides the products runs for every four channels
    over = per_loop * 48 > 700
    return {
        "products": products * steps,
        "products in large loops": products * steps if over else 0,
        "loops": products * times if times > 1 else 0,
        "places": products,
        "winograd outputs" if size == 4 else "small winograd outputs": pairs * out_c,
        "fours": pairs * out_c // 4,
        "transforms": pairs * in_c,
        "pairs": pairs,
        "copied": height // size * rows * (width + 2) * in_c,
        "rows": height // size * rows,
        "one": 1,
    }


def _depthwise(shape: Shape, _variant: str) -> Features:
    planes = planes_of(shape.node, shape.x, shape.w, shape.y)
    stride_h, stride_w = shape.node.attributes.stride
    k_h, k_w = shape.w.shape[1:3]
    _, out_h, out_w, channels = shape.y.shape
    fours = -(-channels // 4)
    blocks = [min(planes.block, out_h - top) for top in range(0, out_h, planes.block)]
    seen = sum((rows - 1) * stride_h + k_h for rows in blocks)
    found: Features = {
        "taken apart": fours * seen * shape.x.shape[2],
        "rows taken apart": fours * seen,
        "filled": fours * len(blocks) * planes.words * k_h,
        "filled once": 4 * planes.words * planes.rows,
        "blocks": fours * len(blocks),
        "channels": fours,
        "one": 1,
    }
    if planes.together == 2:
        strips = 4 * fours * sum(-(-rows // 2) for rows in blocks)
        pairs = out_w // 2
        times, _ = even_loops(pairs, UNROLLED_BLOCKS)
        found |= {
            "resident fours": strips * pairs,
            "resident loops": strips * times if times > 1 else 0,
            "resident twos": strips * (out_w % 2),
            "resident strips": strips,
        }
        others = (0.0,) * 5
    else:
        found |= {f"resident {name}": 0 for name in ("fours", "loops", "twos", "strips")}
        others = _neighbours(4 * fours * out_h, out_w, (k_h, k_w), stride_w)
    names = ("loads", "products", "outputs", "groups", "rows")
    return found | dict(zip((f"streamed {name}" for name in names), others, strict=True))


def _neighbours(
    rows: int, out_w: int, window: tuple[int, int], stride: int
) -> tuple[float, float, float, float, float]:
    """Loads, products, outputs, groups and rows of the kernel that reads taps as it goes."""
    k_h, k_w = window
    words = row_words_of(k_w, stride, is_resident=False)

    def seen(outputs: int) -> int:
        return ((outputs - 1) * stride + k_w + 1) // 2

    together = 4 if seen(4) <= 5 else 2
    groups, rest = divmod(out_w, together)
    loads = products = 0
    for outputs, count in ((together, groups), (rest, 1 if rest else 0)):
        loads += count * k_h * (seen(outputs) + words)
        for index in range(outputs):
            odd = index * stride % 2
            products += count * k_h * (1 + k_w // 2 if odd else (k_w + 1) // 2)
    return rows * loads, rows * products, rows * out_w, rows * (groups + (rest > 0)), rows


def _rows(shape: Shape, variant: str) -> Features:
    channels = shape.w.shape[0]
    depth = shape.w.element_count // channels
    rows, eights, steps = shape.x.element_count // depth, -(-channels // 8), depth // 4
    _, per_loop = row_loops(depth, number_of(variant, "u", UNROLLED_ROWS))
    return {
        "products": rows * eights * steps,
        "loops": rows * eights * (steps // per_loop),
        "products in large loops": rows * eights * steps if per_loop * 116 > 600 else 0,
        "endings": rows * eights,
        "ragged endings": rows * eights if channels % 8 else 0,
        "widened": rows * depth,
        "rows": rows,
        "one": 1,
    }


def _add(shape: Shape, _variant: str) -> Features:
    count = shape.y.element_count
    return {"fours of sums": count // 4, "rest": count % 4, "one": 1}


def _sums(shape: Shape, _variant: str) -> Features:
    pixels = shape.y.element_count // shape.y.shape[3]
    fours = -(-shape.y.shape[3] // 4)
    rows, columns = shape.node.attributes.filter
    return {
        "pairs": pixels * fours * rows * (columns // 2),
        "singles": pixels * fours * rows * (columns % 2),
        "window rows": pixels * fours * rows,
        "outputs": pixels * fours,
        "pixels": pixels,
        "one": 1,
    }


_FEATURES: dict[tuple[str, str], Callable[[Shape, str], Features]] = {
    ("conv_2d", "armv7em-pointwise"): _pointwise,
    ("conv_2d", "armv7em-columns"): _columns,
    ("conv_2d", "armv7em-columns-down"): _columns,
    ("conv_2d", "armv7em-rows"): _rows,
    ("conv_2d", "armv7em-winograd2"): _winograd,
    ("conv_2d", "armv7em-winograd4"): _winograd,
    ("depthwise_conv_2d", "armv7em-planes"): _depthwise,
    ("fully_connected", "armv7em-rows"): _rows,
    ("conv_2d", "codebook"): _codebook,
    ("fully_connected", "codebook"): _codebook,
    ("add", "armv7em-table"): _add,
    ("average_pool_2d", "armv7em-sums"): _sums,
}


HOT_SHARE = 0.1
"""From this part of all MACs on, `balanced` gives a step a kernel of its own."""


def is_own(cost: Cost, macs: int, optimise: str) -> bool:
    """Whether a step's kernel is compiled into it.

    Args:
        cost: of the step.
        macs: of the whole program.
        optimise: mode that it will be emitted in.
    """
    if optimise == "balanced":
        return bool(cost.macs) and cost.macs >= HOT_SHARE * macs
    return optimise == "time"


def code_features(shape: Shape, variant: str, *, own: bool) -> Features:
    """What the code of a step and of the functions written for it consists of.

    Args:
        shape: of the step.
        variant: of its kernel.
        own: whether the kernel is compiled into the step.
    """
    kind = kind_of(variant)
    found: Features = {"one": 1, "cuts": shape.cuts, "ties": int(shape.rounds_away)}
    found["own"] = int(own)
    if kind in ("armv7em-pointwise", "armv7em-columns", "armv7em-columns-down"):
        depth = shape.w.element_count // shape.w.shape[0]
        times, steps = gemm_loops(depth, number_of(variant, "u", UNROLLED_STEPS))
        found |= {"steps": steps, "loop": int(times > 1), "ragged": int(shape.y.shape[3] % 4 > 0)}
        if kind != "armv7em-pointwise":
            found["colours"] = int(own and shape.x.shape[3] == 3)
            found["single"] = int(own and shape.x.shape[3] % 4 > 0)
    elif kind == "armv7em-rows":
        channels = shape.w.shape[0]
        times, steps = row_loops(
            shape.w.element_count // channels, number_of(variant, "u", UNROLLED_ROWS)
        )
        found |= {"steps": steps, "loop": int(times > 1), "ragged": int(channels % 8 > 0)}
    elif kind.startswith("armv7em-winograd"):
        times, steps = even_loops(shape.x.shape[3] // 2, UNROLLED_TILES)
        found |= {"steps": steps, "loop": int(times > 1)}
    elif kind == "armv7em-planes":
        planes = planes_of(shape.node, shape.x, shape.w, shape.y)
        k_h, k_w = shape.w.shape[1:3]
        resident = planes.together == 2
        pairs = shape.y.shape[2] // 2
        _, unrolled = even_loops(pairs, UNROLLED_BLOCKS)
        found |= {
            "resident": int(resident),
            "unrolled": unrolled if resident else 0,
            "odd": shape.y.shape[2] % 2 if resident else 0,
            "taps": 0 if resident else k_h * k_w,
        }
    return found
