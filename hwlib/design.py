"""A Design: a folder with `design.yaml` (capability manifest) and `rtl/*.v`. The expert and every candidate are one."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hwlib import contracts, isa
from hwlib.documents import read_document
from hwlib.errors import InputError

PLATFORM = Path(__file__).parent / "platform"
EXPERT = Path(__file__).parent / "expert"

_FILE_NAME = re.compile(r"[A-Za-z_]\w*\.v", re.ASCII)
_FILE_BYTES, _FILES = 4 << 20, 2000
"""What is read at all; how large a file may be the policy gate decides."""
_OF_TOP = {"LANES": "ACT_LANES", "TABLES": "ACT_TABLES"}
"""Names of the top's parameters where a block calls them otherwise."""
_ENTRIES = {"matrix_unit": "MATRIX_PARAMS", "vector_unit": "VECTOR_PARAMS"}
"""The top's parameter that a block calls PARAMS."""


class Manifest(BaseModel):
    """What the compiler may count on. `parameters` are those of the `top` contract; cycles unless named otherwise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    isa: int = isa.VERSION
    parameters: dict[str, int]
    variants: dict[str, str] = Field(default_factory=dict)
    timing: dict[str, float] = Field(default_factory=dict)
    clock_ns: float = Field(gt=0)
    precisions: dict[str, list[str]] = Field(default_factory=lambda: {"activation": ["int8"], "weight": ["int8"]})

    @model_validator(mode="after")
    def _legal(self) -> Manifest:
        if self.isa != isa.VERSION:
            raise ValueError(f"isa {self.isa} is not supported; this rtloom speaks version {isa.VERSION}")
        contract = contracts.load("top")
        try:
            contract.check(self.parameters)
        except InputError as error:
            raise ValueError(str(error)) from error
        full = {name: p.default for name, p in contract.parameters.items()} | self.parameters
        _check_shape(full)
        object.__setattr__(self, "parameters", full)
        return self

    @property
    def tile(self) -> int:
        """T: rows and columns of the array."""
        return self.parameters["T"]

    @property
    def dot(self) -> int:
        """D: length of each dot product."""
        return self.parameters["D"]

    @property
    def word_bytes(self) -> int:
        return self.tile * self.dot

    @property
    def macs_per_cycle(self) -> int:
        return self.tile * self.tile * self.dot

    @property
    def scratchpad_bytes(self) -> int:
        return self.parameters["WORDS"] * self.word_bytes


def _check_shape(p: dict[str, int]) -> None:
    powers = (
        "T",
        "D",
        "WORDS",
        "BANKS",
        "AXI_BYTES",
        "ACT_LANES",
        "MATRIX_PARAMS",
        "VECTOR_PARAMS",
        "ROW_SCALES",
        "QUEUE",
    )
    for name in powers:
        if p[name] & (p[name] - 1):
            raise ValueError(f"{name} = {p[name]} is not a power of two")
    if p["T"] * p["D"] < 8:
        raise ValueError(f"T*D = {p['T'] * p['D']} bytes in a word; use at least 8")
    if p["AXI_BYTES"] > p["T"] * p["D"]:
        raise ValueError(f"AXI_BYTES = {p['AXI_BYTES']} is wider than a word of {p['T'] * p['D']} bytes")
    if p["ACT_LANES"] > p["T"]:
        raise ValueError(f"ACT_LANES = {p['ACT_LANES']} is more than T = {p['T']}")
    if p["BANKS"] * 2 > p["WORDS"]:
        raise ValueError(f"BANKS = {p['BANKS']} leaves fewer than two words a bank")


@dataclass(frozen=True)
class Design:
    """A manifest and its Verilog files (sorted paths)."""

    folder: Path
    manifest: Manifest
    rtl: tuple[Path, ...]

    @property
    def tree_hash(self) -> str:
        """SHA-256 of the manifest's content and every RTL file, names included."""
        digest = hashlib.sha256(self.manifest.model_dump_json().encode())
        for path in self.rtl:
            data = path.read_bytes()
            digest.update(f"{path.name}\0{len(data)}\0".encode() + data)
        return digest.hexdigest()

    def block_files(self, block: str) -> tuple[Path, ...]:
        """Files of `block`: ``block.v`` and submodules ``block_*.v``, less those of a block with a longer name."""
        others = [n for n in contracts.names() if n != block and n.startswith(block + "_")]
        own = [p for p in self.rtl if p.stem == block or p.stem.startswith(block + "_")]
        return tuple(p for p in own if not any(p.stem == o or p.stem.startswith(o + "_") for o in others))

    def closure_files(self, block: str) -> tuple[Path, ...]:
        """Files needed to elaborate `block`: its own, those of the blocks it uses, and the platform cells used."""
        files: dict[str, Path] = {}
        pending = [block]
        while pending:
            name = pending.pop()
            cell = PLATFORM / f"{name}.v"
            if cell.exists():
                files[cell.name] = cell
                continue
            files |= {p.name: p for p in self.block_files(name)}
            pending += contracts.load(name).uses
        return tuple(files[name] for name in sorted(files))


