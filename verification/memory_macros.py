"""Memory macros in a mapped netlist: sizes, and a Liberty stand-in with the access time a technology assumes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_INSTANCE = re.compile(r"\bsram_1r1w\s*#\(\s*(?P<parameters>[^;]*?)\)\s*(?=\\?[\w$\\.\[\]]+\s+\()")
_PARAMETER = re.compile(r"\.(\w+)\(\d+'s?([bdh])([0-9a-f]+)\)")
_BASE = {"b": 2, "d": 10, "h": 16}


@dataclass(frozen=True)
class Macro:
    """One size of memory: words of `width` bits, `depth` of them, write strobes for each `grain` bits."""

    width: int
    depth: int
    grain: int

    @property
    def bits(self) -> int:
        return self.width * self.depth

    @property
    def cell(self) -> str:
        return f"sram_1r1w_{self.width}x{self.depth}_{self.grain}"


def macros_of(netlist: str) -> tuple[str, dict[str, tuple[Macro, int]]]:
    """The netlist with each size as a cell of its own name, and each cell's (macro, uses in the text)."""
    found: dict[str, tuple[Macro, int]] = {}

    def swap(match: re.Match[str]) -> str:
        values = {name: int(digits, _BASE[base]) for name, base, digits in _PARAMETER.findall(match["parameters"])}
        macro = Macro(values.get("WIDTH", 32), values.get("DEPTH", 64), values.get("GRAIN", 8))
        found[macro.cell] = (macro, found.get(macro.cell, (macro, 0))[1] + 1)
        return f"{macro.cell} "

    return _INSTANCE.sub(swap, netlist), found


def liberty(macros: Iterable[Macro], access_ns: float, setup_ns: float) -> str:
    """A Liberty library of `macros`: fixed access and set-up times, no area, no power."""
    cells = "".join(_cell(macro, access_ns, setup_ns) for macro in macros)
    return f"""library(memory_macros) {{
  delay_model : table_lookup;
  time_unit : "1ns";
  capacitive_load_unit (1,pf);
  voltage_unit : "1V";
  current_unit : "1uA";
  leakage_power_unit : "1nW";
  input_threshold_pct_rise : 50; input_threshold_pct_fall : 50;
  output_threshold_pct_rise : 50; output_threshold_pct_fall : 50;
  slew_lower_threshold_pct_rise : 20; slew_lower_threshold_pct_fall : 20;
  slew_upper_threshold_pct_rise : 80; slew_upper_threshold_pct_fall : 80;
{cells}}}
"""


def _cell(macro: Macro, access_ns: float, setup_ns: float) -> str:
    address = max(1, (macro.depth - 1).bit_length())
    ports = [("read_en", 1), ("read_addr", address), ("write_en", 1), ("write_addr", address)]
    ports += [("write_data", macro.width), ("write_strb", macro.width // macro.grain)]
    pins = "".join(_input(f"{macro.cell}_{name}", name, width, setup_ns) for name, width in ports)
    types = "".join(_bus_type(f"{macro.cell}_{name}", width) for name, width in [*ports, ("read_data", macro.width)])
    edges = "".join(f'{kind}(scalar) {{ values("{value}"); }} ' for kind, value in _delays(access_ns))
    return f"""{types}  cell({macro.cell}) {{
    area : 0;
    pin(clk) {{ direction : input; capacitance : 0.05; clock : true; }}
{pins}    bus(read_data) {{
      bus_type : {macro.cell}_read_data; direction : output;
      timing() {{ related_pin : "clk"; timing_type : rising_edge; {edges}}}
    }}
  }}
"""


def _delays(access_ns: float) -> list[tuple[str, float]]:
    transition = 0.1
    return [
        ("cell_rise", access_ns),
        ("cell_fall", access_ns),
        ("rise_transition", transition),
        ("fall_transition", transition),
    ]


def _bus_type(name: str, width: int) -> str:
    size = f"bit_width : {width}; bit_from : {width - 1}; bit_to : 0; downto : true;"
    return f"  type({name}) {{ base_type : array; data_type : bit; {size} }}\n"


def _input(bus_type: str, name: str, width: int, setup_ns: float) -> str:
    limits = " ".join(f'{edge}_constraint(scalar) {{ values("{setup_ns}"); }}' for edge in ("rise", "fall"))
    check = f'timing() {{ related_pin : "clk"; timing_type : setup_rising; {limits} }}'
    if width == 1 and name.endswith("_en"):
        return f"    pin({name}) {{ direction : input; capacitance : 0.02; {check} }}\n"
    return f"    bus({name}) {{ bus_type : {bus_type}; direction : input; capacitance : 0.02; {check} }}\n"
