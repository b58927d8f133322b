"""A Makefile: the library, and the self-test on the host."""

from __future__ import annotations

from budget.codegen.packaging.package import Package


def render_make(package: Package) -> dict[str, str]:
    """The Makefile."""
    name = package.name
    cross = f' CROSS=arm-none-eabi- CPUFLAGS="{package.cpu_flags or "-mcpu=cortex-m4 -mthumb"}"'
    objects = " ".join(source.removesuffix(".c") + ".o" for source in package.sources)
    text = f"""\
# make            lib{name}.a for this machine
# make selftest   builds the recorded inferences and runs them here
# make{cross}
#                 the library for a microcontroller; `make clean` first
NAME = {name}
OBJECTS = {objects}
OPTIMISE ?= {package.options.compiler_flag}
CPUFLAGS ?=
CFLAGS ?= $(OPTIMISE) -ffunction-sections -fdata-sections
WARNINGS = -std=c99 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wdouble-promotion
LDLIBS ?= {"-lm" if package.uses_float else ""}
ifdef CROSS
CC = $(CROSS)gcc
AR = $(CROSS)ar
endif

all: lib$(NAME).a

lib$(NAME).a: $(OBJECTS)
\t$(AR) rcs $@ $(OBJECTS)

%.o: %.c {" ".join(package.headers)}
\t$(CC) $(CPUFLAGS) $(WARNINGS) $(CFLAGS) -c -o $@ $<

$(NAME)_selftest: {package.selftest} lib$(NAME).a
\t$(CC) $(CPUFLAGS) $(WARNINGS) $(CFLAGS) -D{package.options.upper}_SELFTEST_MAIN -o $@ \\
\t  {package.selftest} lib$(NAME).a $(LDLIBS)

selftest: $(NAME)_selftest
\t./$(NAME)_selftest

clean:
\trm -f $(OBJECTS) lib$(NAME).a $(NAME)_selftest

.PHONY: all selftest clean
"""
    return {"Makefile": text.replace("LDLIBS ?= \n", "LDLIBS ?=\n")}
