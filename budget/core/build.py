"""Builds C for a Cortex-M: with arm-none-eabi-gcc where present, else with the clang in ziglang.

The same sources, flags and compiler give the same bytes, so that results are kept by their hash
in the user's cache folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata, resources, util
from pathlib import Path
from typing import Literal

from budget.atomic import write_cache
from budget.errors import BudgetError, MissingToolError, UsageError

COMPILERS = ("gcc", "zig")
_GCC = "arm-none-eabi-gcc"
_TIMEOUT_S = 600
# core → flags of gcc, then of clang; floating point in hardware where the core usually has it
_CORE_FLAGS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "cortex-m0plus": (("-mfloat-abi=soft",), ("thumb-freestanding-eabi", "cortex_m0plus")),
    "cortex-m3": (("-mfloat-abi=soft",), ("thumb-freestanding-eabi", "cortex_m3")),
    "cortex-m4": (
        ("-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"),
        ("thumb-freestanding-eabihf", "cortex_m4+vfp4d16sp"),
    ),
    "cortex-m7": (
        ("-mfpu=fpv5-sp-d16", "-mfloat-abi=hard"),
        ("thumb-freestanding-eabihf", "cortex_m7+fp_armv8d16sp"),
    ),
    "cortex-m33": (
        ("-mfpu=fpv5-sp-d16", "-mfloat-abi=hard"),
        ("thumb-freestanding-eabihf", "cortex_m33+fp_armv8d16sp"),
    ),
}
_COMMON = ("-std=c99", "-ffunction-sections", "-fdata-sections", "-g0")
OPTIMISE_FLAGS: Mapping[str, tuple[str, ...]] = {
    "time": ("-O2",),
    "balanced": ("-O2",),
    "size": ("-Os",),
}


class BuildError(BudgetError):
    """The compiler refused the sources."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class Compiler:
    """A compiler found on this machine.

    Attributes:
        id: ``gcc`` or ``zig``.
        command: how to start it.
        version: enough to tell builds apart.
    """

    id: Literal["gcc", "zig"]
    command: tuple[str, ...]
    version: str


@dataclass(frozen=True, slots=True)
class Image:
    """A linked program.

    Attributes:
        data: the ELF file.
        compiler: that made it.
        flags: it was given.
        cached: whether an earlier build was used again.
    """

    data: bytes
    compiler: Compiler
    flags: tuple[str, ...]
    cached: bool


def find_compiler(wanted: str | None = None) -> Compiler:
    """The compiler to use.

    Args:
        wanted: ``gcc`` or ``zig``; the first of them that is present if not given.

    Raises:
        UsageError: no such compiler is known.
        MissingToolError: it is not installed.
    """
    if wanted is not None and wanted not in COMPILERS:
        raise UsageError(
            f"{wanted!r} is no compiler we know", where="--compiler",
            hint=f"one of {', '.join(COMPILERS)}",
        )  # fmt: skip
    if wanted in {None, "gcc"}:
        path = shutil.which(_GCC)
        if path is not None:
            return Compiler("gcc", (path,), _first_line([path, "--version"]))
    if wanted in {None, "zig"} and util.find_spec("ziglang") is not None:
        version = f"ziglang {metadata.version('ziglang')}"
        return Compiler("zig", (sys.executable, "-m", "ziglang", "cc"), version)
    raise MissingToolError(
        "no compiler for Cortex-M was found" if wanted is None else f"{wanted} was not found",
        where="build",
        hint="pip install 'mcu-budget[measure]' brings one; or install arm-none-eabi-gcc",
    )


