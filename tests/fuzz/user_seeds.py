"""Small sound files of what users give besides models; made here, so that none need be kept."""

from __future__ import annotations

import io
import json
import struct
import wave
import zlib
from functools import cache
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import mutators
import numpy as np
import seeds
from mutators import zipped

from budget.graph import DType, Graph, GraphBuilder, QuantParams, TensorType

if TYPE_CHECKING:
    from budget.transforms.tool.nodes import NodeGraph

_ROOT = Path(__file__).parents[2]
_QUANT = QuantParams.per_tensor(0.5, 3)
TRANSFORMS = (
    "remove_nodes(op=Identity), fold_constants(ignore_errors=true), fold_batch_norms, "
    "fold_old_batch_norms, merge_duplicate_nodes, remove_control_dependencies, merge_reshapes, "
    "fuse_bias_and_activation(ignore_errors=true), quantize_weights(ignore_errors=true), "
    "round_weights, sort_by_execution_order"
)


# graphs that files are read for


@cache
def one_input(shape: tuple[int, ...]) -> Graph:
    builder = GraphBuilder("one")
    builder.input("x", TensorType(shape, DType.FLOAT32))
    return builder.build()


@cache
def quantised_inputs() -> Graph:
    builder = GraphBuilder("quantised")
    builder.input("a", TensorType((1, 2), DType.INT8, _QUANT))
    builder.input("b", TensorType((1, 3), DType.FLOAT32))
    return builder.build()


@cache
def classifier() -> Graph:
    from budget.ops import registry

    builder = GraphBuilder("classifier")
    x = builder.input("x", TensorType((1, 4), DType.FLOAT32))
    y = builder.tensor("y", TensorType((1, 4), DType.FLOAT32))
    builder.node("softmax", [x], [y], registry.get("softmax").Attributes())
    builder.output(y)
    return builder.build()


@cache
def requantising() -> NodeGraph:
    """Nodes of which one may have its range frozen."""
    from budget.formats.tensorflow_schema import GRAPH_DEF, DataType
    from budget.transforms.tool.nodes import NodeGraph

    nodes = [
        seeds._node("x", "Placeholder", dtype=DataType.QINT32),
        seeds._constant("low", np.float32(-1)),
        seeds._constant("high", np.float32(1)),
        seeds._node("range", "RequantizationRange", "x", "low", "high", Tinput=DataType.QINT32),
        seeds._node("lowest", "Identity", "range", T=DataType.FLOAT),
        seeds._node("highest", "Identity", "range:1", T=DataType.FLOAT),
    ]
    return NodeGraph.decode(GRAPH_DEF.new(node=nodes).encode(), "fuzz.pb")


# files


@cache
def pictures() -> list[bytes]:
    """One of each kind that is named; with a palette, grey, transparent, turned on its side."""
    from PIL import Image

    pixels = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3) * 4
    plain = Image.fromarray(pixels)
    made = []
    for image, kind in (
        (plain, "PNG"), (plain, "JPEG"), (plain, "BMP"), (plain, "GIF"), (plain, "PPM"),
        (plain, "WEBP"), (plain.convert("P"), "PNG"), (plain.convert("RGBA"), "PNG"),
        (plain.convert("1"), "PNG"), (plain.convert("I;16"), "PNG"),
    ):  # fmt: skip
        buffer = io.BytesIO()
        image.save(buffer, kind)
        made.append(buffer.getvalue())
    return made


