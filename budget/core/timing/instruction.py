"""Thumb instructions as the timing rules see them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from budget.errors import MissingToolError


class Kind(StrEnum):
    """What an instruction costs cycles for."""

    ALU = "alu"
    MULTIPLY = "multiply"
    MULTIPLY_ADD = "multiply-add"
    MULTIPLY_LONG = "multiply-long"
    MULTIPLY_ADD_LONG = "multiply-add-long"
    DIVIDE = "divide"
    LOAD = "load"
    LOAD_DOUBLE = "load-double"
    LOAD_MULTIPLE = "load-multiple"
    STORE = "store"
    STORE_DOUBLE = "store-double"
    STORE_MULTIPLE = "store-multiple"
    BRANCH = "branch"
    BRANCH_LINK = "branch-link"
    TABLE_BRANCH = "table-branch"
    IF_THEN = "if-then"
    BARRIER = "barrier"
    SPECIAL = "special-register"
    TRAP = "trap"
    FLOAT_ALU = "float-alu"
    FLOAT_MULTIPLY_ADD = "float-multiply-add"
    FLOAT_DIVIDE = "float-divide"
    FLOAT_MOVE = "float-move"
    FLOAT_LOAD = "float-load"
    FLOAT_LOAD_MULTIPLE = "float-load-multiple"
    FLOAT_STORE = "float-store"
    FLOAT_STORE_MULTIPLE = "float-store-multiple"

    @property
    def is_float_arithmetic(self) -> bool:
        """Whether it computes in the floating-point unit."""
        return self in _FLOAT_ARITHMETIC

    @property
    def is_integer_arithmetic(self) -> bool:
        """What the manuals call data processing."""
        return self in _INTEGER_ARITHMETIC


_FLOAT_ARITHMETIC = {Kind.FLOAT_ALU, Kind.FLOAT_MULTIPLY_ADD, Kind.FLOAT_DIVIDE}
_INTEGER_ARITHMETIC = {
    Kind.ALU,
    Kind.MULTIPLY,
    Kind.MULTIPLY_ADD,
    Kind.MULTIPLY_LONG,
    Kind.MULTIPLY_ADD_LONG,
    Kind.DIVIDE,
}


@dataclass(frozen=True, slots=True)
class Instruction:
    """One decoded instruction.

    Attributes:
        address: of its first byte.
        size_bytes: 2 or 4.
        text: as a disassembler writes it.
        kind: what it costs cycles for.
        reads: registers whose values it uses, addresses included.
        writes: registers it changes, an updated base included.
        loads: registers it fills from memory.
        base: register that an address is made from; empty without one.
        index: register added to the base; empty without one.
        index_shift: left shift of the index.
        offset_bytes: constant added to the base before the access.
        step_bytes: what is added to the base register by the instruction itself.
        words: registers moved by an access, counted in words.
        access_bytes: width of one access; 0 for none.
        conditional: executes under a condition (in an IT block, or a conditional branch).
        branches: may change the flow; True for a load into pc too.
        accumulator: register that a multiply-add adds to.
        needs: extensions beyond the smallest Cortex-M: ``thumb2``, ``dsp``, ``fpu``, ``fpu-dp``.
    """

    address: int
    size_bytes: int
    text: str
    kind: Kind
    reads: frozenset[str]
    writes: frozenset[str]
    loads: frozenset[str] = frozenset()
    base: str = ""
    index: str = ""
    index_shift: int = 0
    offset_bytes: int = 0
    step_bytes: int = 0
    words: int = 0
    access_bytes: int = 0
    conditional: bool = False
    branches: bool = False
    accumulator: str = ""
    needs: frozenset[str] = frozenset()

    @property
    def address_registers(self) -> frozenset[str]:
        """Registers that its address is computed from."""
        return frozenset(name for name in (self.base, self.index) if name)


_ACCESS_BYTES = {"ldrb": 1, "ldrsb": 1, "strb": 1, "ldrh": 2, "ldrsh": 2, "strh": 2}
_LONG = {"smull", "umull"}
_ADD_LONG = {"smlal", "umlal", "umaal", "smlald", "smlaldx", "smlsld", "smlsldx"}
_ADD_LONG |= {"smlalbb", "smlalbt", "smlaltb", "smlaltt"}
_DSP_ADD = {"smlad", "smladx", "smlsd", "smlsdx", "smlabb", "smlabt", "smlatb", "smlatt"}
_DSP_ADD |= {"smlawb", "smlawt", "smmla", "smmlar", "smmls", "smmlsr"}
_MULTIPLY = {"mul", "smuad", "smuadx", "smusd", "smusdx", "smulbb", "smulbt", "smultb", "smultt"}
_MULTIPLY |= {"smulwb", "smulwt", "smmul", "smmulr"}
# The DSP extension of Armv7E-M (ARM DDI 0403, A1.3).
_DSP = re.compile(
    r"(s|u|sh|uh|q|uq)(add|sub)(8|16)|(s|u|sh|uh|q|uq)(asx|sax)|q(d?add|d?sub)|pkh(bt|tb)|sel"
    r"|usada?8|[su]xta[bh]|[su]xta?b16|[su]sat16|umaal|smlsl?dx?|smlal?[bt][bt]"
    r"|smul[bt][bt]|smulw[bt]|smlaw[bt]|sm(uad|usd|lad|lsd)x?|smm(ul|la|ls)r?|smlaldx?"
)
_KINDS: dict[str, Kind] = {
    **dict.fromkeys(_MULTIPLY, Kind.MULTIPLY),
    **dict.fromkeys({"mla", "mls", *_DSP_ADD}, Kind.MULTIPLY_ADD),
    **dict.fromkeys(_LONG, Kind.MULTIPLY_LONG),
    **dict.fromkeys(_ADD_LONG, Kind.MULTIPLY_ADD_LONG),
    **dict.fromkeys({"sdiv", "udiv"}, Kind.DIVIDE),
    **dict.fromkeys({"ldr", "ldrb", "ldrh", "ldrsb", "ldrsh", "ldrex", "lda"}, Kind.LOAD),
    **dict.fromkeys({"ldrexb", "ldrexh", "ldrt", "ldrbt", "ldrht"}, Kind.LOAD),
    **dict.fromkeys({"str", "strb", "strh", "strex", "strexb", "strexh", "stl"}, Kind.STORE),
    "ldrd": Kind.LOAD_DOUBLE,
    "strd": Kind.STORE_DOUBLE,
    **dict.fromkeys({"ldm", "ldmdb", "pop"}, Kind.LOAD_MULTIPLE),
    **dict.fromkeys({"stm", "stmdb", "push"}, Kind.STORE_MULTIPLE),
    **dict.fromkeys({"b", "bx", "cbz", "cbnz"}, Kind.BRANCH),
    **dict.fromkeys({"bl", "blx"}, Kind.BRANCH_LINK),
    **dict.fromkeys({"tbb", "tbh"}, Kind.TABLE_BRANCH),
    "it": Kind.IF_THEN,
    **dict.fromkeys({"dmb", "dsb", "isb"}, Kind.BARRIER),
    **dict.fromkeys({"mrs", "msr", "cps"}, Kind.SPECIAL),
    **dict.fromkeys({"svc", "bkpt", "udf", "hlt"}, Kind.TRAP),
    **dict.fromkeys({"vmla", "vmls", "vnmla", "vnmls"}, Kind.FLOAT_MULTIPLY_ADD),
    **dict.fromkeys({"vfma", "vfms", "vfnma", "vfnms"}, Kind.FLOAT_MULTIPLY_ADD),
    **dict.fromkeys({"vdiv", "vsqrt"}, Kind.FLOAT_DIVIDE),
    **dict.fromkeys({"vmov", "vmrs", "vmsr", "fmstat"}, Kind.FLOAT_MOVE),
    "vldr": Kind.FLOAT_LOAD,
    "vstr": Kind.FLOAT_STORE,
    **dict.fromkeys({"vldmia", "vldmdb", "vpop"}, Kind.FLOAT_LOAD_MULTIPLE),
    **dict.fromkeys({"vstmia", "vstmdb", "vpush"}, Kind.FLOAT_STORE_MULTIPLE),
}
_LOADS = {Kind.LOAD, Kind.LOAD_DOUBLE, Kind.LOAD_MULTIPLE, Kind.FLOAT_LOAD}
_LOADS |= {Kind.FLOAT_LOAD_MULTIPLE}
_MULTIPLES = {Kind.LOAD_MULTIPLE, Kind.STORE_MULTIPLE}
_MULTIPLES |= {Kind.FLOAT_LOAD_MULTIPLE, Kind.FLOAT_STORE_MULTIPLE}
# The 32-bit instructions that Armv6-M has (ARM DDI 0419, A5.3).
_SMALL_WIDE = {Kind.BRANCH_LINK, Kind.BARRIER, Kind.SPECIAL, Kind.TRAP}
# 16-bit instructions that it has not.
_LARGE_NARROW = {"cbz", "cbnz", "it"}


def decode(code: bytes, address: int) -> tuple[Instruction, ...]:
    """Decodes a run of Thumb code; stops where no instruction starts.

    Raises:
        MissingToolError: the disassembler is not installed.
    """
    return tuple(_decode(code, address))


def _decode(code: bytes, address: int) -> Iterator[Instruction]:
    disassembler = _disassembler()
    left = 0
    for found in disassembler.disasm(code, address):
        name = _base_name(disassembler.insn_name(found.id), found.mnemonic)
        yield _instruction(found, name, in_block=left > 0)
        left = max(0, left - 1)
        if name == "it":
            left = len(found.mnemonic) - 1


@cache
def _disassembler() -> Any:
    try:
        import capstone
    except ImportError:
        raise MissingToolError(
            "the disassembler 'capstone' is not installed",
            where="virtual core",
            hint="pip install 'mcu-budget[measure]'",
        ) from None
    made = capstone.Cs(
        capstone.CS_ARCH_ARM,
        capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8,
    )
    made.detail = True
    return made


def _base_name(name: str, mnemonic: str) -> str:
    """Capstone calls some forms by aliases: the mnemonic tells them apart."""
    if mnemonic.startswith(("push", "pop", "vpush", "vpop")):
        return mnemonic.partition(".")[0].rstrip("w") if mnemonic.endswith(".w") else name
    return name


def _instruction(found: Any, name: str, *, in_block: bool) -> Instruction:
    from capstone import arm

    kind = _KINDS.get(name, Kind.FLOAT_ALU if name.startswith("v") else Kind.ALU)
    reads, writes = (frozenset(map(found.reg_name, each)) for each in found.regs_access())
    base = index = ""
    shift = offset = 0
    listed: list[str] = []
    for operand in found.operands:
        if operand.type == arm.ARM_OP_MEM:
            base = found.reg_name(operand.mem.base) or ""
            index = found.reg_name(operand.mem.index) or "" if operand.mem.index else ""
            offset = operand.mem.disp
            shift = operand.shift.value if operand.shift.type == arm.ARM_SFT_LSL else 0
        elif operand.type == arm.ARM_OP_REG:
            listed.append(found.reg_name(operand.reg))
    step = 0
    if kind in _MULTIPLES:
        base, listed, step, offset = _multiple(name, listed, found.writeback)
    elif found.writeback and base:
        offset, step = _update(found, offset)
    words = sum(2 if register[0] == "d" else 1 for register in listed) if kind in _MULTIPLES else 0
    words = words or _single_words(kind, listed)
    loads = frozenset(
        listed if kind in _MULTIPLES else listed[: 2 if kind is Kind.LOAD_DOUBLE else 1]
    )
    conditional = name in {"cbz", "cbnz"} or found.cc not in (0, 15)
    branches = kind in {Kind.BRANCH, Kind.BRANCH_LINK, Kind.TABLE_BRANCH} or "pc" in writes
    return Instruction(
        found.address,
        found.size,
        f"{found.mnemonic} {found.op_str}".strip(),
        kind,
        reads,
        writes,
        loads if kind in _LOADS else frozenset(),
        base,
        index,
        shift,
        offset,
        step,
        words,
        _ACCESS_BYTES.get(name, 4) if words else 0,
        conditional or in_block,
        branches,
        _accumulator(kind, listed),
        _needs(found, name, kind),
    )


def _multiple(name: str, listed: list[str], updates: bool) -> tuple[str, list[str], int, int]:
    """Base, registers moved, update of the base, and offset of the lowest address."""
    if name in {"push", "pop", "vpush", "vpop"}:
        base, moved, updates = "sp", listed, True
    else:
        base, moved = listed[0], listed[1:]
    size = 4 * sum(2 if register[0] == "d" else 1 for register in moved)
    down = name in {"push", "vpush"} or name.endswith("db")
    return base, moved, (-size if down else size) if updates else 0, -size if down else 0


def _update(found: Any, offset: int) -> tuple[int, int]:
    """Offset of the access and change of the base, pre- and post-indexed."""
    if found.post_index:
        last = found.operands[-1]
        amount = last.imm if last.type == 2 else offset
        return 0, -amount if last.subtracted and last.type == 2 and amount > 0 else amount
    return offset, offset


def _single_words(kind: Kind, listed: list[str]) -> int:
    if kind in {Kind.LOAD, Kind.STORE}:
        return 1
    if kind in {Kind.LOAD_DOUBLE, Kind.STORE_DOUBLE}:
        return 2
    if kind in {Kind.FLOAT_LOAD, Kind.FLOAT_STORE}:
        return 2 if listed and listed[0][0] == "d" else 1
    return 0


def _accumulator(kind: Kind, listed: list[str]) -> str:
    if kind is Kind.MULTIPLY_ADD and len(listed) == 4:
        return listed[3]
    return listed[0] if kind is Kind.FLOAT_MULTIPLY_ADD and listed else ""


def _needs(found: Any, name: str, kind: Kind) -> frozenset[str]:
    needs = set()
    if (found.size == 4 and kind not in _SMALL_WIDE) or name in _LARGE_NARROW:
        needs.add("thumb2")
    if _DSP.fullmatch(name):
        needs.add("dsp")
    if name.startswith("v") or name == "fmstat":
        needs.add("fpu")
        if ".f64" in found.mnemonic and kind in _FLOAT_ARITHMETIC:
            needs.add("fpu-dp")
    return frozenset(needs)