def build(
    sources: Mapping[str, bytes],
    core: str,
    *,
    keep: Sequence[str],
    compiler: Compiler | None = None,
    flags: Sequence[str] = (),
) -> Image:
    """Compiles and links.

    Args:
        sources: relative path → content; every ``.c`` and ``.S`` is compiled.
        core: to build for.
        keep: symbols to link, with all they need; the rest is dropped.
        compiler: default: the first that is present.
        flags: more for the compiler, after ours.

    Raises:
        MissingToolError: there is no compiler.
        BuildError: it refused; its first messages are in the hint.
        UsageError: an unknown core.
    """
    if core not in _CORE_FLAGS:
        raise UsageError(
            f"cannot build for {core!r}", where="--core", hint=f"one of {', '.join(_CORE_FLAGS)}"
        )
    compiler = compiler or find_compiler()
    script = (resources.files("budget.core") / "cortex_m.ld").read_bytes()
    all_flags = (*_target_flags(compiler, core), *_COMMON, *flags)
    key = _key(sources, script, compiler, all_flags, keep)
    cached = cache_folder() / f"{key}.elf"
    if cached.is_file():
        return Image(cached.read_bytes(), compiler, all_flags, True)
    data = _compile(sources, script, compiler, all_flags, keep)
    write_cache(cached, data)
    return Image(data, compiler, all_flags, False)


def cache_folder() -> Path:
    """Where built programs are kept: under ``BUDGET_CACHE``, or the user's cache folder."""
    chosen = os.environ.get("BUDGET_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "mcu-budget" / "builds"


def _target_flags(compiler: Compiler, core: str) -> tuple[str, ...]:
    gcc, (target, cpu) = _CORE_FLAGS[core]
    if compiler.id == "gcc":
        return (f"-mcpu={core}", "-mthumb", *gcc)
    return ("-target", target, f"-mcpu={cpu}", "-fno-sanitize=undefined", "-fno-unwind-tables")


def _key(
    sources: Mapping[str, bytes], script: bytes, compiler: Compiler,
    flags: Sequence[str], keep: Sequence[str],
) -> str:  # fmt: skip
    digest = hashlib.sha256()
    parts = [compiler.id, compiler.version, *flags, *keep]
    for part in (*(p.encode() for p in parts), script):
        digest.update(len(part).to_bytes(8, "little") + part)
    for path in sorted(sources):
        for part in (path.encode(), sources[path]):
            digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def _compile(
    sources: Mapping[str, bytes], script: bytes, compiler: Compiler,
    flags: Sequence[str], keep: Sequence[str],
) -> bytes:  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="budget-build-") as name:
        folder = Path(name)
        for path, content in {**sources, "cortex_m.ld": script}.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        units = sorted(path for path in sources if path.endswith((".c", ".S")))
        link = ["-nostartfiles", "-T", "cortex_m.ld", "-Wl,--gc-sections", "-Wl,--build-id=none"]
        link += [f"-Wl,-u,{symbol}" for symbol in keep] + [f"-Wl,-e,{keep[0]}"]
        libraries = ["-lm", "-lc", "-lgcc", "-lnosys"] if compiler.id == "gcc" else []
        includes = _includes(compiler, folder)
        command = [*compiler.command, *flags, "-I.", *includes, *units, *link]
        _check([*command, *libraries, "-o", "out.elf"], folder, compiler)
        return (folder / "out.elf").read_bytes()


def _includes(compiler: Compiler, folder: Path) -> list[str]:
    """Clang comes without C library headers: ours declare what its run-time library has."""
    if compiler.id == "gcc":
        return []
    headers = folder / "freestanding_include"
    headers.mkdir()
    for file in (resources.files("budget.core") / "include").iterdir():
        (headers / file.name).write_bytes(file.read_bytes())
    return ["-isystem", headers.name]


def _check(command: list[str], folder: Path, compiler: Compiler) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(
            f"the compiler did not run to its end: {error}", where=compiler.version,
            hint="choose another with --compiler",
        ) from None  # fmt: skip
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "error" in line.lower()]
        shown = "; ".join(lines[:4]) or done.stderr.strip()[-400:]
        raise BuildError("the compiler refused the sources", where=compiler.version, hint=shown)


def _first_line(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.partition("\n")[0].strip()
