"""The package files build with their tools where those can be had, and keep to their forms."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from host import WARNINGS

from budget.api.emit import emit
from budget.codegen.packaging.package import CPU_FLAGS

SEPARATE = pytest.param("source", marks=pytest.mark.slow)
CORTEX = [target for target in CPU_FLAGS if target != "portable"]


@pytest.fixture(scope="module", params=["header", SEPARATE])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("emitted")
    emit("zoo:digits", place, name="digits", weights=request.param)
    return place


def sources(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.c")} - {"digits_selftest.c"}


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_makefile(folder: Path) -> None:
    done = subprocess.run(["make", "selftest"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("PASS digits\n")
    assert "warning" not in done.stderr
    subprocess.run(["make", "clean"], cwd=folder, check=True, capture_output=True)
    assert not list(folder.glob("*.[oa]"))


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc")
@pytest.mark.parametrize("target", CORTEX)
def test_makefile_for_a_microcontroller(tmp_path: Path, target: str) -> None:
    emit("zoo:digits", tmp_path, name="digits", target=target)
    text = (tmp_path / "Makefile").read_text()
    given = re.search(r"^# make (CROSS=\S+) (CPUFLAGS=\"[^\"]+\")$", text, re.M)
    assert given is not None
    arguments = [given[1], given[2].replace('"', ""), "CFLAGS=-Os -Werror"]
    done = subprocess.run(["make", *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    attributes = subprocess.run(
        ["arm-none-eabi-readelf", "-A", "digits.o"], cwd=tmp_path, capture_output=True, text=True
    ).stdout
    assert "Tag_CPU_arch_profile: Microcontroller" in attributes


@pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake")
def test_cmake_alone_and_as_a_part(folder: Path, tmp_path: Path) -> None:
    build = str(tmp_path / "build")
    for command in (
        ["cmake", "-S", str(folder), "-B", build],
        ["cmake", "--build", build],
        ["ctest", "--test-dir", build, "--no-tests=error"],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    app = tmp_path / "app"
    app.mkdir()
    (app / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.13)\nproject(app LANGUAGES C CXX)\n"
        f'add_subdirectory("{folder}" digits)\nadd_executable(app main.cpp)\n'
        "target_link_libraries(app PRIVATE digits)\n"
    )
    (app / "main.cpp").write_text(
        "#include <digits.h>\nint main()\n{\n    static int8_t x[DIGITS_INPUT_SIZE];\n"
        "    static int8_t y[DIGITS_OUTPUT_SIZE];\n    digits_init();\n"
        "    return digits_invoke(x, y);\n}\n"
    )
    for command in (
        ["cmake", "-S", str(app), "-B", str(tmp_path / "b")],
        ["cmake", "--build", str(tmp_path / "b")],
        [str(tmp_path / "b" / "app")],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_arduino_library(folder: Path) -> None:
    """Arduino library specification 1.5, flat layout: sources beside library.properties."""
    rows = (folder / "library.properties").read_text().splitlines()
    properties = dict(row.split("=", 1) for row in rows)
    required = {"name", "version", "author", "maintainer", "sentence", "paragraph", "category"}
    assert required | {"url", "architectures", "includes"} == properties.keys()
    assert re.fullmatch(r"\d+\.\d+\.\d+", properties["version"])
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.\- ]*", properties["name"])
    assert properties["category"] == "Data Processing"  # one of the closed list
    assert (folder / properties["includes"]).is_file()
    assert not (folder / "src").exists(), "with src/, sources beside it would not be compiled"
    sketches = list((folder / "examples").glob("*/*.ino"))
    assert sketches
    assert all(path.stem == path.parent.name for path in sketches)


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_arduino_sketch_compiles_with_a_stand_in_for_the_core(folder: Path, tmp_path: Path) -> None:
    """The sketch as the Arduino builder hands it to the compiler: C++ with Arduino.h in front."""
    (tmp_path / "Arduino.h").write_text(
        "#include <stdint.h>\n#include <stdio.h>\n"
        "struct Port {\n    void begin(long) {}\n    operator bool() { return true; }\n"
        "    size_t write(uint8_t c) { putchar(c); return 1; }\n"
        "    void print(unsigned long) {}\n    void println(const char *s) { puts(s); }\n};\n"
        "static Port Serial;\nstatic unsigned long micros() { return 0; }\n"
    )
    sketch = next((folder / "examples").glob("*/*.ino")).read_text()
    main = tmp_path / "sketch.cpp"
    main.write_text(
        f"#include <Arduino.h>\n{sketch}\nint main()\n{{\n    setup();\n    loop();\n}}\n"
    )
    objects = []
    for path in folder.glob("*.c"):
        objects.append(str(tmp_path / f"{path.stem}.o"))
        subprocess.run(["gcc", *WARNINGS, "-c", "-o", objects[-1], str(path)], check=True)
    program = str(tmp_path / "sketch")
    include = [f"-I{tmp_path}", f"-I{folder}"]
    subprocess.run(
        ["g++", "-Wall", "-Werror", *include, "-o", program, str(main), *objects], check=True
    )
    done = subprocess.run([program], capture_output=True, text=True)
    assert done.stdout == "PASS digits\n us, all outputs as recorded\n"


def test_platformio_library(folder: Path) -> None:
    """library.json: required fields, and a source filter that names every file there is."""
    manifest = json.loads((folder / "library.json").read_text())
    assert {"name", "version", "description", "keywords"} <= manifest.keys()
    assert re.fullmatch(r"\d+\.\d+\.\d+", manifest["version"])
    assert re.fullmatch(r"[^:;/,@<>]{1,50}", manifest["name"])
    listed = {re.fullmatch(r"\+<(.+)>", row)[1] for row in manifest["build"]["srcFilter"]}  # type: ignore[index]
    assert listed == sources(folder) | {"digits_selftest.c"}
    assert (folder / manifest["headers"]).is_file()


def test_zephyr_module(folder: Path) -> None:
    """zephyr/module.yml with build.cmake and build.kconfig, every file named exists."""
    module = (folder / "zephyr" / "module.yml").read_text()
    assert module == "name: digits\nbuild:\n  cmake: zephyr\n  kconfig: zephyr/Kconfig\n"
    cmake = (folder / "zephyr" / "CMakeLists.txt").read_text()
    named = re.findall(r"\$\{CMAKE_CURRENT_LIST_DIR\}/\.\./(\S+\.c)", cmake)
    assert set(named) == sources(folder) | {"digits_selftest.c"}
    options = re.findall(r"^config (\w+)$", (folder / "zephyr" / "Kconfig").read_text(), re.M)
    used = set(re.findall(r"CONFIG_(\w+)", cmake))
    assert used == set(options)


ZEPHYR = """\
cmake_minimum_required(VERSION 3.13)
project(stand_in LANGUAGES C)
set(CONFIG_DIGITS y)
set(CONFIG_DIGITS_SELFTEST y)
macro(zephyr_include_directories)
  include_directories(${ARGV})
