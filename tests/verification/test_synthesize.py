"""Synthesis of small designs whose figures can be told beforehand."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from hwlib.design import EXPERT, platform_files, read_design
from hwlib.errors import InputError
from hwlib.tech import Technology, technology
from verification.memory_macros import Macro, macros_of
from verification.synthesize import SynthesisResult, block_parts, synthesize, synthesize_block
from verification.timing import split_assignments

pytestmark = pytest.mark.xdist_group("synthesis")

CLOCK_NS = 8.0
FLIP_FLOP_UM2 = 96.0
"""Of the library's smallest."""
PORTS = "input wire clk, input wire rst_n, input wire [7:0] a, input wire [7:0] b, output reg [15:0] y"
REGISTERS = "always @(posedge clk) y <= {a, b};"
MEMORY = """
    wire [15:0] q;
    sram_1r1w #(.WIDTH(16), .DEPTH(32)) words (
        .clk(clk), .read_en(1'b1), .read_addr(a[4:0]), .read_data(q),
        .write_en(b[0]), .write_addr(b[4:0]), .write_data({a, b}), .write_strb(2'b11)
    );
    always @(posedge clk) y <= q + 1'b1;
"""
Synthesis = Callable[..., SynthesisResult]


def module(body: str, name: str = "small") -> str:
    return f"module {name} #(parameter W = 8) ({PORTS});\n{body}\nendmodule\n"


@pytest.fixture(scope="session")
def osu() -> Technology:
    return technology("osu018")


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def put(body: str, name: str = "small") -> Path:
        path = tmp_path / f"{name}.v"
        path.write_text(module(body, name))
        return path

    return put


@pytest.fixture
def synthesis(write: Callable[..., Path], osu: Technology) -> Synthesis:
    """Synthesise `body` as the module `small`, with other modules beside it."""

    def run(body: str, others: Mapping[str, str] = {}, parameters: Mapping[str, int] = {}) -> SynthesisResult:
        files = [write(body), *(write(text, name) for name, text in others.items()), *platform_files()]
        return synthesize(files, "small", parameters, osu, CLOCK_NS, jobs=1)

    return run


def test_registers_are_counted_and_measured(synthesis: Synthesis) -> None:
    result = synthesis(REGISTERS)
    assert (result.top, result.technology, result.clock_ns) == ("small", "osu018", CLOCK_NS)
    assert (result.cells, result.flip_flops, result.memory_bits) == (16, 16, 0)
    assert result.area_um2 == 16 * FLIP_FLOP_UM2
    assert result.blocks == {"small": result.area_um2}
    assert (result.latches, result.unmapped) == ((), ())
    assert 0 < result.min_period_ns < 1
    assert result.power_mw > 0


def test_a_blocks_area_is_told_by_module(write: Callable[..., Path], osu: Technology) -> None:
    """Each mapped alone, as often as it stands in the block; a module that is not the block's own is left out."""
    whole = "\n".join(["wire [15:0] p, q, r;", *(f"{of} {name} (.clk(clk), .rst_n(rst_n), .a(a), .b(b), .y({name[0]}));"
                       for of, name in (("part", "p0"), ("part", "q0"), ("other", "r0"))),
                       "always @(posedge clk) y <= p ^ q ^ r;"])  # fmt: skip
    files = [write(whole), write(REGISTERS, "part"), write(REGISTERS, "other"), *platform_files()]
    found = {p.module: p for p in block_parts(files, "small", {}, osu, CLOCK_NS, {"small", "part"})}
    assert {name: part.count for name, part in found.items()} == {"small": 1, "part": 2}
    assert found["part"].area_um2 == 16 * FLIP_FLOP_UM2
    assert found["small"].area_um2 > 16 * FLIP_FLOP_UM2


def test_modules_at_several_parameters_are_told_apart_and_from_others_so_named(tmp_path: Path, osu: Technology) -> None:
    texts = {
        "small": "module small (input wire clk, input wire [7:0] a, output wire [7:0] y);\nwire [7:0] p, q;\n"
        "stage #(.N(1)) one (.clk(clk), .d(a), .q(p));\nstage #(.N(2)) two (.clk(clk), .d(p), .q(q));\n"
        "stage_2 last (.clk(clk), .given(q), .y(y));\nendmodule\n",
        "stage": "module stage #(parameter N = 1) (input wire clk, input wire [7:0] d, output reg [7:0] q);\n"
        "always @(posedge clk) q <= d + N[7:0];\nendmodule\n",
        "stage_2": "module stage_2 (input wire clk, input wire [7:0] given, output reg [7:0] y);\n"
        "always @(posedge clk) y <= given;\nendmodule\n",
    }  # fmt: skip
    files = [tmp_path / f"{name}.v" for name in texts]
    for path, text in zip(files, texts.values(), strict=True):
        path.write_text(text)
    found = block_parts([*files, *platform_files()], "small", {}, osu, CLOCK_NS, set(texts))
    assert sorted((part.module, part.count) for part in found) == [
        ("small", 1), ("stage(N=1)", 1), ("stage(N=2)", 1), ("stage_2", 1)
    ]  # fmt: skip


