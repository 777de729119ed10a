"""From choices to Verilog text, and to a whole Design folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hwlib import contracts, isa
from hwlib.contracts.schema import Contract, Interface
from hwlib.design import Design, Manifest, read_design
from hwlib.errors import InputError
from hwlib.templates.catalog import FOLDER, Choice, Value, blocks, variant


def render(block: str, variant_name: str, options: Mapping[str, Value] | None = None) -> dict[str, str]:
    """Verilog files of `block` by file name, one module each.

    Raises InputError for an unknown block, variant or option, or an illegal value; it says what is legal.
    """
    chosen = variant(block, variant_name)
    values = chosen.resolve(options or {}, f"{block}.{variant_name}")
    context = {
        "opt": values,
        "variant": variant_name,
        "interface": module_header(contracts.load(block)),
        "decode": decode_instance,
    }
    return {
        f"{module}.v": _environment().get_template(template).render(context, module=module)
        for module, template in chosen.files.items()
    }


def render_design(folder: Path, manifest: Manifest, choices: Mapping[str, Choice]) -> Design:
    """Write a Design with the chosen variant of every block to `folder`, replacing it whole or not at all.

    The manifest's `variants` record the choices. Raises InputError if a block has no choice.
    """
    missing = [block for block in blocks() if block not in choices]
    if missing:
        raise InputError(f"no variant chosen for {', '.join(missing)}", str(folder), "choose one for every block")
    texts = {name: text for block, choice in choices.items() for name, text in render(block, *choice).items()}
    named = {block: describe(choice) for block, choice in sorted(choices.items())}
    _write(folder, manifest.model_copy(update={"variants": named}), texts)
    return read_design(folder)


def describe(choice: Choice) -> str:
    """`variant` or `variant option=value …`, options sorted: how a manifest records a choice."""
    name, options = choice
    return " ".join([name, *(f"{key}={options[key]}" for key in sorted(options))])


def _write(folder: Path, manifest: Manifest, texts: Mapping[str, str]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        fresh, stale = staging / "fresh", staging / "stale"
        (fresh / "rtl").mkdir(parents=True)
        (fresh / "design.yaml").write_text(yaml.safe_dump(manifest.model_dump(), sort_keys=True))
        for name, text in texts.items():
            (fresh / "rtl" / name).write_text(text)
        if folder.exists():
            os.rename(folder, stale)
        os.rename(fresh, folder)
    finally:
        shutil.rmtree(staging)


@lru_cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(FOLDER),
        undefined=StrictUndefined,
        variable_start_string="${",
        variable_end_string="}",
        block_start_string="[%",
        block_end_string="%]",
        comment_start_string="[#",
        comment_end_string="#]",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def module_header(contract: Contract) -> str:
    """The block's module header: the contract's parameters and ports, widths as expressions of the parameters."""
    parameters = ",\n".join(f"    parameter {name} = {p.default}" for name, p in contract.parameters.items())
    ports = ["    input  wire clk", "    input  wire rst_n"]
    for interface in contract.interfaces:
        ports += _ports(interface)
    return f"module {contract.block} #(\n{parameters}\n) (\n" + ",\n".join(ports) + "\n);"


def _ports(interface: Interface) -> list[str]:
    forward, backward = ("input ", "output") if interface.direction == "in" else ("output", "input ")
    stem = interface.name + interface.separator if interface.name else ""
    lines = [] if interface.kind == "wires" else [f"    {forward} wire {stem}valid"]
    if interface.kind == "stream":
        lines.append(f"    {backward} wire {stem}ready")
    for name, width in interface.fields.items():
        bits = "" if str(width) == "1" else f"[{_top_bit(str(width))}:0] "
        lines.append(f"    {forward} wire {bits}{stem}{name}")
    return lines


def _top_bit(width: str) -> str:
    return str(int(width) - 1) if width.isdigit() else f"{width}-1"


def decode_instance(instr: str, *used: str) -> str:
    """Verilog that decodes `instr` with isa_decode into wires named as the decoder's outputs; others go unused.

    Raises InputError if `used` names an output the decoder does not have.
    """
    widths = dict(_decoder_outputs())
    unknown = [name for name in used if name not in widths]
    if unknown:
        raise InputError(f"isa_decode has no output '{unknown[0]}'", "templates", f"use one of {', '.join(widths)}")
    spare = sum(bits for name, bits in widths.items() if name not in used)
    lines = [_wire(name, widths[name]) for name in used] + [_wire("unused_fields", spare)]
    pins, low = [f"        .instr({instr})"], 0
    for name, bits in widths.items():
        if name in used:
            pins.append(f"        .{name}({name})")
            continue
        pins.append(f"        .{name}(unused_fields[{low + bits - 1}:{low}])")
        low += bits
    return "\n".join([*lines, "    isa_decode fields (", ",\n".join(pins), "    );"])


def _wire(name: str, bits: int) -> str:
    return f"    wire {name};" if bits == 1 else f"    wire [{bits - 1}:0] {name};"


@lru_cache
def _decoder_outputs() -> tuple[tuple[str, int], ...]:
    layouts = {"LOAD": "x_", "GEMM": "g_", "ADD": "v_"}
    fields = [(f.name, f.bits) for f in isa.HEADER]
    fields += [(prefix + f.name, f.bits) for op, prefix in layouts.items() for f in isa.BY_NAME[op].operands]
    return (*fields, ("illegal", 1))
