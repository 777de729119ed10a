"""A Program: instructions, memory image and tensor slots, compiled for one shape of machine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwlib import isa
from hwlib.design import Manifest
from hwlib.errors import InputError
from hwlib.files import write_whole
from hwlib.numerics import pack, pack_int4, unpack, unpack_matrix_int4
from mfm.compress.integer import INT4, QInput, chosen_rows
from mfm.program.effects import macs

Int = NDArray[np.int64]

MAGIC = b"RTLOOM-PROGRAM 1\n"
CELL = 8
"""Transfers begin and end at multiples of as many bytes: a word has at least as many, and so has a table's row."""
TARGET_PARAMETERS = ("T", "D", "WORDS", "AXI_BYTES", "ACT_TABLES", "MATRIX_PARAMS", "VECTOR_PARAMS", "ROW_SCALES")
"""The `top` parameters a program depends on; the others only change its speed."""


@dataclass(frozen=True)
class TensorSlot:
    """Where a tensor lies in memory, and what its int8 values mean.

    addr: byte address; rows, cols: valid elements; words: local words in a row-block;
    value = (q - zero) * scale. gather (inputs only): for each element of [rows, cols] the flat index into
    the sample that goes there, or -1 for zero. row: where in the first row-block row 0 lies.
    choices (inputs only): at `addr` lies a table of so many rows, `pitch` bytes from one to the next, and a run takes
    those of the numbers it is given, `rows` of them.
    """

    name: str
    addr: int
    rows: int
    cols: int
    words: int
    scale: float
    zero: int = 0
    gather: tuple[int, ...] = ()
    row: int = 0
    choices: int = 0
    pitch: int = 0

    @classmethod
    def unplaced(cls, op: QInput) -> TensorSlot:
        """The slot of an input that is in no program's memory: what its values mean, to quantize a sample."""
        choices = 0 if op.table is None else len(op.table)
        return cls(op.out, 0, op.rows, op.cols, 0, op.scale, gather=op.gather, choices=choices)

    def nbytes(self, target: Mapping[str, int]) -> int:
        """Bytes the slot takes in memory, padding included."""
        return -(-(self.row + self.rows) // target["T"]) * self.words * target["T"] * target["D"]

    def encode(self, sample: NDArray[np.float64], target: Mapping[str, int]) -> bytes:
        """Memory bytes of a float `sample`: gathered, quantized, tile-major."""
        return self.pack(self.quantize(sample), target)

    def quantize(self, sample: NDArray[np.float64]) -> Int:
        """The int8 matrix [rows, cols] of a float `sample`."""
        flat = np.concatenate([np.asarray(sample, dtype=np.float64).ravel(), np.zeros(1)])
        index = np.asarray(self.gather, dtype=np.int64) if self.gather else np.arange(self.rows * self.cols)
        if flat.size - 1 != index.max() + 1:
            raise InputError(
                f"a sample of {flat.size - 1} values for input '{self.name}'", "run", f"it needs {index.max() + 1}"
            )
        real = flat[index].reshape(self.rows, self.cols)
        return np.clip(np.floor(real / self.scale + 0.5).astype(np.int64) + self.zero, -128, 127)

    def pack(self, matrix: Int, target: Mapping[str, int]) -> bytes:
        """Memory bytes of an int8 `matrix` [rows, cols]."""
        width = self.words * target["D"]
        return pack(np.pad(matrix, ((self.row, 0), (0, width - self.cols))), target["T"], target["D"])

    def decode(self, data: bytes, target: Mapping[str, int]) -> Int:
        """The int8 matrix [rows, cols] in memory bytes `data`."""
        rows = self.row + self.rows
        return unpack(data, rows, self.words * target["D"], target["T"], target["D"])[self.row :, : self.cols]

    def dequantize(self, matrix: Int) -> NDArray[np.float64]:
        """Real values of an int8 `matrix`."""
        real: NDArray[np.float64] = np.multiply(matrix - self.zero, self.scale, dtype=np.float64)
        return real


@dataclass(frozen=True)
class CacheSlot:
    """Where a cache of `capacity` rows of `cols` columns lies: rows as tiles, or `turned` (rows along words).

    bits: 8, or 4: two words along a row-block share one.
    """

    name: str
    addr: int
    capacity: int
    cols: int
    turned: bool
    bits: int = 8

    def _shape(self, target: Mapping[str, int]) -> tuple[int, int]:
        """Rows and columns as they lie in memory, padding included."""
        align = max(target["T"], target["D"])
        cols = -(-self.cols // align) * align
        if self.turned:
            return cols, -(-self.capacity // align) * align
        return -(-self.capacity // target["T"]) * target["T"], cols

    def nbytes(self, target: Mapping[str, int]) -> int:
        """Bytes the cache takes in memory."""
        rows, cols = self._shape(target)
        return rows * (-(-cols // (2 * target["D"])) * target["D"] if self.bits == INT4 else cols)

    def pack(self, rows: Int, target: Mapping[str, int]) -> bytes:
        """Memory bytes of a cache whose first rows are `rows` [any, cols], zero after them."""
        full = np.zeros(self._shape(target), dtype=np.int64)
        held = rows.T if self.turned else rows
        full[: held.shape[0], : held.shape[1]] = held
        return (pack_int4 if self.bits == INT4 else pack)(full, target["T"], target["D"])

    def decode(self, data: bytes, rows: int, target: Mapping[str, int]) -> Int:
        """The first `rows` rows in memory bytes `data`."""
        read = unpack_matrix_int4 if self.bits == INT4 else unpack
        full = read(data, *self._shape(target), target["T"], target["D"])
        return (full.T if self.turned else full)[:rows, : self.cols]


@dataclass(frozen=True)
class Segment:
    """Bytes to be in memory before the run."""

    addr: int
    data: bytes


@dataclass(frozen=True)
class Program:
    """A compiled model.

    target: the machine parameters it was compiled for; layers[i]: label of instruction i; segments: weights,
    parameters and constants; memory_bytes: memory used from address 0, program included; caches: state that
    the programs of a model share.
    """

    name: str
    target: Mapping[str, int]
    instructions: tuple[isa.Instruction, ...]
    layers: tuple[str, ...]
    program_addr: int
    segments: tuple[Segment, ...]
    inputs: tuple[TensorSlot, ...]
    outputs: tuple[TensorSlot, ...]
    memory_bytes: int
    caches: tuple[CacheSlot, ...] = ()

    @property
    def code(self) -> bytes:
        """The instruction words, little endian."""
        return b"".join(isa.encode(i).to_bytes(isa.INSTRUCTION_BYTES, "little") for i in self.instructions)

    @property
    def mac_beats(self) -> int:
        """Array beats of the whole program: the `mac` counter of a run."""
        return sum(macs(i.op, i.operands) for i in self.instructions)

    @property
    def image(self) -> tuple[Segment, ...]:
        """All that must be in memory before the run, inputs apart."""
        return (*self.segments, Segment(self.program_addr, self.code))

    def feed(self, inputs: Mapping[str, Int]) -> tuple[Segment, ...]:
        """What is to be in memory for a run on int8 `inputs`: the inputs, and the loads of what is chosen by number.

        An input with choices is given as row numbers [rows]. Raises InputError for others than its table has.
        """
        given = [slot for slot in self.inputs if not slot.choices]
        written = [Segment(slot.addr, slot.pack(inputs[slot.name], self.target)) for slot in given]
        for index, item in self._choosing(inputs).items():
            at = self.program_addr + index * isa.INSTRUCTION_BYTES
            written.append(Segment(at, isa.encode(item).to_bytes(isa.INSTRUCTION_BYTES, "little")))
        return tuple(written)

    def chosen(self, inputs: Mapping[str, Int]) -> Sequence[isa.Instruction]:
        """The instructions of a run on `inputs`."""
        changed = self._choosing(inputs)
        return [changed.get(i, item) for i, item in enumerate(self.instructions)] if changed else self.instructions

    def _choosing(self, inputs: Mapping[str, Int]) -> dict[int, isa.Instruction]:
        """The loads of rows chosen by number, where they are in the program; as compiled, row r loads table row r."""
        found = {}
        for slot in (slot for slot in self.inputs if slot.choices):
            numbers = chosen_rows(inputs[slot.name], slot.rows, slot.choices, slot.name)
            for index, item in enumerate(self.instructions):
                row = (item.operands["dram_addr"] - slot.addr) // slot.pitch if "SPREAD" in item.flags else -1
                if 0 <= row < slot.rows:
                    address = slot.addr + numbers[row] * slot.pitch
                    found[index] = replace(item, operands={**item.operands, "dram_addr": address})
        return found

    def check(self, manifest: Manifest) -> None:
        """Raise InputError unless the program runs on `manifest`."""
        for name, value in self.target.items():
            have = manifest.parameters[name]
            if have != value:
                raise InputError(
                    f"program '{self.name}' was compiled for {name} = {value}, this design has {have}",
                    manifest.name,
                    "compile it for this design",
                )

    def save(self, path: Path) -> None:
        """Write one file, atomically."""
        blob = b"".join(s.data for s in self.segments) + self.code
        header = {
            "name": self.name,
            "isa": isa.VERSION,
            "target": dict(self.target),
            "program_addr": self.program_addr,
            "instructions": len(self.instructions),
            "layers": _run_lengths(self.layers),
            "segments": [[s.addr, len(s.data)] for s in self.segments],
            "inputs": [asdict(slot) for slot in self.inputs],
            "outputs": [asdict(slot) for slot in self.outputs],
            "memory_bytes": self.memory_bytes,
            "caches": [asdict(cache) for cache in self.caches],
        }
        text = json.dumps(header, sort_keys=True).encode()
        write_whole(path, MAGIC + len(text).to_bytes(8, "little") + text + blob)


def load_program(path: Path) -> Program:
    """The program in `path`. Raises InputError if it is missing, not a program, truncated or of another ISA version."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot read the program: {error.strerror}", str(path), "rtloom mfm compile writes one"
        ) from None
    if not data.startswith(MAGIC):
        raise InputError("not a program file", str(path), "rtloom mfm compile writes one")
    start = len(MAGIC) + 8
    size = int.from_bytes(data[start - 8 : start], "little")
    try:
        header = json.loads(data[start : start + size])
        if header["isa"] != isa.VERSION:
            raise InputError(f"ISA version {header['isa']}, this is {isa.VERSION}", str(path), "compile it again")
        return _from_header(header, data[start + size :])
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise InputError(f"damaged program file ({error})", str(path), "compile it again") from None


def _from_header(header: dict[str, object], blob: bytes) -> Program:
    h: dict[str, list] = header  # type: ignore[assignment,type-arg]
    segments, at = [], 0
    for addr, length in h["segments"]:
        segments.append(Segment(addr, blob[at : at + length]))
        at += length
    size, count = isa.INSTRUCTION_BYTES, int(str(header["instructions"]))
    if len(blob) != at + count * size:
        raise ValueError(f"{len(blob)} bytes of data, {at + count * size} expected")
    words = [int.from_bytes(blob[at + i * size : at + (i + 1) * size], "little") for i in range(count)]
    return Program(
        name=str(header["name"]),
        target=dict(h["target"]),
        instructions=tuple(isa.decode(word) for word in words),
        layers=tuple(name for name, times in h["layers"] for _ in range(times)),
        program_addr=int(str(header["program_addr"])),
        segments=tuple(segments),
        inputs=tuple(_slot(item) for item in h["inputs"]),
        outputs=tuple(_slot(item) for item in h["outputs"]),
        memory_bytes=int(str(header["memory_bytes"])),
        caches=tuple(CacheSlot(**item) for item in h["caches"]),
    )


def _slot(item: dict[str, object]) -> TensorSlot:
    return TensorSlot(**(item | {"gather": tuple(item["gather"])}))  # type: ignore[arg-type]


def _run_lengths(names: tuple[str, ...]) -> list[list[object]]:
    runs: list[list[object]] = []
    for name in names:
        if runs and runs[-1][0] == name:
            runs[-1][1] = int(str(runs[-1][1])) + 1
        else:
            runs.append([name, 1])
    return runs