def test_cells_to_avoid_are_not_used(write: Callable[..., Path], osu: Technology) -> None:
    """Flip-flops and gates alike, by pattern."""
    files = [write("always @(posedge clk) y <= {a ^ b, a & b};"), *platform_files()]
    for avoid in ((), ("DFFP*",), ("*NAND*", "*AND*")):
        cells = synthesize_block(files, "small", {}, replace(osu, avoid=avoid), CLOCK_NS).cells
        assert any(name.startswith("DFFP") for name in cells) == (avoid != ("DFFP*",))
        assert any("AND" in name for name in cells) == ("*AND*" not in avoid)


def test_deeper_logic_takes_longer(synthesis: Synthesis) -> None:
    bodies = (REGISTERS, "always @(posedge clk) y <= a + b;", "always @(posedge clk) y <= a * b;",
              "wire [15:0] p = a * b;\nalways @(posedge clk) y <= p[15:8] * p[7:0];")  # fmt: skip
    results = [synthesis(body) for body in bodies]
    assert all(a.min_period_ns < b.min_period_ns for a, b in pairwise(results))
    assert all(a.area_um2 < b.area_um2 for a, b in pairwise(results[1:]))
    path = results[-1].critical_path
    assert path.start.startswith(("a[", "b["))
    assert path.end.startswith("y[")
    times = [moment for _, _, moment in path.points]
    assert times == sorted(times)
    assert path.delay_ns <= results[-1].min_period_ns


def test_a_path_to_the_falling_edge_has_half_a_period(synthesis: Synthesis) -> None:
    assert synthesis("always @(negedge clk) y <= {a, b};").min_period_ns > CLOCK_NS / 2


def test_a_design_without_logic_has_no_period(synthesis: Synthesis) -> None:
    for body in ("always @* y = {a, b};", "always @* y = 16'd5;"):
        result = synthesis(body)
        assert (result.area_um2, result.cells, result.min_period_ns, result.power_mw) == (0, 0, 0, 0)


def test_latches_are_reported(synthesis: Synthesis) -> None:
    result = synthesis("always @* if (a[0]) y = {a, b};")
    assert result.latches == ("LATCH",)
    assert result.flip_flops == 0


def test_cells_the_library_lacks_are_reported(synthesis: Synthesis) -> None:
    result = synthesis("always @(posedge clk or posedge rst_n) if (rst_n) y <= {b, a}; else y <= {a, b};")
    assert result.unmapped == ("$_ALDFF_PP_",)


def test_memories_are_macros_counted_in_bits(synthesis: Synthesis, osu: Technology) -> None:
    result = synthesis(MEMORY)
    assert (result.memory_bits, result.flip_flops) == (16 * 32, 16)
    assert result.area_um2 < 16 * 32 * FLIP_FLOP_UM2 / 4
    assert result.critical_path.start.startswith("words")
    assert result.min_period_ns > osu.sram_access_ns


def test_memories_of_every_instance_count(synthesis: Synthesis) -> None:
    body = """
    wire [15:0] p, q;
    eltwise first (.clk(clk), .rst_n(rst_n), .a(a), .b(b), .y(p));
    eltwise second (.clk(clk), .rst_n(rst_n), .a(b), .b(a), .y(q));
    always @(posedge clk) y <= p ^ q;
    """
    result = synthesis(body, {"eltwise": MEMORY})
    assert result.memory_bits == 2 * 16 * 32
    assert result.flip_flops == 3 * 16


BLOCKS = """
    wire [15:0] p, q, r;
    eltwise #(.W(8)) first (.clk(clk), .rst_n(rst_n), .a(a), .b(b), .y(p));
    eltwise #(.W(4)) second (.clk(clk), .rst_n(rst_n), .a(b), .b(a), .y(q));
    helper third (.clk(clk), .rst_n(rst_n), .a(p[7:0]), .b(q[7:0]), .y(r));
    always @* y = r;
"""
ADDER = "always @(posedge clk) y <= a[W-1:0] + b[W-1:0];"


def test_areas_of_blocks_add_up(synthesis: Synthesis, tmp_path: Path, osu: Technology) -> None:
    """Blocks stay apart, each parameterisation mapped by itself; other modules belong to the block around them."""
    result = synthesis(BLOCKS, {"eltwise": ADDER, "helper": REGISTERS})
    alone = [synthesize_block([tmp_path / "eltwise.v"], "eltwise", {"W": w}, osu, CLOCK_NS) for w in (8, 4)]
    assert set(result.blocks) == {"small", "eltwise"}
    assert result.blocks["eltwise"] == sum(block.area_um2 for block in alone)
    assert result.blocks["small"] == 16 * FLIP_FLOP_UM2
    assert sum(result.blocks.values()) == result.area_um2
    assert result.flip_flops == 9 + 5 + 16


