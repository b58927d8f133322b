"""Bytes of Thumb-2 machine code that an assembler makes of a kernel's instructions.

Kernels for cores with the DSP extension are written in assembly where C does not reach; their size
follows from the Armv7-M instruction encodings: most of them 32 bits, some 16 where registers are
low and constants small.

Source: Arm, Armv7-M Architecture Reference Manual (DDI 0403), A7.7.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_FUNCTION = re.compile(
    r"^static ARMV7EM_FUNCTION \w+ \*?(\w+)\([^)]*\)\s*\{\s*(__asm__ volatile\(.*?)^\}", re.M | re.S
)
_LINE = re.compile(r'"([^"]*?)(?:\\n)?"')
_ALWAYS_SHORT = frozenset({"bx", "blx", "nop", "cbz", "cbnz", "it", "ite", "itt", "itte", "ittt"})
_REACH = {"ldr": 4, "str": 4, "ldrh": 2, "strh": 2, "ldrb": 1, "strb": 1}
_SHORT_SHIFTS = frozenset({"lsls", "lsrs", "asrs"})


def assembly_functions(text: str) -> dict[str, tuple[int, int]]:
    """Bytes of code and of stack of each function in C text whose body is assembly."""
    found: dict[str, tuple[int, int]] = {}
    for match in _FUNCTION.finditer(text):
        lines = _repeated([line.strip() for line in _LINE.findall(match[2])])
        found[match[1]] = (code_bytes(lines), stack_bytes(lines))
    return found


def code_bytes(lines: Sequence[str]) -> int:
    """Bytes of a function's instructions, labels among them."""
    sizes = [0 if _is_label(line) else _bytes(line) for line in lines]
    total = sum(sizes)
    for index, line in enumerate(lines):  # a branch that reaches further takes 32 bits
        if _is_branch(line):
            low, high = (-2044, 2050) if line.startswith("b ") else (-252, 258)
            if not low <= _distance(lines, sizes, index) <= high:
                total += 2
    return total


def stack_bytes(lines: Sequence[str]) -> int:
    """Bytes that a function pushes and reserves before it does anything else."""
    total = 0
    for line in lines:
        name, _, rest = line.partition(" ")
        if name == "push":
            total += 4 * len(_registers(rest))
        elif name == "sub" and rest.startswith("sp"):
            total += int(rest.rpartition("#")[2])
    return total


def _repeated(lines: Sequence[str]) -> list[str]:
    """The lines with blocks between ``.rept N`` and ``.endr`` written out."""
    blocks: list[list[str]] = [[]]
    counts: list[int] = []
    for line in lines:
        if line.startswith(".rept "):
            counts.append(int(line.split()[1]))
            blocks.append([])
        elif line == ".endr":
            inner = blocks.pop()
            blocks[-1] += inner * counts.pop()
        else:
            blocks[-1].append(line)
    return blocks[0]


def _is_label(line: str) -> bool:
    return not line or line.endswith(":") or line.startswith((".", "@"))


def _is_branch(line: str) -> bool:
    name = line.partition(" ")[0]
    return bool(re.fullmatch(r"b(eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)?", name))


def _distance(lines: Sequence[str], sizes: Sequence[int], index: int) -> int:
    """Bytes from a branch to its label, negative backwards.

    ``1b`` is the nearest label 1 before the branch, ``1f`` the nearest behind it.
    """
    label = lines[index].rpartition(" ")[2]
    wanted = label[:-1] + ":" if label[:-1].isdigit() else label + ":"
    if label.endswith("f") and label[:-1].isdigit():
        places = [i for i in range(index + 1, len(lines)) if lines[i] == wanted][:1]
    elif label[:-1].isdigit():
        places = [i for i in range(index) if lines[i] == wanted][-1:]
    else:
        places = [i for i, line in enumerate(lines) if line == wanted][:1]
    return sum(sum(sizes[index:i]) if i > index else -sum(sizes[i:index]) for i in places)


def _bytes(line: str) -> int:
    """Size of one instruction, a branch being near."""
    name, _, rest = line.partition(" ")
    if name.endswith(".w"):
        return 4
    if name.endswith(".n") or name in _ALWAYS_SHORT or _is_branch(line):
        return 2
    operands = [part.strip() for part in rest.split(",")]
    if name in {"push", "pop"}:
        extra = "lr" if name == "push" else "pc"
        return 2 if all(_is_low(r) or r == extra for r in _registers(rest)) else 4
    if name in _REACH:
        return _memory(name, rest, operands)
    if name in {"ldm", "ldmia", "stm", "stmia"}:
        base = operands[0].rstrip("!")
        low = _is_low(base) and all(map(_is_low, _registers(rest.partition(",")[2])))
        return 2 if low and "!" in operands[0] else 4
    return 2 if "[" not in rest and _is_short(name, operands) else 4


def _memory(name: str, rest: str, operands: Sequence[str]) -> int:
    unit = _REACH[name]
    match = re.search(r"\[(\w+)(?:, #(-?\d+))?\]$", rest)
    if match is None or not _is_low(operands[0]):
        indexed = re.search(r"\[(\w+), (r\d+)\]$", rest)
        low = indexed is not None and all(map(_is_low, (operands[0], indexed[1], indexed[2])))
        return 2 if low else 4
    offset = int(match[2] or 0)
    if match[1] == "sp" and unit == 4:
        return 2 if 0 <= offset <= 1020 and offset % 4 == 0 else 4
    if not _is_low(match[1]):
        return 4
    return 2 if 0 <= offset <= 31 * unit and offset % unit == 0 else 4


def _is_short(name: str, operands: Sequence[str]) -> bool:
    registers = [part for part in operands if not part.startswith("#")]
    number = next((int(part[1:]) for part in operands if part.startswith("#")), None)
    low = all(map(_is_low, registers))
    if name == "mov":
        return number is None and len(operands) == 2
    if name == "movs":
        return low and (number is None or 0 <= number <= 255) and len(operands) == 2
    if name in {"add", "sub"} and operands[0] == "sp":
        return number is not None and 0 <= number <= 508
    if name == "add":
        same = len(operands) == 2 or operands[0] in operands[1:]
        stack = len(operands) == 3 and operands[1] == "sp" and number is not None and low
        return (number is None and same and len(operands) <= 3) or stack
    if name in {"adds", "subs"}:
        most = 255 if len(operands) == 2 or operands[0] == operands[1] else 7
        return low and (number is None or 0 <= number <= most)
    if name == "cmp":
        return (low and 0 <= number <= 255) if number is not None else True
    if name in _SHORT_SHIFTS:
        return low and (number is not None or operands[0] == operands[1] or len(operands) == 2)
    if name in {"ands", "orrs", "eors", "bics", "mvns", "rsbs", "tst", "muls"}:
        return low and (number is None or name == "rsbs")
    return name in {"sxtb", "sxth", "uxtb", "uxth", "rev"} and low and len(operands) == 2


def _registers(text: str) -> list[str]:
    """Registers of a list such as ``{r4-r11, lr}``."""
    found = []
    inner = re.sub(r".*\{|\}.*", "", text)
    for part in inner.split(","):
        first, dash, last = part.strip().partition("-")
        if dash:
            found += [f"r{i}" for i in range(int(first[1:]), int(last[1:]) + 1)]
        else:
            found.append(first)
    return found


def _is_low(register: str) -> bool:
    return register in {"r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7"}