def picture(data: bytes, chance: Random) -> bytes:
    """Changes chunks of a PNG file so that their checksums are right, or pixels before packing."""
    if not data.startswith(b"\x89PNG") or chance.random() < 0.2:
        return mutators.raw(data, chance)
    chunks, at = [], 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        chunks.append([data[at + 4 : at + 8], data[at + 8 : at + 8 + size]])
        at += 12 + size
    if not chunks:
        return mutators.raw(data, chance)
    chunk = chance.choice(chunks)
    kind = chance.randrange(6)
    if kind == 0:
        chunks.remove(chunk)
    elif kind == 1:
        chunks.insert(chance.randint(0, len(chunks)), chunk)
    elif kind == 2:
        chunk[0] = chance.choice((b"tRNS", b"PLTE", b"iCCP", b"zTXt", b"eXIf", b"acTL", b"fdAT"))
    elif chunk[0] in (b"IDAT", b"zTXt", b"iCCP") and kind < 5:
        try:
            inner = zlib.decompress(chunk[1])[: 1 << 20]
        except zlib.error:
            inner = b""
        bomb = bytes(1 << chance.randint(0, 24))
        chunk[1] = zlib.compress(bomb if kind == 3 else mutators.raw(inner, chance), 1)
    elif chunk[0] == b"IHDR" and kind == 3:
        sides = (0, 1, 4, 5, 1000, 9000, 13_000, 18_000, 1 << 16, (1 << 31) - 1)
        chunk[1] = struct.pack(">II", chance.choice(sides), chance.choice(sides)) + chunk[1][8:]
    else:
        chunk[1] = mutators.raw(chunk[1], chance)
    out = data[:8]
    for name, body in chunks:
        checksum = zlib.crc32(name + body)
        out += struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum)
    return out


