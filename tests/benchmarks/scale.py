"""How checks grow with the model: python tests/benchmarks/scale.py [--nodes 50000] [--device ID]

Writes graphs of four shapes and a TensorFlow chain, each of N and of 2 N operators, and runs the
whole of `budget check` on each in a process of its own. Prints processor time and peak memory of
that process, and fails where twice the operators need more than 2.3 times the time or 2 GiB.
`--stages FILE` prints instead where one file's time goes.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from budget.graph import DType, Graph, GraphBuilder, QuantParams, TensorType
from budget.graph.types import Array

MAX_RATIO = 2.3
MAX_BYTES = 2 << 30
WIDTH = 1000  # branches
SKIPS = 8
QUANT = QuantParams.per_tensor(0.1, 3)
IMAGE = TensorType((1, 4, 4, 4), DType.INT8, QUANT)


class _Int8:
    """An int8 network of small images, four channels each."""

    def __init__(self, name: str) -> None:
        from budget.ops import registry

        self.builder = GraphBuilder(name)
        self.source = np.random.default_rng(7)
        self.convolution = registry.get("conv_2d").Attributes()
        self.add = registry.get("add").Attributes()
        self.concat = registry.get("concat").Attributes(axis=3)
        self.count = 0

    def node(self, op: str, inputs: list[str], attributes: object, type: TensorType = IMAGE) -> str:
        out = self.builder.tensor(f"t{self.count}", type)
        self.count += 1
        self.builder.node(op, inputs, [out], attributes)
        return out

    def convolve(self, x: str) -> str:
        channels = self.builder.tensors[x].type.shape[-1]
        weights = self.source.integers(-127, 128, (4, 1, 1, channels), np.int8)
        scale = np.full(4, 0.02, np.float32)
        number = self.count
        w = self.builder.constant(f"w{number}", weights, QuantParams.per_channel(scale, 0))
        bias = np.zeros(4, np.int32)
        b = self.builder.constant(
            f"b{number}", bias, QuantParams.per_channel(scale * np.float32(0.1), 0)
        )
        return self.node("conv_2d", [x, w, b], self.convolution)

    def join(self, inputs: list[str]) -> str:
        type = TensorType((1, 4, 4, 4 * len(inputs)), DType.INT8, QUANT)
        return self.node("concat", inputs, self.concat, type)

    def finish(self, *outputs: str) -> Graph:
        self.builder.output(*outputs)
        return self.builder.build()


def chain(count: int) -> Graph:
    """Convolutions one behind the other."""
    net = _Int8("chain")
    x = net.builder.input("input", IMAGE)
    while net.count < count:
        x = net.convolve(x)
    return net.finish(x)


def residual(count: int) -> Graph:
    """Blocks of two convolutions and a sum with what went in."""
    net = _Int8("residual")
    x = net.builder.input("input", IMAGE)
    while net.count < count:
        y = net.convolve(net.convolve(x))
        x = net.node("add", [x, y], net.add)
    return net.finish(x)


def dense(count: int) -> Graph:
    """Every convolution reads the eight results before it, joined."""
    net = _Int8("dense")
    results = [net.builder.input("input", IMAGE)]
    while net.count < count:
        results.append(net.convolve(net.join(results[-SKIPS:])))
    return net.finish(results[-1])


def branches(count: int) -> Graph:
    """A thousand chains between one tensor and one join, written in turns."""
    net = _Int8("branches")
    x = net.builder.input("input", IMAGE)
    ends = [x] * WIDTH
    while net.count < count - 1:
        place = net.count % WIDTH
        ends[place] = net.convolve(ends[place])
    return net.finish(net.join(ends))


def tensorflow_chain(count: int) -> bytes:
    """A frozen graph: convolution, bias, activation, and again."""
    from budget.formats.tensorflow_schema import DataType
    from budget.writers.graphdef import write_graphdef

    builder = GraphBuilder("chain", "tf")
    type = TensorType((1, 4, 4, 4), DType.FLOAT32)
    x = builder.input("input", type)
    source = np.random.default_rng(7)
    floats = {"T": DataType.FLOAT}
    window = {"strides": (1, 1, 1, 1), "padding": b"SAME", "data_format": b"NHWC"} | floats

    def node(op: str, inputs: list[str], attributes: dict[str, object]) -> str:
        out = builder.tensor(f"{op}{len(builder.nodes)}", type)
        builder.node(f"tf.{op}", inputs, [out], attributes)
        return out

    def constant(*shape: int) -> str:
        data: Array = source.standard_normal(shape).astype(np.float32) / 4
        return builder.constant(f"c{len(builder.tensors)}", data)

    while len(builder.nodes) < count:
        x = node("Conv2D", [x, constant(1, 1, 4, 4)], window)
        if len(builder.nodes) < count:
            x = node("BiasAdd", [x, constant(4)], floats | {"data_format": b"NHWC"})
        if len(builder.nodes) < count:
            x = node("Relu", [x], floats)
    builder.output(x)
    return write_graphdef(builder.build())


SHAPES: dict[str, Callable[[int], Graph]] = {
    shape.__name__: shape for shape in (chain, residual, dense, branches)
}


def write(shape: str, count: int, folder: Path) -> Path:
    """A model file of one shape."""
    from budget.writers.tflite import write_tflite

    if shape == "graphdef":
        path = folder / f"{shape}_{count}.pb"
        path.write_bytes(tensorflow_chain(count))
    else:
        path = folder / f"{shape}_{count}.tflite"
        write_tflite(SHAPES[shape](count), path)
    return path


def written(shape: str, count: int, folder: Path) -> Path:
    """`write` in another process, so that this one, from which others are forked, stays small."""
    words = [sys.executable, __file__, "--write", shape, "--nodes", str(count)]
    path = subprocess.run([*words, "--folder", folder], check=True, capture_output=True, text=True)
    return Path(path.stdout.strip())


def measure(path: Path, device: str, runtime: str) -> tuple[float, int, int]:
    """Processor seconds, peak bytes and exit status of `budget check` in a child process."""
    words = [sys.executable, "-m", "budget", "check", str(path), "--device", device]
    words += ["--runtime", runtime, "--rate", "1/s", "--json"]
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert child.stderr is not None
    said = child.stderr.read()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in (0, 1, 6):
        sys.stderr.write(said.decode())
    return used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, child.returncode


def stages(path: Path, device: str, runtime: str) -> None:
    """Where the time of one check goes."""
    from budget.api import models
    from budget.api.check import check
    from budget.graph import verify
    from budget.plan import plan

    def timed(what: str, run: Callable[[], object]) -> object:
        start = time.process_time()
        result = run()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        print(f"{what:8} {time.process_time() - start:7.2f} s {peak:6} MiB", flush=True)
        return result

    raw = timed("read", lambda: models.load(path))
    assert isinstance(raw, Graph)
    graph = timed("lower", lambda: models.lower(raw))
    assert isinstance(graph, Graph)
    timed("verify", lambda: verify(graph))
    timed("plan", lambda: plan(graph, runtime=runtime))
    result = timed("check", lambda: check(raw, device=device, runtime=runtime, rate_hz=1.0))
    timed("document", result.to_json)  # type: ignore[attr-defined]


def main() -> int:
    """Prints the table; 1 where a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=50_000)
    parser.add_argument("--device", default="stm32u575")
    parser.add_argument("--runtimes", default="tflm-cmsis-nn,budget-c")
    parser.add_argument("--shapes", default=",".join((*SHAPES, "graphdef")))
    parser.add_argument("--stages", type=Path)
    parser.add_argument("--write")
    parser.add_argument("--folder", type=Path, default=Path())
    given = parser.parse_args()
    if given.stages:
        stages(given.stages, given.device, given.runtimes.split(",")[0])
        return 0
    if given.write:
        print(write(given.write, given.nodes, given.folder))
        return 0
    broken = 0
    print("runtime        shape      operators  seconds     MiB  ratio")
    with tempfile.TemporaryDirectory() as folder:
        for shape in given.shapes.split(","):
            paths = [written(shape, size, Path(folder)) for size in (given.nodes, 2 * given.nodes)]
            for runtime in given.runtimes.split(","):
                before = 0.0
                for size, path in zip((given.nodes, 2 * given.nodes), paths):
                    seconds, peak, status = measure(path, given.device, runtime)
                    ratio = seconds / before if before else 0.0
                    bad = ratio > MAX_RATIO or peak > MAX_BYTES or status not in (0, 1, 6)
                    broken += bad
                    text = f"{ratio:5.2f}" if before else "     "
                    print(
                        f"{runtime:14} {shape:10} {size:9,} {seconds:8.1f} {peak >> 20:7,}  {text}"
                        f"{'  TOO MUCH' if bad else ''}",
                        flush=True,
                    )
                    before = seconds
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
