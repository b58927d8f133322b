"""CMakeLists.txt: a library target, and the self-test as a test of CTest."""

from __future__ import annotations

from budget.codegen.packaging.package import Package


def render_cmake(package: Package) -> dict[str, str]:
    """CMakeLists.txt; as part of a larger project it adds the library only."""
    name, upper = package.name, package.options.upper
    flags = f"{package.options.compiler_flag} -ffunction-sections -fdata-sections"
    maths = f"\n  target_link_libraries({name} PUBLIC m)" if package.uses_float else ""
    link = f"\nif(UNIX OR CMAKE_CROSSCOMPILING){maths}\nendif()" if maths else ""
    text = f"""\
# As part of another project:  add_subdirectory(DIR)  target_link_libraries(app PRIVATE {name})
# On its own:                  cmake -B build && cmake --build build && ctest --test-dir build
cmake_minimum_required(VERSION 3.13)
project({name} LANGUAGES C)

add_library({name} STATIC {" ".join(package.sources)})
target_include_directories({name} PUBLIC "${{CMAKE_CURRENT_SOURCE_DIR}}")
set_target_properties({name} PROPERTIES C_STANDARD 99 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF)
if(CMAKE_C_COMPILER_ID MATCHES "GNU|Clang")
  target_compile_options({name} PRIVATE {flags})
endif(){link}

if(CMAKE_SOURCE_DIR STREQUAL CMAKE_CURRENT_SOURCE_DIR)
  enable_testing()
  add_executable({name}_selftest {package.selftest})
  target_compile_definitions({name}_selftest PRIVATE {upper}_SELFTEST_MAIN)
  target_link_libraries({name}_selftest PRIVATE {name})
  add_test(NAME {name}_selftest COMMAND {name}_selftest)
endif()
"""
    return {"CMakeLists.txt": text}
