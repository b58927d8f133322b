"""A microcontroller in software: runs functions of a linked program and counts what they do.

Instructions are executed by Unicorn. Basic blocks are counted, in pairs of one block and the
next, so that each block is priced once and taken branches are known. Three traps, each silent:
a hook misses code translated before it was added, so translations are dropped after adding one;
an instruction hook skips instructions whose IT condition is false though they take a cycle, so
instructions are counted by decoding blocks; memory hooks can corrupt execution, so none are used.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Timer
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budget.core.counting import Counter, Leader, Scope
from budget.core.elf import Elf, Symbol
from budget.core.timing.instruction import Instruction, decode
from budget.errors import BudgetError, MissingToolError, UsageError

_PAGE = 0x1000
_WORD = 4
STOP = 0x9FFF_F000  # a page of its own: where a called function returns to
_STACK_TOP = 0x9FF0_0000
_STACK_BYTES = 0x10_0000
_SCRATCH = 0x9000_0000
_SCRATCH_BYTES = 0x100_0000
_HEAP_BYTES = 0x100_0000
_MOST_BYTES = 0x800_0000  # of a program: more than any Cortex-M board carries

_CODE, _BLOCK = 4, 8  # UC_HOOK_CODE, UC_HOOK_BLOCK
_CALLBACK = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p
)


class FirmwareError(BudgetError):
    """The program did what no program should: a fault, an undefined instruction, no end."""

    exit_code = 3


@dataclass(frozen=True)
class Run:
    """One call.

    Attributes:
        result: value returned in r0.
        scopes: of each function asked for, in the order of entry; the first is the rest.
        stack_bytes: deepest use of the stack.
        trace: where asked for, in order: addresses of blocks; values of the base registers of
            leaders, with 1 + the leader's number above bit 32, where they point into flash; and
            -1 - the number of a scope where it is entered or returned to.
    """

    result: int
    scopes: tuple[Scope, ...]
    stack_bytes: int
    trace: Sequence[int] = ()


class Machine:
    """Memory and registers of a Cortex-M with a program loaded; nothing of the start-up has run.

    Initialised variables are in place, the rest is zero, the floating-point unit is on.

    Args:
        elf: program.

    Raises:
        MissingToolError: the emulator is not installed.
        FirmwareError: the program takes more memory than there is, or lies where none can be.
    """

    def __init__(self, elf: Elf) -> None:
        self._unicorn = _import_unicorn()
        self.elf = elf
        self._mapped: list[tuple[int, int]] = []
        self._scratch = _SCRATCH
        self._blocks: dict[int, int] = {}
        self._callbacks: list[Any] = []
        self._decoded: dict[int, tuple[Instruction, ...]] = {}
        self._core = self._unicorn.Uc(
            self._unicorn.UC_ARCH_ARM, self._unicorn.UC_MODE_THUMB | self._unicorn.UC_MODE_MCLASS
        )
        self._load()

    # memory

    @property
    def flash_regions(self) -> list[range]:
        """Addresses of what is stored and never written."""
        merged: list[range] = []
        for segment in sorted(self.elf.segments, key=lambda s: s.load_address):
            start, stop = segment.load_address, segment.load_address + len(segment.data)
            if merged and start <= merged[-1].stop + _PAGE:
                merged[-1] = range(merged[-1].start, max(stop, merged[-1].stop))
            elif start < stop:
                merged.append(range(start, stop))
        return merged or [range(0)]

    def read(self, address: int, size_bytes: int) -> bytes:
        """Bytes of memory.

        Raises:
            FirmwareError: nothing is there.
        """
        try:
            return bytes(self._core.mem_read(address, size_bytes))
        except self._unicorn.UcError:
            raise self._unmapped(address) from None

    def write(self, address: int, data: bytes) -> None:
        """Changes memory.

        Raises:
            FirmwareError: nothing is there.
        """
        try:
            self._core.mem_write(address, data)
        except self._unicorn.UcError:
            raise self._unmapped(address) from None

    def allocate(self, size_bytes: int) -> int:
        """Address of fresh RAM for arguments, outside of the program's own.

        Raises:
            UsageError: there is not enough of it.
        """
        address = self._scratch
        self._scratch += (size_bytes + 31) // 32 * 32
        if self._scratch > _SCRATCH + _SCRATCH_BYTES:
            raise UsageError(
                f"buffers of {size_bytes} bytes do not fit", where=self.elf.name,
                hint=f"the virtual core keeps {_SCRATCH_BYTES} bytes for arguments",
            )  # fmt: skip
        return address

    def paint(self, address: int, size_bytes: int) -> Paint:
        """Fills memory with noise, to see later how much of it was changed.

        The noise depends on the place alone, so that a program is measured alike every time.
        """
        random = np.random.default_rng([address, size_bytes])
        noise = np.frombuffer(random.bytes(size_bytes), np.uint8)
        self.write(address, noise.tobytes())
        return Paint(address, noise)

    def painted_bytes(self, paint: Paint) -> tuple[int, int]:
        """First offset of the words that were changed since, and that behind them; or (0, 0).

        Whole words are taken as changed: one of 256 bytes is written as the noise it had.
        """
        size = len(paint.noise)
        now = np.frombuffer(self.read(paint.address, size), np.uint8)
        changed = np.flatnonzero(now != paint.noise)
        if not len(changed):
            return 0, 0
        behind = int(changed[-1]) // _WORD * _WORD + _WORD
        return int(changed[0]) // _WORD * _WORD, min(behind, size)

    # running

    def call(
        self,
        function: str | int,
        arguments: Sequence[int] = (),
        *,
        count: bool = False,
        scopes: Iterable[Symbol] = (),
        leaders: Sequence[Leader] | None = None,
        limit_s: float = 120.0,
    ) -> Run:
        """Calls a function as C does.

        Args:
            function: symbol or address.
            arguments: integers and pointers; those beyond four go on the stack.
            count: whether to count blocks; else it runs twenty times as fast.
            scopes: functions whose blocks, callees included, are counted apart.
            leaders: loads to trace; with any, even none, the order of blocks is kept.
            limit_s: longest time to wait for it.

        Raises:
            FirmwareError: a fault, an undefined instruction, or no end within the limit.
            UsageError: there is no such function.
        """
        address = self.elf.symbol(function).address if isinstance(function, str) else function
        stack = self._set_registers(arguments)
        bottom = _STACK_TOP - _STACK_BYTES
        paint = self.paint(bottom, stack - bottom)
        counter = None
        removals = []
        if count or leaders is not None:
            entries = {symbol.address: symbol.name for symbol in scopes}
            counter = Counter(self._blocks, entries, leaders is not None)
            hook = counter.make_block_hook(self._reader("lr"))
            removals = [self._add_hook(_BLOCK, hook)]
            for number, leader in enumerate(leaders or (), 1):
                hook = self._make_leader_hook(leader, number, counter.trace)
                removals.append(self._add_hook(_CODE, hook, leader.address))
            self._core.ctl_flush_tb()
        try:
            self._start(address, limit_s)
        finally:
            for remove in removals:
                remove()
            if removals:
                self._core.ctl_flush_tb()
        arm = self._unicorn.arm_const
        if counter:
            counter.finish(STOP)
        lowest, highest = self.painted_bytes(paint)
        return Run(
            int(self._core.reg_read(arm.UC_ARM_REG_R0)),
            tuple(counter.scopes) if counter else (),
            stack - bottom - lowest if highest else 0,
            counter.trace if counter else (),
        )

    @property
    def blocks(self) -> list[int]:
        """Addresses of all blocks counted so far."""
        return list(self._blocks)

    def block(self, address: int) -> tuple[Instruction, ...]:
        """The instructions of a block that was counted."""
        if address not in self._decoded:
            size = self._blocks[address]
            self._decoded[address] = decode(self.read(address, size), address)
        return self._decoded[address]

    # inside

    def _load(self) -> None:
        self._map(STOP, _PAGE)
        self._map(_STACK_TOP - _STACK_BYTES, _STACK_BYTES)
        self._map(_SCRATCH, _SCRATCH_BYTES)
        self.write(STOP, b"\xfe\xe7" * 2)  # b .
        size_bytes = sum(segment.size_bytes for segment in self.elf.segments)
        if size_bytes > _MOST_BYTES:
            raise FirmwareError(
                f"the program takes {size_bytes:,} bytes of memory, more than {_MOST_BYTES:,}",
                where=self.elf.name,
                hint="give an executable linked for a Cortex-M",
            )
        for segment in self.elf.segments:
            room = _HEAP_BYTES if segment.writable else 0
            self._map(segment.address, segment.size_bytes + room)
            self._map(segment.load_address, len(segment.data))
        for segment in self.elf.segments:
            self.write(segment.load_address, segment.data)
        for segment in self.elf.segments:
            zeros = segment.size_bytes - len(segment.data)
            self.write(segment.address, segment.data + bytes(zeros))

    def _map(self, address: int, size_bytes: int) -> None:
        """Maps what is not mapped yet of a range, in whole pages."""
        start = address // _PAGE * _PAGE
        end = min(-(-(address + size_bytes) // _PAGE) * _PAGE, 1 << 32)
        for low, high in sorted(self._mapped):
            if low < end and start < high:
                if start < low:
                    self._map_free(start, low)
                start = max(start, high)
        if start < end:
            self._map_free(start, end)

    def _map_free(self, start: int, end: int) -> None:
        self._core.mem_map(start, end - start)
        self._mapped.append((start, end))

    def _set_registers(self, arguments: Sequence[int]) -> int:
        """Follows the procedure call standard (ARM IHI 0042); returns the stack pointer."""
        arm = self._unicorn.arm_const
        stack = _STACK_TOP - 64
        beyond = b"".join(int(a & 0xFFFF_FFFF).to_bytes(4, "little") for a in arguments[4:])
        stack -= (len(beyond) + 7) // 8 * 8
        self.write(stack, beyond)
        for index, value in enumerate(arguments[:4]):
            self._core.reg_write(arm.UC_ARM_REG_R0 + index, value & 0xFFFF_FFFF)
        self._core.reg_write(arm.UC_ARM_REG_SP, stack)
        self._core.reg_write(arm.UC_ARM_REG_LR, STOP | 1)
        return stack

    def _add_hook(
        self, kind: int, callback: Callable[..., None], at: int | None = None
    ) -> Callable[[], object]:
        """Has a function called for each block, or before the instruction at an address.

        Returns:
            What takes the hook away.
        """
        begin, end = (1, 0) if at is None else (at, at)
        library = _library()
        handle = getattr(self._core, "_uch", None)
        if library is None or handle is None:
            hook = self._core.hook_add(kind, callback, begin=begin, end=end)
            return partial(self._core.hook_del, hook)
        # the binding's own wrapper calls two more Python functions each time
        entry = _CALLBACK(callback)
        self._callbacks.append(entry)
        number = ctypes.c_size_t()
        bounds = ctypes.c_uint64(begin), ctypes.c_uint64(end)
        library.uc_hook_add(handle, ctypes.byref(number), kind, entry, None, *bounds)
        return partial(library.uc_hook_del, handle, number)

    def _make_leader_hook(
        self, leader: Leader, number: int, trace: list[int]
    ) -> Callable[..., None]:
        regions, tag, keep = self.flash_regions, number << 32, trace.append
        low, high, several = regions[0].start, regions[0].stop, len(regions) > 1
        base, shift = self._reader(leader.base), leader.index_shift
        index = self._reader(leader.index) if leader.index else None

        def hook(_: Any, __: int, ___: int, ____: Any) -> None:
            value = base()
            if index is not None:
                value = (value + (index() << shift)) & 0xFFFF_FFFF
            if low <= value < high or (several and any(value in r for r in regions)):
                keep(tag | value)

        return hook

    def _reader(self, name: str) -> Callable[[], int]:
        """A quick way to read a register again and again."""
        number = getattr(self._unicorn.arm_const, f"UC_ARM_REG_{name.upper()}")
        library = _library()
        handle = getattr(self._core, "_uch", None)
        if library is None or handle is None:
            return lambda: int(self._core.reg_read(number))
        value = ctypes.c_uint32()
        read, place, which = library.uc_reg_read, ctypes.byref(value), ctypes.c_int(number)

        def reader() -> int:
            read(handle, which, place)
            return value.value

        return reader

    def _start(self, address: int, limit_s: float) -> None:
        arm = self._unicorn.arm_const
        trapped: list[int] = []

        def trap(core: Any, number: int, _: Any) -> None:
            trapped.append(number)
            core.emu_stop()

        hook = self._core.hook_add(self._unicorn.UC_HOOK_INTR, trap)
        # not Unicorn's own time limit: that one polls, and keeps a processor busy
        watchdog = Timer(limit_s, self._core.emu_stop)
        watchdog.daemon = True
        watchdog.start()
        try:
            self._core.emu_start(address | 1, STOP)
        except self._unicorn.UcError as error:
            raise self._fault(str(error)) from None
        finally:
            watchdog.cancel()
            self._core.hook_del(hook)
        if trapped:
            raise self._fault(f"exception {trapped[0]} (a trap, a breakpoint or semihosting)")
        if self._core.reg_read(arm.UC_ARM_REG_PC) != STOP:
            raise self._fault(f"it had not returned after {limit_s:g} s")

    def _fault(self, what: str) -> FirmwareError:
        arm = self._unicorn.arm_const
        address = self._core.reg_read(arm.UC_ARM_REG_PC)
        owner = self.elf.owner(address)
        place = f"0x{address:08x}" + (f" in '{owner.name}'" if owner else "")
        return FirmwareError(
            f"stopped at {place}: {what}",
            where=self.elf.name,
            hint="a called function may need others before it (--setup), or stack or memory that "
            "the machine does not have",
        )

    def _unmapped(self, address: int) -> FirmwareError:
        return FirmwareError(
            f"there is no memory at 0x{address:08x}",
            where=self.elf.name,
            hint="the program was linked for another memory layout",
        )


@dataclass(frozen=True)
class Paint:
    """Noise written over memory."""

    address: int
    noise: NDArray[np.uint8] = field(repr=False)


def _library() -> Any:
    """The C library behind the binding, None where the binding has changed its inside."""
    try:
        from unicorn.unicorn_py3 import unicorn as binding
    except ImportError:
        return None
    return getattr(binding, "uclib", None)


def _import_unicorn() -> Any:
    try:
        import unicorn
        import unicorn.arm_const
    except ImportError:
        raise MissingToolError(
            "the emulator 'unicorn' is not installed",
            where="virtual core",
            hint="pip install 'mcu-budget[measure]'",
        ) from None
    return unicorn
