"""Emitted C on other cores and under other compilers: same outputs, no warnings, no defects."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from firmware import BOARDS, available, build, selftest
from host import WARNINGS, write
from random_models import network

from budget import zoo
from budget.api.models import lower
from budget.codegen import EmitOptions
from budget.codegen.emit import emit
from budget.plan import Program, plan
from budget.readers import load

SHIPPED = ["hotword", "digits", "tiny-kws", "tiny-vww", "tiny-ic", "tiny-ad"]
REAL = ["kws", "vww", "ic", "ad"]
RANDOM = [
    ((5, 6, 4), [(0, [1, 2, 2, 1, 1]), (2, [0, 0, 1]), (5, [3])], 1),
    ((7, 3, 3), [(1, [1, 1, 2]), (8, [5, 3, 9, 1]), (4, [1, 1, 1]), (3, [4])], 2),
    ((4, 4, 6), [(10, [2, 1, 2]), (6, [1]), (7, [0, 1]), (11, []), (5, [8, 1])], 3),
]
CPPCHECK = ["--enable=warning,portability,performance", "--quiet", "--error-exitcode=1"]
CPPCHECK += ["-UMODEL_CONFIG"]  # the user's own header, included where it is named
needs_arm = pytest.mark.skipif(not available(), reason="no arm-none-eabi-gcc or qemu-system-arm")


def needs(tool: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"no {tool}")


def shipped(name: str) -> Program:
    return plan(lower(load(str(zoo.shipped_path(name)))), remove_constant_channels=True)


def real(models: Path, name: str) -> Program:
    graph = lower(load(str(models / f"{name}_int8.tflite")))
    return plan(graph, remove_constant_channels=True)


@needs_arm
@pytest.mark.slow
@pytest.mark.parametrize("core", BOARDS)
@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models_in_qemu(core: str, name: str, tmp_path: Path) -> None:
    options = EmitOptions(name="model", target=core)
    elf = build(shipped(name), tmp_path, options, BOARDS[core])
    assert "PASS" in selftest(elf, BOARDS[core])


@needs_arm
@pytest.mark.slow
@pytest.mark.parametrize("core", BOARDS)
@pytest.mark.parametrize("name", REAL)
def test_real_models_in_qemu(models: Path, core: str, name: str, tmp_path: Path) -> None:
    options = EmitOptions(name="model", target=core)
    elf = build(real(models, name), tmp_path, options, BOARDS[core])
    assert "PASS" in selftest(elf, BOARDS[core])


@needs_arm
@pytest.mark.parametrize("core", BOARDS)
def test_random_models_in_qemu(core: str, tmp_path: Path) -> None:
    for index, structure in enumerate(RANDOM):
        folder = tmp_path / str(index)
        folder.mkdir()
        options = EmitOptions(name="model", target=core)
        elf = build(plan(network(structure)), folder, options, BOARDS[core])
        assert "PASS" in selftest(elf, BOARDS[core])


def compiled(command: list[str], program: Program, folder: Path, target: str = "portable") -> None:
    """Compiles the model's own sources with every warning an error."""
    write(program, folder, EmitOptions(name="model", target=target))
    for source in sorted(folder.glob("model*.c")):
        if "selftest" in source.name:
            continue
        done = subprocess.run(
            [*command, *WARNINGS, "-c", str(source), "-o", str(folder / "model.o")],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[:4000]


@needs("riscv64-unknown-elf-gcc")
@pytest.mark.parametrize("name", SHIPPED)
def test_riscv_compiles(name: str, tmp_path: Path) -> None:
    headers = Path(__file__).parents[2] / "budget" / "core" / "include"
    command = ["riscv64-unknown-elf-gcc", "-march=rv32imac", "-mabi=ilp32", "-O2"]
    compiled([*command, "-ffreestanding", "-isystem", str(headers)], shipped(name), tmp_path)


@needs("avr-gcc")
def test_avr_compiles_the_keyword_model(tmp_path: Path) -> None:
    compiled(["avr-gcc", "-mmcu=atmega2560", "-Os"], shipped("hotword"), tmp_path)


@needs("clang")
@pytest.mark.parametrize("name", SHIPPED)
def test_clang_compiles(name: str, tmp_path: Path) -> None:
    compiled(["clang", "-O2"], shipped(name), tmp_path)


def test_clang_from_the_package_index_compiles(tmp_path: Path) -> None:
    pytest.importorskip("ziglang")
    compiled([sys.executable, "-m", "ziglang", "cc", "-O2"], shipped("digits"), tmp_path)


@needs("gcc")
@pytest.mark.parametrize("name", SHIPPED)
def test_sanitizers_find_nothing(name: str, tmp_path: Path) -> None:
    check_with_sanitizers(shipped(name), tmp_path)


def check_with_sanitizers(model: Program, folder: Path) -> None:
    """Runs the self-test with every address and every arithmetic operation checked."""
    write(model, folder, EmitOptions(name="model"), selftest=True)
    program = folder / "selftest"
    flags = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    sources = [str(path) for path in sorted(folder.glob("model*.c"))]
    command = ["gcc", *flags, "-DMODEL_SELFTEST_MAIN", "-o", str(program), *sources, "-lm"]
    subprocess.run(command, check=True, capture_output=True)
    done = subprocess.run([str(program)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS" in done.stdout


@pytest.mark.slow
@needs("gcc")
@pytest.mark.parametrize("name", SHIPPED)
def test_static_analysis_finds_nothing(name: str, tmp_path: Path) -> None:
    command = ["gcc", "-O1", "-fanalyzer"]
    compiled(command, shipped(name), tmp_path)
    if shutil.which("cppcheck"):
        done = subprocess.run(
            ["cppcheck", *CPPCHECK, str(tmp_path / "model.c")],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
@needs("gcc")
@pytest.mark.parametrize("name", REAL)
def test_sanitizers_and_analysis_of_real_models(models: Path, name: str, tmp_path: Path) -> None:
    program = real(models, name)
    compiled(["gcc", "-O1", "-fanalyzer"], program, tmp_path)
    check_with_sanitizers(program, tmp_path)


def test_same_input_gives_the_same_bytes() -> None:
    first = emit(shipped("hotword"), EmitOptions(name="model"))
    assert first == emit(shipped("hotword"), EmitOptions(name="model"))