def name_in_top(block: str, name: str) -> str:
    """The top's parameter that `block` gets as its own parameter `name`."""
    return _ENTRIES[block] if name == "PARAMS" else _OF_TOP.get(name, name)


def block_parameters(block: str, parameters: Mapping[str, int]) -> dict[str, int]:
    """The values of `block`'s own parameters in a design whose top has `parameters`."""
    return {name: parameters[name_in_top(block, name)] for name in contracts.load(block).parameters}


def platform_files() -> tuple[Path, ...]:
    """Cells every design may instantiate and none may redefine."""
    return tuple(sorted(PLATFORM.glob("*.v")))


def read_manifest(path: Path) -> Manifest:
    """The manifest at `path`; InputError names the file, the field and the rule."""
    try:
        return read_document(path, Manifest, "docs/design.md")
    except FileNotFoundError:
        where, mend = str(path.parent), "a design is a folder with design.yaml and rtl/*.v"
        raise InputError("no design.yaml here", where, mend) from None


def read_design(folder: Path) -> Design:
    """The design in `folder`. Raises InputError if the manifest is bad or there is no RTL."""
    _check_files(folder, ())
    manifest = read_manifest(folder / "design.yaml")
    rtl = tuple(sorted((folder / "rtl").glob("*.v")))
    _check_files(folder, rtl)
    if not rtl:
        raise InputError("no Verilog files", str(folder / "rtl"), "put one module a file, named as the file")
    return Design(folder, manifest, rtl)


def _check_files(folder: Path, rtl: tuple[Path, ...]) -> None:
    """InputError for what must not be opened: links lead elsewhere, pipes never end, names may be options."""
    if len(rtl) > _FILES:
        raise InputError(f"{len(rtl)} Verilog files", str(folder / "rtl"), f"a design has at most {_FILES}")
    for path in (folder / "design.yaml", folder / "rtl", *rtl):
        status = os.lstat(path) if os.path.lexists(path) else None
        if status is None:
            continue
        if stat.S_ISLNK(status.st_mode):
            raise InputError("a symbolic link", str(path), "put the file itself there")
        if path.suffix == ".v" and not _FILE_NAME.fullmatch(path.name):
            raise InputError("a file name no module can have", str(path), "name files as their modules: NAME.v")
        if path.name != "rtl" and not stat.S_ISREG(status.st_mode):
            raise InputError("not a plain file", str(path), "put a file of text there")
        if status.st_size > _FILE_BYTES:
            raise InputError(f"{status.st_size} bytes", str(path), f"a file has at most {_FILE_BYTES}")


def with_parameters(design: Design, **parameters: int) -> Design:
    """`design` with manifest parameters replaced, e.g. ``with_parameters(d, T=16, D=1)``; InputError if illegal."""
    values = {"parameters": design.manifest.parameters | parameters}
    try:
        manifest = Manifest.model_validate(design.manifest.model_dump() | values)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise InputError(message, f"{design.manifest.name}: parameters", "see docs/design.md") from None
    return replace(design, manifest=manifest)
