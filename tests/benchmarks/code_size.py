"""Writes budget/codegen/code_bytes.json: code and stack of reference networks on Cortex-M4.

    python tests/benchmarks/code_size.py [--networks | --few] [--compilers arm-none-eabi-gcc,clang]

The networks have seeded random weights; none of the models that the prediction is judged on is
among them. One test case of every operator and element type gives the kernels that no network has,
which takes most of the time; --networks leaves them and floats out, --few most networks, too: a
few minutes for each compiler. Compilers that are not named keep what the table has of them.
--clustered adds the kernel that only networks of clustered weights run, and leaves all else. The
table that ships is made by

    python tests/benchmarks/code_size.py --compilers arm-none-eabi-gcc
    python tests/benchmarks/code_size.py --compilers clang,ziglang --few
    python tests/benchmarks/code_size.py --clustered
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "ops"))

from single_operator import build, seeded  # noqa: E402

from budget import codegen  # noqa: E402
from budget.codegen.footprint import TABLE  # noqa: E402
from budget.codegen.options import EmitOptions  # noqa: E402
from budget.codegen.planning import plan_for  # noqa: E402
from budget.codegen.steps import can_write  # noqa: E402
from budget.graph import DType, Graph  # noqa: E402
from budget.ops import registry  # noqa: E402
from budget.plan.program import Program  # noqa: E402
from budget.shrinking.quantize import quantize_int8, random_samples  # noqa: E402
from budget.transforms.cluster import SIZES, cluster  # noqa: E402
from budget.tuning.code_size import COMPILERS, make_table  # noqa: E402
from budget.tuning.core_code import CORES, measure_core  # noqa: E402
from budget.zoo import load  # noqa: E402

NETWORKS = (
    "ds_cnn",
    "ds_cnn?width=20&blocks=3&classes=5",
    "ds_cnn?width=23&blocks=2&classes=3",
    "resnet8",
    "resnet8?width=13",
    "autoencoder",
    "digits_cnn",
    "mobilenet_v1?alpha=0.25&resolution=96&classes=2",
    "mobilenet_v1?alpha=0.17&resolution=96&classes=3",
    "mobilenet_v1?alpha=0.22&resolution=96&classes=2",
    "mobilenet_v2?alpha=0.35&resolution=96&classes=4",
)
FOR_CORES = (
    *("ds_cnn", "ds_cnn?width=20&blocks=3&classes=5", "resnet8", "resnet8?width=13"),
    *("autoencoder", "digits_cnn", "mobilenet_v1?alpha=0.25&resolution=96&classes=2"),
)
FEW = ("ds_cnn", "resnet8", "autoencoder", "mobilenet_v1?alpha=0.25&resolution=96&classes=2")
"""One network of each kind: other int8 networks like them are predicted well."""
PICTURES = ("resnet8", "mobilenet_v1?alpha=0.25&resolution=96&classes=2")
"""Networks whose inputs may also be 0 and more: another zero point, which code shows."""
TOGETHER = 8
"""Single operators in one program: to compile each on its own takes four times as long."""


@cache
def networks(names: tuple[str, ...]) -> list[tuple[Graph, Graph | None]]:
    """Each network in int8 and in float32."""
    found: list[tuple[Graph, Graph | None]] = []
    for name in names:
        graph = load(name)
        samples = random_samples(graph, 1)
        found.append((quantize_int8(graph, samples), graph))
        if name in PICTURES:
            positive = [{key: abs(value) for key, value in sample.items()} for sample in samples]
            found.append((quantize_int8(graph, positive), None))
    return found


@cache
def singles() -> list[Graph]:
    """One case of every operator and element type, some in one graph."""
    found = []
    for name in registry.names():
        operator = registry.get(name)
        for dtype in (DType.INT8, DType.INT16, DType.FLOAT32):
            cases = [case for case in operator.cases() if dtype in case.dtypes]
            if cases and can_write(name):
                single = build(operator, cases[0], dtype, seeded("code size", name, dtype))
                found.append(single.graph)
    count = -(-len(found) // TOGETHER)
    return [beside_each_other(found[start::count]) for start in range(count)]


def beside_each_other(graphs: list[Graph]) -> Graph:
    """One graph of several that know nothing of each other."""
    tensors, nodes, inputs, outputs = {}, [], [], []
    for index, graph in enumerate(graphs):
        names = {name: f"g{index}_{name}" if name else name for name in ("", *graph.tensors)}
        tensors |= {names[t.name]: replace(t, name=names[t.name]) for t in graph.tensors.values()}
        inputs += [names[name] for name in graph.inputs]
        outputs += [names[name] for name in graph.outputs]
        for node in graph.nodes:
            renamed = {
                "name": f"g{index}_{node.name}",
                "inputs": tuple(names[name] for name in node.inputs),
                "outputs": tuple(names[name] for name in node.outputs),
            }
            nodes.append(replace(node, **renamed))
    return Graph("several", "canonical", tensors, tuple(nodes), tuple(inputs), tuple(outputs))


def programs(
    options: EmitOptions, *, names: tuple[str, ...], with_singles: bool
) -> Iterator[Program]:
    """Each network in int8, tuned and portable, and in float32; then single operators."""
    portable = replace(options, target="portable")
    for quantized, real in networks(names):
        yield plan_for(quantized, options)
        if real is None:
            continue
        if options.kernel_target != portable.kernel_target:
            yield plan_for(quantized, portable)
        if with_singles:
            yield plan_for(real, portable)
    for graph in singles() if with_singles else ():
        yield plan_for(graph, portable)


def for_cores(options: EmitOptions) -> Iterator[Program]:
    """Networks in int8, as they are emitted for a core."""
    for quantized, _ in networks(FOR_CORES):
        yield plan_for(quantized, options)


def clustered(options: EmitOptions) -> Iterator[Program]:
    """Networks whose layers have code books, which are used for size alone."""
    for quantized, _ in networks(FEW) if options.optimise == "size" else ():
        for size in SIZES:
            yield plan_for(cluster(quantized, size)[0], options)


def with_new_kernels(known: dict[str, Any], found: dict[str, Any]) -> None:
    """Adds to the tables of compilers the kernels that they lack."""
    for compiler, table in found.items():
        for mode, sizes in table["modes"].items():
            here = known[compiler]["modes"][mode]
            for part in ("steps", "shared", "helpers"):
                here[part] = {**sizes[part], **here[part]}


def main(arguments: list[str]) -> None:
    """Measures, and writes the table."""
    named = [arg for before, arg in pairwise(arguments) if before == "--compilers"]
    names = named[0].split(",") if named else list(COMPILERS)
    place = Path(codegen.__file__).parent / TABLE
    if "--cores" in arguments:
        whole = json.loads(place.read_text())
        whole["cores"] = {core: measure_core(for_cores, core) for core in CORES}
        place.write_text(json.dumps(whole, indent=1, sort_keys=True) + "\n")
        return
    if "--clustered" in arguments:
        whole = json.loads(place.read_text())
        with_new_kernels(whole["compilers"], make_table(clustered, names)["compilers"])
        place.write_text(json.dumps(whole, indent=1, sort_keys=True) + "\n")
        return
    few = "--few" in arguments
    with_singles = not few and "--networks" not in arguments
    chosen = FEW if few else NETWORKS
    table = make_table(partial(programs, names=chosen, with_singles=with_singles), names)
    known = json.loads(place.read_text()).get("compilers", {}) if place.exists() else {}
    table["compilers"] = {**known, **table["compilers"]}
    if place.exists():
        table["cores"] = json.loads(place.read_text()).get("cores", {})
    lines = json.dumps(table, indent=1, sort_keys=True)
    place.write_text(lines + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
