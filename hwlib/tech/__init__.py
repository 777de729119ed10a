"""Technologies a design can be synthesised to: a Liberty file and what the flow must know about its cells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from hwlib.errors import InputError

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Technology:
    """A standard-cell library.

    adders: Verilog that maps Yosys' `$fa` to the library's adder cells, or empty. driver: the cell assumed to drive
    inputs, or empty. load_ff: load of an output, fF. sram_access_ns, sram_setup_ns: what a memory macro is assumed to
    take from clock to data, and to need before the clock. avoid: cells mapping must not use.
    """

    name: str
    summary: str
    liberty: Path
    adders: str = ""
    driver: str = ""
    load_ff: float = 20.0
    buffer_fanout: int = 16
    sram_access_ns: float = 0.0
    sram_setup_ns: float = 0.0
    avoid: tuple[str, ...] = ()


def names() -> tuple[str, ...]:
    """Technologies known by name."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def technology(text: str) -> Technology:
    """`osu018`, `sky130hd=PATH`, or the path of any other Liberty file (``.lib`` or ``.lib.gz``).

    Raises InputError if there is no such technology or its Liberty file is missing, naming the package that has it.
    """
    name, _, given = text.partition("=")
    path = FOLDER / f"{name}.yaml"
    if path.exists():
        return _named(path, Path(given) if given else None)
    if given or not text.endswith((".lib", ".lib.gz")):
        raise InputError(f"no technology '{text}'", "--tech", f"use one of {', '.join(names())}, NAME=PATH or PATH.lib")
    return Technology(
        Path(text).name.split(".lib")[0], "a Liberty file given by path", _existing(Path(text), "check the path")
    )


def _named(path: Path, given: Path | None) -> Technology:
    data = yaml.safe_load(path.read_text())
    install = data.pop("install")
    default = data.pop("liberty")
    adders = (FOLDER / data.pop("adders")).read_text()
    if given is None and default is None:
        raise InputError(f"{data['name']} needs its Liberty file", "--tech", install)
    liberty = _existing(given or Path(default), install)
    return Technology(**data | {"liberty": liberty, "adders": adders, "avoid": tuple(data["avoid"])})


def _existing(path: Path, mend: str) -> Path:
    if not path.is_file():
        raise InputError("no such Liberty file", str(path), mend)
    return path.resolve()
