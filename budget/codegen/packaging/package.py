"""What every package format is told."""

from __future__ import annotations

from dataclasses import dataclass

from budget.codegen.options import EmitOptions

# Flags of GCC and clang for each target; the float ABI is the user's board support's choice.
CPU_FLAGS = {
    "portable": "",
    "cortex-m0": "-mcpu=cortex-m0 -mthumb",
    "cortex-m0plus": "-mcpu=cortex-m0plus -mthumb",
    "cortex-m3": "-mcpu=cortex-m3 -mthumb",
    "cortex-m4": "-mcpu=cortex-m4 -mthumb",
    "cortex-m7": "-mcpu=cortex-m7 -mthumb",
    "cortex-m33": "-mcpu=cortex-m33 -mthumb",
}


@dataclass(frozen=True, slots=True)
class Package:
    """The emitted model as something to build.

    Attributes:
        options: what the user decided.
        sources: C files of the library.
        headers: its headers, the public one first.
        selftest: the C file that tests it.
        model: the model's name, printable ASCII on one line.
        version: three numbers, such as ``0.1.0``.
        uses_float: whether it links the mathematical library.
    """

    options: EmitOptions
    sources: tuple[str, ...]
    headers: tuple[str, ...]
    selftest: str
    model: str
    version: str
    uses_float: bool

    @property
    def name(self) -> str:
        """Prefix of files and symbols."""
        return self.options.name

    @property
    def sentence(self) -> str:
        """One line that says what this is."""
        return f"Neural network {self.model} as standalone C99."

    @property
    def cpu_flags(self) -> str:
        """Compiler flags that name the core."""
        return CPU_FLAGS[self.options.target]
