"""Building: compilers found or missed, refusals told, the same bytes from the same sources."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from budget.core import build as builder
from budget.core.build import BuildError, Compiler, build, cache_folder, find_compiler
from budget.core.elf import load_elf
from budget.errors import MissingToolError, UsageError

SOURCE = {
    "a.h": b"int twice(int x);\n",
    "a.c": b'#include <stdint.h>\n#include <string.h>\n#include "a.h"\n'
    b"static int64_t held[4];\n"
    b"int twice(int x) { memset(held, x, sizeof held); return (int)(held[1] / (x + 1)) + 2 * x; }\n"
    b"int unused(int x) { return x; }\n",
}


def present(compiler: str) -> bool:
    if compiler == "gcc":
        return shutil.which("arm-none-eabi-gcc") is not None
    return builder.util.find_spec("ziglang") is not None


BOTH = [
    pytest.param("gcc", marks=pytest.mark.skipif(not present("gcc"), reason="no Arm gcc")),
    # the first run builds clang's run-time library, for half a minute
    pytest.param(
        "zig",
        marks=[pytest.mark.slow, pytest.mark.skipif(not present("zig"), reason="no ziglang")],
    ),
]
CORES = ["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDGET_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("compiler", BOTH)
@pytest.mark.parametrize("core", CORES)
def test_builds_run_on_every_core(compiler: str, core: str) -> None:
    pytest.importorskip("unicorn")
    pytest.importorskip("capstone")
    from budget.core.machine import Machine
    from budget.core.profile import Pricer
    from budget.core.timing import timing_of

    image = build(SOURCE, core, keep=("twice",), compiler=find_compiler(compiler), flags=("-O2",))
    program = load_elf(image.data)
    assert "unused" not in program.symbols
    machine = Machine(program)
    run = machine.call("twice", [3], count=True)
    assert run.result == (0x0303030303030303 // 4 + 6) & 0xFFFF_FFFF
    assert Pricer(machine, timing_of(core)).profile(run).total.cycles > 0


@pytest.mark.parametrize("compiler", BOTH)
def test_the_same_sources_give_the_same_bytes(compiler: str) -> None:
    made = find_compiler(compiler)
    first = build(SOURCE, "cortex-m4", keep=("twice",), compiler=made, flags=("-O2",))
    assert not first.cached
    again = build(SOURCE, "cortex-m4", keep=("twice",), compiler=made, flags=("-O2",))
    assert again.cached and again.data == first.data
    shutil.rmtree(cache_folder())
    anew = build(SOURCE, "cortex-m4", keep=("twice",), compiler=made, flags=("-O2",))
    assert not anew.cached and anew.data == first.data


@pytest.mark.parametrize("compiler", BOTH)
def test_a_refusal_shows_the_compilers_words(compiler: str) -> None:
    wrong = {"a.c": b"int twice(int x) { return y; }\n"}
    with pytest.raises(BuildError) as caught:
        build(wrong, "cortex-m4", keep=("twice",), compiler=find_compiler(compiler))
    assert "y" in caught.value.hint


def test_a_compiler_that_does_not_start() -> None:
    broken = Compiler("gcc", ("/nonexistent/gcc",), "gcc 0")
    with pytest.raises(BuildError, match="did not run"):
        build(SOURCE, "cortex-m4", keep=("twice",), compiler=broken)


def test_no_compiler_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder.shutil, "which", lambda _: None)
    monkeypatch.setattr(builder.util, "find_spec", lambda _: None)
    for wanted in (None, "gcc", "zig"):
        with pytest.raises(MissingToolError) as caught:
            find_compiler(wanted)
        assert "mcu-budget[measure]" in caught.value.hint
    with pytest.raises(UsageError, match="armclang"):
        find_compiler("armclang")


def test_an_unknown_core_is_refused() -> None:
    with pytest.raises(UsageError, match="cortex-a53"):
        build(SOURCE, "cortex-a53", keep=("twice",))


def test_a_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BUDGET_CACHE", str(tmp_path / "file" / "below"))
    monkeypatch.setattr(builder, "_compile", lambda *_: b"made")
    compiler = Compiler("gcc", ("gcc",), "gcc")
    for _ in range(2):
        image = build(SOURCE, "cortex-m4", keep=("twice",), compiler=compiler)
        assert (image.data, image.cached) == (b"made", False)


def test_the_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder().name == "cache"
    monkeypatch.delenv("BUDGET_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/mcu-budget/builds")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    assert cache_folder() == Path.home() / ".cache" / "mcu-budget" / "builds"


def test_messages_without_the_word_error_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.CompletedProcess([], 1, "", "something else\n")
    monkeypatch.setattr(builder.subprocess, "run", lambda *_, **__: done)
    with pytest.raises(BuildError) as caught:
        build(SOURCE, "cortex-m4", keep=("twice",), compiler=Compiler("gcc", ("gcc",), "gcc"))
    assert caught.value.hint == "something else"