@cache
def sounds() -> list[bytes]:
    """A hundredth of a second."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(np.arange(160, dtype="<i2").tobytes())
    extensible = struct.pack("<HHIIHHHHI", 0xFFFE, 1, 16_000, 32_000, 2, 16, 22, 16, 4)
    extensible += bytes.fromhex("0100000000001000800000aa00389b71")
    chunks = b"fmt " + struct.pack("<I", len(extensible)) + extensible + b"data\x04\0\0\0\1\0\2\0"
    riff = b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WAVE" + chunks
    return [buffer.getvalue(), riff]


@cache
def examples() -> list[bytes]:
    """Arrays with labels, as they are and packed."""
    values, labels = np.zeros((40, 4), np.float32), np.arange(40, dtype=np.uint8) % 4
    packed, one, other = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.savez_compressed(packed, inputs=values, labels=labels)
    np.save(one, values)
    np.save(other, labels)
    members = [("x.npy", one.getvalue()), ("labels.npy", other.getvalue())]
    return [zipped(members), packed.getvalue(), one.getvalue()]


@cache
def inputs() -> list[bytes]:
    """Arrays for two inputs, one of them quantised."""
    stored, real = io.BytesIO(), io.BytesIO()
    np.savez(stored, a=np.zeros((2, 2), np.int8), b=np.zeros((2, 3), np.float32))
    np.savez(real, a=np.zeros((1, 2), np.float32), b=np.zeros((1, 3), np.float64))
    return [stored.getvalue(), real.getvalue()]


def _shipped_front_end() -> str:
    return (_ROOT / "budget/zoo/models/hotword.features.toml").read_text()


@cache
def front_end_table() -> dict[str, Any]:
    import tomllib

    return tomllib.loads(_shipped_front_end())


@cache
def front_ends() -> list[bytes]:
    """The one that ships, and one without a cepstrum."""
    plain = _shipped_front_end().replace("[cepstrum]\ncoefficients = 10\n", "")
    plain = plain.replace("bands = 40", "bands = 10").replace("clip_samples = 16000",
                                                              "clip_samples = 960")  # fmt: skip
    return [_shipped_front_end().encode(), plain.encode()]


@cache
def gates() -> list[bytes]:
    """All models of a repository on its devices."""
    return [
        b'schema = 1\n[defaults]\nrate_hz = "1/s"\nruntime = "budget-c"\n[[check]]\n'
        b'name = "hotword"\nmodel = "models/hotword.tflite"\ndevices = ["stm32l4r5", "ours.toml"]\n'
        b'front_end = true\n[check.source]\nharvester = "indoor-light"\narea_m2 = "10cm2"\n'
        b'[check.limits]\nflash_bytes = "64KiB"\nlatency_s = "100ms"\n[[check]]\n'
        b'model = "zoo:digits"\ndevice = "efm32pg12"\ntoo_close = "pass"\n',
        b'schema = 1\n[[check]]\nmodel = "zoo:hotword"\nscenario = "hotword"\n'
        b'device = "efm32pg12"\nprecision = "int8"\ninputs = ["x"]\n',
    ]


@cache
def sweeps() -> list[bytes]:
    """Axes, and rows."""
    return [
        b'models = ["zoo:hotword", "zoo:digits"]\ndevices = ["efm32pg12"]\n'
        b'sources = ["indoor-light", "outdoor-light"]\n'
        b'areas = { from = "1cm2", to = "100cm2", count = 50 }\nrates = ["1/h", "1/min", "1/s"]\n'
        b'precision = "int8"\n',
        b"model,device,source,area,rate\nzoo:hotword,efm32pg12,indoor-light,10cm2,1/min\n"
        b'"zoo:digits",efm32pg12,"outdoor-light",1dm2,2/h\n',
    ]


@cache
def traces() -> list[bytes]:
    """Of power, of light over a day, of a voltage over a resistor."""
    return [
        b"# a day\ntime [s],power [uW]\n0,1.5\n10,20\n20.5,0\n3600,7e1\n",
        b"timestamp,lux,note\n2026-03-01T08:00:00,200,x\n2026-03-01 09:00,1000,\n"
        b"2026-03-02T00:00:00,0,y\n",
        b"time (ms);x,voltage [mV],time [min]\n0,-10,0\n1,20,1\n5,3,2\n",
        b"time [h],irradiance,level (%\n0,10,3\n1,200,4\n",
    ]


@cache
def exports() -> list[bytes]:
    """One of each format."""
    return [
        b"model,latency_ms,clock_mhz,energy_uJ,device,note\nzoo:hotword,32.5,40,270,efm32pg12,a\n"
        b'"net.tflite",1e3,,,,"b, c"\n',
        b"Timestamp(ms),Current(uA),D0-D7\n0,10,00000000\n1,5000,10000000\n2,5100,10000000\n"
        b"3,12,00000000\n4,4900,10000000\n5,11,00000000\n",
        b"# joulescope\ntime,current,voltage,in0\n0,1e-5,3.3,0\n0.001,5e-3,3.3,1\n"
        b"0.002,1e-5,3.3,0\n0.003,6e-3,3.3,1\n0.004,1e-5,3.29,0\n",
        b"00000 harness: Median throughput is 31.5 inf./sec.\n"
        b"00001 harness: Median energy cost is 272.4 uJ/inf.\n",
    ]


@cache
def ranges() -> list[bytes]:
    """Logged while a model ran."""
    return [b";range__print__;__requant_min_max:[-0.5][1.25]\nx\n;range__print__;"
            b"__requant_min_max:[-1e3][2]\n"]  # fmt: skip


@cache
def weights() -> list[bytes]:
    """A graph whose constants are in a file of their own."""
    from budget.transforms.tool.map_weights import separate
    from budget.transforms.tool.nodes import NodeGraph

    found = []
    for nodes in seeds.graphdef():
        graph, blob = separate(NodeGraph.decode(nodes, "fuzz.pb"), 8)
        found.append(graph.encode() + seeds.PART + blob)
    return found


@cache
def labels() -> list[bytes]:
    """Three classes."""
    return [b"one\ntwo\n three \n", "ä\r\nb\r\n".encode()]


def _need(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "low": value, "high": value, "unit": unit, "kind": "derived"}


@cache
def document() -> list[bytes]:
    """What `check --json` prints, cut down to what comparing reads."""
    layer = {
        "index": 0, "name": "conv", "operator": "conv_2d", "macs": 100, "flops": 200,
        "weight_bytes": 16, "read_bytes": 8, "write_bytes": 8, "live_bytes": 16,
        "cycles": _need(500.0, "cycles"), "energy": None, "share_ratio": 0.5,
    }  # fmt: skip
    check = {
        "schema": 1, "command": "check", "verdict": "fits",
        "constraints": [{"name": "flash", "need": _need(1e4, "bytes"), "status": "pass"}],
        "inference": {"cycles": _need(1e3, "cycles"), "latency": _need(1e-3, "s"), "energy": None},
        "layers": [layer, {**layer, "name": "dense", "operator": "fully_connected"}],
    }  # fmt: skip
    gate = {"schema": 1, "command": "gate", "entries": [{"name": "net on mcu", "check": check}]}
    return [json.dumps(found).encode() for found in (check, gate)]


@cache
def manifests() -> list[bytes]:
    """What `emit` writes beside the C, cut down."""
    tensor = {"name": "x", "shape": [1, 4], "dtype": "int8", "scale": [0.5], "zero_point": [3]}
    return [
        json.dumps(
            {
                "schema": 1, "generator": "budget 0.1.0", "name": "fuzz", "macs": 12,
                "arena_bytes": 64, "inputs": [tensor], "outputs": [{**tensor, "name": "y"}],
                "options": {"target": "portable", "optimise": "size", "io": io_form,
                            "arena": "static"},
                "files": {"fuzz.c": "00"},
                "layers": [{"index": 0, "function": "step_00", "layer": "x", "operator": "relu",
                            "macs": 12, "tables": [{"name": "w"}]}],
            }
        ).encode()
        for io_form in ("model", "float", "arena")
    ]  # fmt: skip


@cache
def elf_files() -> list[bytes]:
    """A function, a table, a variable and a buffer, linked by hand for a Cortex-M."""
    code, table, variable = b"\x2a\x20\x70\x47", b"\1\2\3\4", b"\5\0\0\0"
    strings = b"\0answer\0table\0variable\0buffer\0"
    names = b"\0.text\0.rodata\0.data\0.bss\0.symtab\0.strtab\0.shstrtab\0"

    def symbol(name: bytes, address: int, size: int, info: int, section: int) -> bytes:
        return struct.pack("<IIIBBH", strings.index(name), address, size, info, 0, section)

    symbols = bytes(16) + b"".join((
        symbol(b"answer", 0x8001, 4, 0x12, 1), symbol(b"table", 0x8004, 4, 0x11, 2),
        symbol(b"variable", 0x20000000, 4, 0x01, 3), symbol(b"buffer", 0x20000004, 16, 0x01, 4),
    ))  # fmt: skip
    parts, at = [code, table, variable, symbols, strings, names], 52 + 2 * 32
    places = []
    for part in parts:
        places.append(at)
        at += len(part)

    def section(name: bytes, kind: int, flags: int, address: int, place: int, size: int, link: int,
                entry: int = 0) -> bytes:  # fmt: skip
        return struct.pack("<10I", names.index(name), kind, flags, address, place, size, link, 0,
                           4, entry)  # fmt: skip

    sections = bytes(40) + b"".join((
        section(b".text", 1, 6, 0x8000, places[0], 4, 0),
        section(b".rodata", 1, 2, 0x8004, places[1], 4, 0),
        section(b".data", 1, 3, 0x20000000, places[2], 4, 0),
        section(b".bss", 8, 3, 0x20000004, places[2], 16, 0),
        section(b".symtab", 2, 0, 0, places[3], len(symbols), 6, 16),
        section(b".strtab", 3, 0, 0, places[4], len(strings), 0),
        section(b".shstrtab", 3, 0, 0, places[5], len(names), 0),
    ))  # fmt: skip
    header = struct.pack(
        "<16sHHIIIIIHHHHHH", b"\x7fELF\1\1\1" + bytes(9), 2, 40, 1, 0x8001, 52, at, 0x5000000, 52,
        32, 2, 40, 8, 7,
    )  # fmt: skip
    loads = struct.pack("<8I", 1, places[0], 0x8000, 0x8000, 8, 8, 5, 4)
    loads += struct.pack("<8I", 1, places[2], 0x20000000, 0x8008, 4, 20, 6, 4)
    return [header + loads + b"".join(parts) + sections]


@cache
def quantities() -> list[bytes]:
    """In many units."""
    texts = ("10cm2", "1/3.6s", "63 uA/MHz", "2/min", "225mAh", "256KiB", "80%", "1e-3 W",
             "20pJ/MAC", "10uW/cm2", "7.5MMAC", "1Mbit/s", "470µF", "3.3 V")  # fmt: skip
    return [text.encode() for text in texts]
