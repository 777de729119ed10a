"""A session with a simulated design: memory, runs and registers.

Commands to the process are one letter and little-endian operands; `harness.cpp` is the other side.
"""

from __future__ import annotations

import contextlib
import os
import select
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType

from hwlib.design import Design
from hwlib.errors import InputError
from verification import cache, sandbox
from verification.system.build import build_simulator

COUNTERS = (
    "cycles", "issue", "mac", "matrix_busy", "operand_stall", "drain_stall", "vector_busy", "load_busy", "store_busy",
    "read_beat", "write_beat", "wait_load", "wait_store", "wait_matrix", "wait_vector",
)  # fmt: skip
"""The performance counters in register order, as in the contract of `control`."""

_DONE = 2
_LIMITS = sandbox.Limits(seconds=24 * 3600, memory_bytes=4 << 30)


@dataclass(frozen=True)
class MemoryModel:
    """The memory behind the AXI4 port.

    latency: cycles from a read address to its first beat, and from the last write beat to the response.
    stall: probability, each cycle and channel, that the memory is not ready or holds an answer back; with stall > 0
    bursts of different ids may also overtake. Bandwidth is one beat a cycle on each of the read and the write channel.
    Accesses in [error_low, error_high) answer SLVERR.
    """

    latency: int = 20
    stall: float = 0.0
    seed: int = 0
    error_low: int = 0
    error_high: int = 0

    def __post_init__(self) -> None:
        if self.latency < 1 or not 0 <= self.stall < 1:
            raise InputError(
                f"latency {self.latency}, stall {self.stall}", "memory model", "latency >= 1, 0 <= stall < 1"
            )


@dataclass(frozen=True)
class RunResult:
    """How a run ended.

    status: "done", "fault", or "timeout" (still running after the cycles allowed: reset before the next run).
    cycles: from the write that started it to the interrupt. violation: the first AXI rule broken, or empty.
    """

    status: str
    fault: int
    pc: int
    counters: dict[str, int]
    cycles: int
    violation: str = ""


class Simulation:
    """One running simulator. Addresses are bytes; a call raises InputError if the process dies or is too slow."""

    def __init__(self, design: Design, memory: MemoryModel, call_timeout_s: float) -> None:
        binary = build_simulator(design)
        self._timeout_s = call_timeout_s
        self._cleanup = ExitStack()
        folder = self._cleanup.enter_context(cache.scratch_folder("system"))
        words = sandbox.confined([str(binary), str(memory.seed)], folder, readable=(binary.parent,), limits=_LIMITS)
        self._child = subprocess.Popen(
            words, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        self.axi_bytes: int = struct.unpack("<I", self._receive(4))[0]
        self.set_memory(memory)

    def __enter__(self) -> Simulation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process and everything it started."""
        self._kill()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._cleanup.close()

    def set_memory(self, memory: MemoryModel) -> None:
        """Change the memory's behaviour, `memory`; the bytes stay."""
        self.memory = memory
        self._send(struct.pack("<cIQQQQ", b"M", memory.latency, int(memory.stall * 2**32), memory.seed,
                               memory.error_low, memory.error_high))  # fmt: skip
        self._receive(1)

    def write(self, address: int, data: bytes) -> None:
        """Put `data` into memory at `address`, without simulated time."""
        self._send(struct.pack("<cQQ", b"W", address, len(data)) + data)
        self._receive(1)

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes of memory at `address`; never-written bytes are zero."""
        self._send(struct.pack("<cQQ", b"R", address, size))
        return self._receive(size)

    def run(self, program: int, max_cycles: int) -> RunResult:
        """Start the program at byte address `program` and wait for the interrupt, at most `max_cycles`."""
        self._send(struct.pack("<cQQ", b"G", program, max_cycles))
        fields = struct.unpack(f"<IIQ{len(COUNTERS)}QI", self._receive(20 + 8 * len(COUNTERS)))
        status, pc, cycles, *counters, text = fields
        violation = self._receive(text).decode(errors="replace")
        fault = status >> 4 & 7
        word = "done" if status & _DONE and not fault else "fault" if status & _DONE else "timeout"
        return RunResult(word, fault, pc, dict(zip(COUNTERS, counters, strict=True)), cycles, violation)

    def step(self, cycles: int) -> bool:
        """Advance `cycles`; whether the interrupt line is high then."""
        self._send(struct.pack("<cQ", b"S", cycles))
        return bool(self._receive(1)[0])

    def reset(self) -> None:
        """Hold reset for a few cycles; the memory forgets outstanding transfers and keeps its bytes."""
        self._send(b"X")
        self._receive(1)

    def write_register(self, address: int, data: int) -> int:
        """AXI-Lite write; returns the response code (0 OKAY, 2 SLVERR, 255 never answered)."""
        self._send(struct.pack("<cII", b"P", address, data))
        return self._receive(1)[0]

    def read_register(self, address: int) -> tuple[int, int]:
        """AXI-Lite read: (data, response code)."""
        self._send(struct.pack("<cI", b"Q", address))
        data, response = struct.unpack("<IB", self._receive(5))
        return data, response

    def _send(self, data: bytes) -> None:
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(data)
            self._child.stdin.flush()
        except BrokenPipeError:
            raise self._dead() from None

    def _receive(self, size: int) -> bytes:
        assert self._child.stdout is not None
        descriptor, deadline, parts = self._child.stdout.fileno(), time.monotonic() + self._timeout_s, bytearray()
        while len(parts) < size:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                self._kill()
                raise InputError(
                    f"no answer within {self._timeout_s:g} s", "simulation", "allow fewer cycles or more time"
                )
            part = os.read(descriptor, min(size - len(parts), 1 << 20))
            if not part:
                raise self._dead()
            parts += part
        return bytes(parts)

    def _kill(self) -> None:
        sandbox.kill(self._child)

    def _dead(self) -> InputError:
        self._kill()
        return InputError(f"the simulator ended with status {self._child.returncode}", "simulation", "run it again")


@contextmanager
def open_simulation(
    design: Design, memory: MemoryModel | None = None, call_timeout_s: float = 600
) -> Iterator[Simulation]:
    """A simulator of `design` (built if need be), reset and ready. `call_timeout_s` bounds each call in wall time."""
    with Simulation(design, memory or MemoryModel(), call_timeout_s) as simulation:
        yield simulation