def test_parameters_are_those_given(synthesis: Synthesis) -> None:
    result = synthesis("reg [W-1:0] s;\nalways @(posedge clk) s <= s + a;\nalways @* y = s;", parameters={"W": 5})
    assert result.flip_flops == 5


def test_full_adders_are_extracted(write: Callable[..., Path], osu: Technology) -> None:
    """The library's adder cells take the place of gates."""
    files = [write("always @(posedge clk) y <= a * b;")]
    plain, adders = (synthesize_block(files, "small", {}, tech, CLOCK_NS) for tech in (replace(osu, adders=""), osu))
    assert adders.cells["FAX1"] > 20
    assert "FAX1" not in plain.cells
    assert "HAX1" not in plain.cells
    assert sum(adders.cells.values()) < sum(plain.cells.values())


def test_a_block_is_mapped_once(write: Callable[..., Path], osu: Technology) -> None:
    def seconds(body: str, clock_ns: float = CLOCK_NS) -> float:
        return synthesize_block([write(body)], "small", {}, osu, clock_ns).seconds

    text = f"{REGISTERS} // {time.time()}"
    first = seconds(text)
    assert seconds(text) == first
    assert seconds(f"{text} changed") != first
    assert seconds(text, 7.5) != first


def test_any_liberty_file_will_do(write: Callable[..., Path], osu: Technology, tmp_path: Path) -> None:
    path = tmp_path / "own.lib.gz"
    path.write_bytes(gzip.compress(osu.liberty.read_bytes(), 1))
    result = synthesize([write(REGISTERS)], "small", {}, technology(str(path)), CLOCK_NS, jobs=1)
    assert (result.technology, result.flip_flops, result.area_um2) == ("own", 16, 16 * FLIP_FLOP_UM2)


REFUSED = {
    "syntax": ("assign y = ;", "small.v:2", "syntax error"),
    "no such function": ("always @(posedge clk) y <= missing(a);", "small.v:2", "missing"),
    "no such module": ("nothing u (.a(a));", "Yosys", "nothing"),
    "system task": ("always @(posedge clk) if (a[0]) $finish;", "small.v:2", "$finish"),
    "both edges": ("always @(posedge clk or negedge clk) y <= a;", "Yosys", "edge"),
    "two drivers": ("bufif1 g(y[0], a[0], b[0]);\nbufif1 h(y[0], a[1], b[1]);", "Yosys", "already driven"),
    "print": ('initial $display("text");\nalways @(posedge clk) y <= a;', "OpenSTA", "syntax error"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_synthesised_is_refused(name: str, synthesis: Synthesis) -> None:
    body, where, words = REFUSED[name]
    with pytest.raises(InputError) as caught:
        synthesis(body)
    assert caught.value.where == where
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_macros_get_a_cell_for_each_size() -> None:
    text = """
  sram_1r1w #(.DEPTH(32'sd64), .GRAIN(32'h00000008), .WIDTH(32'b10000)) first (.clk(clk));
  sram_1r1w #(
    .WIDTH(32'd16), .DEPTH(32'd64)
  ) \\second[0].x (.clk(clk));
  sram_1r1w #(.WIDTH(32'd8), .DEPTH(32'd2), .GRAIN(32'd8)) third (.clk(clk));
"""
    netlist, found = macros_of(text)
    assert found == {"sram_1r1w_16x64_8": (Macro(16, 64, 8), 2), "sram_1r1w_8x2_8": (Macro(8, 2, 8), 1)}
    assert "sram_1r1w_16x64_8 \\second[0].x (" in netlist
    assert [macro.bits for macro, _ in found.values()] == [1024, 16]


def test_assignments_to_concatenations_are_split() -> None:
    text = """  wire [3:0] w;
  wire s;
  wire [1:0] \\odd[x] ;
  assign { w[3:2], s, \\odd[x] } = { w[1], 2'b10, s };
  assign s = w[0];
"""
    lines = [line.strip() for line in split_assignments(text).splitlines()]
    assert lines[-5:] == [
        "assign w[3] = w[1];",
        "assign w[2] = 1'b1;",
        "assign s = 1'b0;",
        "assign \\odd[x]  = s;",
        "assign s = w[0];",
    ]


def test_lanes_prepared_once_are_no_larger(osu: Technology) -> None:
    """Eight lanes are one module prepared once, four are flattened first: neither may know less of what is constant."""
    files = read_design(EXPERT).closure_files("requantizer")
    four, eight = (synthesize_block(files, "requantizer", {"T": tile}, osu, 8.0).area_um2 for tile in (4, 8))
    assert 1.9 * four < eight < 2.02 * four