endmacro()
macro(zephyr_library_named name)
  set(ZEPHYR_CURRENT_LIBRARY ${name})
  add_library(${name} STATIC)
endmacro()
macro(zephyr_library_sources)
  target_sources(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGV})
endmacro()
macro(zephyr_library_sources_ifdef feature)
  if(${feature})
    target_sources(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGN})
  endif()
endmacro()
macro(zephyr_library_compile_options)
  target_compile_options(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGV})
endmacro()
add_subdirectory("FOLDER/zephyr" digits)
file(WRITE ${CMAKE_BINARY_DIR}/main.c
  "#include <stdio.h>\\n#include <digits.h>\\nint main(void) { return digits_selftest(putchar); }")
include_directories(FOLDER)
add_executable(main ${CMAKE_BINARY_DIR}/main.c)
target_link_libraries(main PRIVATE digits)
"""


@pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake")
def test_zephyr_cmake_runs_with_stand_ins_for_its_functions(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(ZEPHYR.replace("FOLDER", str(folder)))
    for command in (
        ["cmake", "-S", str(tmp_path), "-B", str(tmp_path / "b")],
        ["cmake", "--build", str(tmp_path / "b")],
        [str(tmp_path / "b" / "main")],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_cmsis_pack_description(folder: Path) -> None:
    """Vendor and name as in the file's name, required elements in their order, files exist."""
    (path,) = folder.glob("*.pdsc")
    package = ElementTree.parse(path).getroot()
    assert package.tag == "package"
    assert package.get("schemaVersion")
    order = [child.tag for child in package]
    assert order == ["vendor", "name", "description", "url", "releases", "taxonomy", "components"]
    assert path.name == f"{package.findtext('vendor')}.{package.findtext('name')}.pdsc"
    release = package.find("releases/release")
    assert release is not None
    assert re.fullmatch(r"\d+\.\d+\.\d+", release.get("version", ""))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", release.get("date", ""))
    component = package.find("components/component")
    assert component is not None
    assert {"Cclass", "Cgroup", "Csub", "Cversion"} <= component.attrib.keys()
    files = component.findall("files/file")
    named = {file.get("name", "") for file in files if file.get("category") == "source"}
    assert named == sources(folder) | {"digits_selftest.c"}
    assert all((folder / file.get("name", "")).exists() for file in files)
