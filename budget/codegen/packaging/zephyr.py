"""A Zephyr module: zephyr/module.yml, its CMake and Kconfig files.

As https://docs.zephyrproject.org/latest/develop/modules.html describes modules.
"""

from __future__ import annotations

from budget.codegen.packaging.package import Package


def render_zephyr(package: Package) -> dict[str, str]:
    """The folder zephyr/."""
    name, upper = package.name, package.options.upper
    sources = "\n".join(f"    ${{CMAKE_CURRENT_LIST_DIR}}/../{file}" for file in package.sources)
    flag = package.options.compiler_flag
    cmake = f"""\
if(CONFIG_{upper})
  zephyr_include_directories(${{CMAKE_CURRENT_LIST_DIR}}/..)
  zephyr_library_named({name})
  zephyr_library_sources(
{sources}
  )
  zephyr_library_sources_ifdef(CONFIG_{upper}_SELFTEST
    ${{CMAKE_CURRENT_LIST_DIR}}/../{package.selftest}
  )
  zephyr_library_compile_options({flag})
endif()
"""
    kconfig = f"""\
config {upper}
\tbool "{package.sentence}"
\thelp
\t  {name}_init() and {name}_invoke(), declared in {package.headers[0]}.

config {upper}_SELFTEST
\tbool "Recorded inferences of {name}"
\tdepends on {upper}
\thelp
\t  {name}_selftest(), which needs flash for recorded inputs and outputs.
"""
    module = f"name: {name}\nbuild:\n  cmake: zephyr\n  kconfig: zephyr/Kconfig\n"
    return {
        "zephyr/module.yml": module,
        "zephyr/CMakeLists.txt": cmake,
        "zephyr/Kconfig": kconfig,
    }
