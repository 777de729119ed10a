"""The policy gate refuses what a block's text may not contain, and says where."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from hwlib.design import Design, platform_files, read_design
from tests.verification.conftest import EXPERT, expert_text
from verification.gates import Candidate, Context, Finding, policy

Make = Callable[[dict[str, str]], Design]


@dataclass(frozen=True)
class Bad:
    """Lines put into a module from its 9th line on, the line the finding must name, and words it must have."""

    text: str
    words: str
    line: int = 9


BAD = {
    "initial": Bad("initial q = 1'b0;", "initial block"),
    "delay": Bad("always @(posedge clk) q <= #1 d;", "delay"),
    "display": Bad('always @(posedge clk) begin\nq <= d;\n$display("x");\nend', "$display", 11),
    "fopen": Bad('localparam F = $fopen("/etc/passwd");', "$fopen"),
    "random": Bad("always @(posedge clk) q <= $random;", "$random"),
    "readmem": Bad("reg [7:0] m [0:3];\nalways @(posedge clk) $readmemh(1, m);", "$readmemh", 10),
    "c_call": Bad('always @(posedge clk) $c("exit(0);");', "$c"),
    "dpi": Bad('import "DPI-C" function int steal();', "DPI"),
    "attribute": Bad("(* keep *) reg r;", "attribute"),
    "translate": Bad("// synopsys translate_off\nassign y = 1'b1;\n// synopsys translate_on", "steers a tool"),
    "verilator": Bad("/* verilator lint_off WIDTH */", "steers a tool"),
    "define": Bad("`ifdef SYNTHESIS\nassign y = 1'b1;\n`endif", "compiler directive"),
    "include": Bad('`include "other.v"', "compiler directive"),
    "hierarchy": Bad("assign y = other.inner.q;", "hierarchical reference"),
    "negedge": Bad("always @(negedge clk) q <= d;", "posedge clk only"),
    "async": Bad("always @(posedge clk or negedge rst_n) q <= d;", "posedge clk only"),
    "gated": Bad("always @(posedge d) q <= d;", "posedge clk only"),
    "always_ff": Bad("always_ff @(posedge clk) q <= d;", "always_ff"),
    "logic": Bad("logic r;", "not allowed"),
    "x_compare": Bad("assign y = (d === 1'bx);", "comparison with X or Z"),
    "force": Bad("always @(posedge clk) force q = d;", "not allowed"),
    "escaped": Bad("wire \\odd+name ;", "escaped identifier"),
    "unicode": Bad("// caf\u00e9", "printable ASCII"),
    "broken": Bad("assign y = ;", "syntax error"),
    "task": Bad("task t; begin end endtask", "not allowed"),
    "primitive": Bad("and g(y, d, clk);", "not allowed"),
    "fork": Bad("always @(posedge clk) fork q <= d; join", "not allowed"),
    "while": Bad("always @(posedge clk) while (d) q <= d;", "not allowed"),
}


def module(name: str, body: str) -> str:
    head = f"// {name}.\nmodule {name} (\n    input  wire clk,\n    input  wire rst_n,\n    input  wire d,\n"
    return f"{head}    output wire y\n);\nreg q;\n{body}\nendmodule\n"


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Finding]]:
    """The findings on a block with one bad file for each of BAD, by file."""
    found: dict[str, list[Finding]] = {}
    names = sorted(BAD)
    for half in (names[::2], names[1::2]):
        folder = tmp_path_factory.mktemp("bad") / "design"
        shutil.copytree(EXPERT, folder)
        for name in half:
            text = module(f"requantizer_{name}", BAD[name].text)
            (folder / "rtl" / f"requantizer_{name}.v").write_text(text)
        for finding in policy.run(Candidate(read_design(folder), "requantizer"), Context()).findings:
            found.setdefault(finding.file, []).append(finding)
    return found


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_text_is_found_at_its_line(name: str, judged: dict[str, list[Finding]]) -> None:
    findings = judged.get(f"requantizer_{name}.v", [])
    at_line = [finding for finding in findings if finding.line == BAD[name].line]
    assert any(BAD[name].words in finding.message for finding in at_line), [str(f) for f in findings]


def test_the_good_files_beside_them_are_not_blamed(judged: dict[str, list[Finding]]) -> None:
    assert set(judged) == {f"requantizer_{name}.v" for name in BAD}


@pytest.fixture
def refused(spoiled: Make) -> Callable[..., list[Finding]]:
    def judge(files: dict[str, str], scope: str = "requantizer") -> list[Finding]:
        result = policy.run(Candidate(spoiled(files), scope), Context())
        assert result.passed == (not result.findings)
        return list(result.findings)

    return judge


def test_the_expert_passes(expert: Design) -> None:
    result = policy.run(Candidate(expert, "requantizer"), Context())
    assert (result.passed, result.findings) == (True, ())
    assert result.metrics["files"] == len(Candidate(expert, "requantizer").own_files())


def test_a_port_of_another_width(refused: Callable[..., list[Finding]]) -> None:
    text = expert_text("requantizer.v", ("input  wire [39:0]     x_bias", "input  wire [38:0]     x_bias"))
    found = refused({"requantizer.v": text + "// width\n"})
    assert [(f.file, f.line, f.expected, f.got) for f in found] == [
        ("requantizer.v", 15, "input of 40 bits", "input of 39 bits")
    ]
    assert found[0].message == "port x_bias at T=2"


def test_a_port_missing_and_one_too_many(refused: Callable[..., list[Finding]]) -> None:
    text = expert_text("requantizer.v", ("    input  wire            rst_n,\n", "    input  wire            reset,\n"))
    found = refused({"requantizer.v": text.replace("rst_n", "reset")})
    assert {(f.message.split(" at ")[0], f.expected, f.got) for f in found} == {
        ("port reset", "none", "input of 1 bits"),
        ("port rst_n", "input of 1 bits", "none"),
    }


def test_another_parameter(refused: Callable[..., list[Finding]]) -> None:
    (found,) = refused({"requantizer.v": expert_text("requantizer.v", ("parameter T = 4", "parameter T = 4, X = 1"))})
    assert (found.file, found.line, found.expected, found.got) == ("requantizer.v", 5, "T", "T, X")


def test_two_modules_in_a_file(refused: Callable[..., list[Finding]]) -> None:
    found = refused({"requantizer_extra.v": module("requantizer_extra", "") + module("requantizer_more", "")})
    assert [(f.file, f.line) for f in found] == [("requantizer_extra.v", 12)]
    assert "one module a file" in found[0].message


def test_a_module_not_named_as_its_file(refused: Callable[..., list[Finding]]) -> None:
    (found,) = refused({"requantizer_extra.v": module("requantizer_other", "")})
    assert (found.file, found.line) == ("requantizer_extra.v", 2)


def test_an_instance_of_another_block(refused: Callable[..., list[Finding]]) -> None:
    (found,) = refused({"requantizer_extra.v": module("requantizer_extra", "softmax u (.clk(clk));")})
    assert (found.file, found.line) == ("requantizer_extra.v", 9)
    assert "'softmax'" in found.message


def test_what_only_pyverilog_cannot_read(refused: Callable[..., list[Finding]]) -> None:
    body = "function f(input a);\n    f = a;\nendfunction\nassign y = f(d);"
    (found,) = refused({"requantizer_extra.v": module("requantizer_extra", body)})
    assert (found.file, found.line) == ("requantizer_extra.v", 9)
    assert "pyverilog" in found.message


def test_an_unknown_name_is_found_at_elaboration(refused: Callable[..., list[Finding]]) -> None:
    text = expert_text("requantizer.v", ("assign y_valid = waiting", "assign y_valid = waitin"))
    found = refused({"requantizer.v": text})
    assert {(f.file, f.line) for f in found} == {("requantizer.v", 37)}


def test_a_platform_cell_redefined(refused: Callable[..., list[Finding]]) -> None:
    cell = platform_files()[0]
    (found,) = refused({cell.name: cell.read_text()}, "design")
    assert found.file == cell.name
    assert "platform's" in found.message


def test_a_file_of_no_block(refused: Callable[..., list[Finding]]) -> None:
    (found,) = refused({"extra.v": module("extra", "")}, "design")
    assert (found.file, found.line) == ("extra.v", 1)


def test_large_files(refused: Callable[..., list[Finding]]) -> None:
    (found,) = refused({"requantizer_big.v": module("requantizer_big", "") + "// \n" * 60_000})
    assert found.file == "requantizer_big.v"
    assert "at most 200000" in found.message


def test_hostile_constants_are_stopped_by_the_limits(
    refused: Callable[..., list[Finding]], monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = policy.sandbox.Limits(seconds=6, memory_bytes=400 << 20, processes=8)
    monkeypatch.setattr(policy, "LIMITS", limits)
    huge = "".join(f"localparam [7999999:0] HUGE{n} = {{8000000{{1'b1}}}} ** 999999{n};\n" for n in range(100))
    found = refused({"requantizer.v": expert_text("requantizer.v", ("\nendmodule", f"\n{huge}endmodule"))})
    assert "memory limit" in found[0].message or "time limit" in found[0].message
