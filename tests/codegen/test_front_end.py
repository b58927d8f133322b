"""Emitted front ends equal numpy bit for bit, from samples to answer, on host and virtual core."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from listening import Listening, VirtualListening, any_model

from budget.api.emit import emit as emit_model
from budget.api.models import prepare
from budget.codegen import EmitOptions, emit
from budget.errors import UsageError
from budget.features import FeatureSpec, Named, extract, predict_front_end
from budget.graph import DType, GraphBuilder, TensorType
from budget.ops.interpreter import run
from budget.ops.shaping import ReshapeAttributes
from budget.plan import plan
from budget.zoo import MODELS

SHIPPED = FeatureSpec.load(MODELS / "hotword.features.toml")
UNDEFINED = ("-O1", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error")


def sounds(spec: FeatureSpec, count: int, seed: int = 0) -> list[np.ndarray]:
    """Silence, full scale of three kinds, and then sweeps in noise at all levels."""
    random = np.random.default_rng(seed)
    n = np.arange(spec.clip_samples)
    found = [np.zeros(n.shape), np.full(n.shape, -32768), np.where(n % 2, -32768, 32767)]
    found.append(random.choice([-32768, 32767], n.shape))
    while len(found) < count:
        sweep = np.sin(n * random.uniform(0.001, 2) * (1 + n / n.size * random.uniform(-1, 1)))
        noise = random.standard_normal(n.shape) * random.uniform(0, 1)
        peak = np.exp(random.uniform(0, np.log(32767)))
        found.append(np.clip((sweep + noise) * peak / 3, -32768, 32767))
    return [np.round(sound).astype(np.int16) for sound in found]


@pytest.fixture(scope="module")
def hotword(tmp_path_factory: pytest.TempPathFactory) -> Listening:
    graph = prepare("zoo:hotword").graph
    return Listening(plan(graph), SHIPPED, tmp_path_factory.mktemp("hotword"), flags=UNDEFINED)


def expected_answer(listening: Listening, features: np.ndarray) -> np.ndarray:
    graph = listening.program.graph
    name = graph.inputs[0]
    return run(graph, {name: features.reshape(graph.type_of(name).shape)})[graph.outputs[0]]


def test_many_clips_from_samples_to_answer(hotword: Listening) -> None:
    answers = set()
    for clip in sounds(SHIPPED, 60):
        hotword.start()
        assert hotword.listen(clip) == SHIPPED.frames
        features = extract(SHIPPED, clip)
        assert np.array_equal(hotword.features(), features)
        status, answer = hotword.answer()
        assert status == 0
        assert np.array_equal(answer, expected_answer(hotword, features))
        answers.add(int(answer.argmax()))
    assert len(answers) > 2, "the sounds shall not all be heard as the same"


@given(pieces=st.lists(st.integers(1, 4000), max_size=12), seed=st.integers(0, 99))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_pieces_do_not_matter_and_the_latest_frames_count(
    hotword: Listening, pieces: list[int], seed: int
) -> None:
    clips = sounds(SHIPPED, 6, seed)[4:]
    sound = np.concatenate(clips)[: SHIPPED.clip_samples + 640 * (seed % 5) + seed]
    hotword.start()
    frames = (len(sound) - SHIPPED.length_samples) // SHIPPED.step_samples + 1
    assert hotword.listen(sound, pieces) == frames
    skipped = (frames - SHIPPED.frames) * SHIPPED.step_samples
    clip = sound[skipped : skipped + SHIPPED.clip_samples]
    padded = np.zeros(SHIPPED.clip_samples, np.int16)
    padded[: len(clip)] = clip
    assert np.array_equal(hotword.features(), extract(SHIPPED, padded))


def test_there_is_no_answer_before_a_whole_clip_was_heard(hotword: Listening) -> None:
    hotword.start()
    clip = sounds(SHIPPED, 5)[4]
    needed = SHIPPED.length_samples + SHIPPED.step_samples * (SHIPPED.frames - 1)
    assert hotword.listen(clip[: needed - 1]) == SHIPPED.frames - 1
    assert hotword.answer()[0] == 1
    assert hotword.listen(clip[needed - 1 : needed]) == 1
    assert hotword.answer()[0] == 0


def drawn(seed: int) -> FeatureSpec:
    """Any front end that the checks let pass."""
    random = np.random.default_rng(seed)
    points = int(2 ** random.integers(3, 11))
    length = int(random.integers(1, points + 1))
    step = int(random.integers(1, 2 * length + 1))
    bands = int(random.integers(1, 50))
    transform = str(random.choice(["orthonormal", "uniform", "none"]))
    count = bands if transform == "none" else int(random.integers(1, bands + 1))
    return replace(
        SHIPPED,
        clip_samples=length + step * int(random.integers(0, 9)),
        length_samples=length,
        step_samples=step,
        fft_points=points,
        mel_bands=bands,
        low_hz=int(random.integers(0, 4000)),
        high_hz=int(random.integers(4001, 8001)),
        coefficients=count,
        offset=tuple(int(v) for v in random.integers(-3000, 9000, count)),
        multiplier=tuple(int(v) for v in random.integers(1, 60, count)),
        shift=int(random.integers(1, 14)),
        zero_point=int(random.integers(-128, 128)),
        window=str(random.choice(["hann", "hamming", "rectangular"])),
        values=str(random.choice(["power", "magnitude"])),
        triangles=str(random.choice(["hertz", "mel"])),
        transform=transform,
    )


@pytest.mark.parametrize("seed", range(14))
def test_drawn_front_ends(tmp_path: Path, seed: int) -> None:
    spec = drawn(seed)
    listening = Listening(plan(any_model(spec)), spec, tmp_path, flags=UNDEFINED)
    assert listening.function("front_end_selftest")() == 0
    for clip in sounds(spec, 8, seed):
        listening.start()
        listening.listen(clip, [1, 7])
        assert np.array_equal(listening.features(), extract(spec, clip)), spec


@pytest.mark.tool("arm-none-eabi-gcc")
@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="no cross compiler")
def test_on_the_virtual_core_with_the_cycles_the_table_says() -> None:
    pytest.importorskip("unicorn")
    program = plan(prepare("zoo:hotword").graph)
    core = VirtualListening(program, SHIPPED)
    clip = sounds(SHIPPED, 8)[6]
    profile = core.listen(clip)
    features = extract(SHIPPED, clip)
    assert np.array_equal(core.features(), features)
    name = program.graph.inputs[0]
    given = {name: features.reshape(program.types[name].shape)}
    expected = run(program.graph, given)[program.graph.outputs[0]]
    assert np.array_equal(core.answer(), expected)
    predicted = predict_front_end(SHIPPED)
    assert predicted.cycles == pytest.approx(profile.total.cycles, rel=0.02)
    assert core.stack_bytes <= predicted.stack_bytes
    symbols = core.elf.symbols.values()
    ours = ("front_end_", "heard_listen", "heard_answer", "heard_features")
    code = sum(symbol.size_bytes for symbol in symbols if symbol.name.startswith(ours))
    assert predicted.code_bytes == pytest.approx(code, rel=0.05)
    assert core.elf.symbols["hearing_of_heard"].size_bytes == SHIPPED.state_bytes


@pytest.mark.parametrize("arena", ["static", "caller"])
@pytest.mark.parametrize("io", ["model", "arena"])
def test_selftest_program_under_each_interface(tmp_path: Path, arena: str, io: str) -> None:
    made = emit_model("zoo:hotword", tmp_path, arena=arena, io=io, front_end=True)
    assert made.manifest["front_end"]["specification"] == "hotword.features.toml"
    sources = [str(path) for path in sorted(tmp_path.glob("*.c"))]
    command = ["gcc", "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow"]
    command += ["-Werror", "-O1", "-g", "-fsanitize=address,undefined", *sources]
    command += ["-DHOTWORD_FRONT_END_SELFTEST_MAIN", "-o", str(tmp_path / "test")]
    subprocess.run(command, check=True, capture_output=True)
    done = subprocess.run([tmp_path / "test"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "PASS hotword front end\n"), done.stderr


def test_selftest_notices_a_wrong_table(tmp_path: Path) -> None:
    emit_model("zoo:hotword", tmp_path, front_end=True)
    source = tmp_path / "hotword_front_end.c"
    text = source.read_text()
    at = text.index("mel_weights[")
    first = text.index("\n", at) + 5
    comma = text.index(",", first)
    source.write_text(text[:first] + str(int(text[first:comma]) + 40) + text[comma:])
    sources = [str(path) for path in sorted(tmp_path.glob("*.c"))]
    command = ["gcc", "-DHOTWORD_FRONT_END_SELFTEST_MAIN", *sources]
    subprocess.run([*command, "-o", str(tmp_path / "test")], check=True, capture_output=True)
    done = subprocess.run([tmp_path / "test"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "FAIL hotword front end\n")


def test_header_is_cplusplus_too_and_packages_build_it(tmp_path: Path) -> None:
    emit_model("zoo:hotword", tmp_path, front_end=True)
    (tmp_path / "use.cpp").write_text(
        '#include "hotword_front_end.h"\nint main() { hotword_listen_init(); return 0; }\n'
    )
    subprocess.run(["make", "-C", str(tmp_path)], check=True, capture_output=True)
    command = ["g++", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o", str(tmp_path / "use")]
    command += [str(tmp_path / "use.cpp"), str(tmp_path / "libhotword.a")]
    subprocess.run(command, check=True, capture_output=True)
    for file in ("CMakeLists.txt", "zephyr/CMakeLists.txt", "budget.hotword.pdsc"):
        assert "hotword_front_end.c" in (tmp_path / file).read_text()


def test_sizes_of_tables_are_those_of_the_c() -> None:
    from budget.codegen.front_end import FrontEnd
    from budget.codegen.source import write_steps

    for seed in range(6):
        spec = drawn(seed)
        source = write_steps(plan(any_model(spec)), EmitOptions("any"))
        front_end = FrontEnd(Named(spec, "x", ""), source.options, source.interface)
        assert sum(table.size_bytes for table in front_end.tables) == spec.constant_bytes


def test_the_same_input_gives_the_same_bytes() -> None:
    program = plan(any_model(SHIPPED))
    named = Named(SHIPPED, "x.features.toml", "00")
    first, second = (emit(program, EmitOptions("any"), front_end=named) for _ in range(2))
    assert first == second


def refused(spec: FeatureSpec, io: str = "model", shape: tuple[int, ...] | None = None) -> str:
    graph = any_model(SHIPPED)
    if shape is not None:
        builder = GraphBuilder("float")
        builder.input("x", TensorType(shape, DType.FLOAT32))
        builder.tensor("y", TensorType(shape, DType.FLOAT32))
        builder.node("reshape", ["x"], ["y"], ReshapeAttributes(shape))
        builder.output("y")
        graph = builder.build()
    with pytest.raises(UsageError) as caught:
        emit(plan(graph), EmitOptions("any", io=io), front_end=Named(spec, "x", ""))  # type: ignore[arg-type]
    return caught.value.what


def test_front_ends_that_do_not_fit_are_refused() -> None:
    assert "490 features, the front end makes 24" in refused(replace(SHIPPED, clip_samples=8000))
    assert "zero point 0, the front end's output 0.03125 and 3" in refused(
        replace(SHIPPED, zero_point=3)
    )
    assert "scale 0.03125" in refused(replace(SHIPPED, scale=0.04))
    assert "float32, not quantised int8" in refused(SHIPPED, shape=(1, 49, 10))
    assert "the interface takes floats" in refused(SHIPPED, io="float")
