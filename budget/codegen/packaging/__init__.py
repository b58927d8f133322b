"""What build systems and package formats need beside the C; each module writes one of them."""

from __future__ import annotations

from budget.codegen.packaging.arduino import render_arduino
from budget.codegen.packaging.cmake import render_cmake
from budget.codegen.packaging.cmsis_pack import render_cmsis_pack
from budget.codegen.packaging.make import render_make
from budget.codegen.packaging.package import Package
from budget.codegen.packaging.platformio import render_platformio
from budget.codegen.packaging.zephyr import render_zephyr

__all__ = ["Package", "package_files"]

_FORMATS = (
    render_make,
    render_cmake,
    render_arduino,
    render_platformio,
    render_zephyr,
    render_cmsis_pack,
)


def package_files(package: Package) -> dict[str, str]:
    """Relative path → text of all of them."""
    files: dict[str, str] = {}
    for render in _FORMATS:
        files.update(render(package))
    return files
