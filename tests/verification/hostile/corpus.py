"""The hostile corpus: designs that each try one thing. Text in a block's module, whole files, or odd things in `rtl/`.

``@SECRET@`` is a file of the host that must not be read or changed, ``@TARGET@`` one that must not appear, ``@PORT@`` a
port that must not be connected to, ``@PID@`` a process that must not be killed, ``@VARIABLE@`` a variable of the host's
environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """What it tries; module items that try it, after `head` before the module; words its finding must have (either
    side of a bar).

    `tools`: who is the target, when policy is skipped: ``i`` Icarus, ``v`` Verilator and its model, ``y`` Yosys and
    Verilator's lint. `known`: reproduced from public reports of cheating designers.
    """

    tries: str
    words: str
    body: str = ""
    head: str = ""
    tools: str = ""
    known: bool = False


@dataclass(frozen=True)
class Files:
    """What it tries with files of its own (name: bytes or text) beside a block's, and words its finding must have."""

    tries: str
    words: str
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    known: bool = False


def _bomb(levels: int) -> str:
    """Macros that each hold the one before it twice."""
    steps = "\n".join(f"`define B{n} `B{n - 1} + `B{n - 1}" for n in range(1, levels))
    return f"`define B0 1\n{steps}\n"


def _system(command: str) -> str:
    return f'initial $system("{command}");'


HOST_FILES = {
    "fopen_write": Case("writes a file of the host", "$fopen", 'integer h_f;\ninitial begin\nh_f = $fopen("@TARGET@", "w");\n$fwrite(h_f, "owned");\n$fclose(h_f);\nend', tools="iv"),
    "fopen_channel": Case("writes by a multichannel descriptor", "$fopen", 'integer h_f;\ninitial begin\nh_f = $fopen("@TARGET@");\n$fdisplay(h_f, "owned");\nend', tools="i"),
    "fopen_append": Case("changes a file of the host", "$fopen", 'integer h_f;\ninitial begin\nh_f = $fopen("@SECRET@", "a");\n$fwrite(h_f, "owned");\n$fflush(h_f);\nend', tools="iv"),
    "fopen_read": Case("prints a file of the host", "$fopen", 'integer h_f, h_c;\ninitial begin\nh_f = $fopen("@SECRET@", "r");\nfor (h_c = 0; h_c < 99; h_c = h_c + 1) $write("%c", $fgetc(h_f));\nend', tools="iv"),
    "fread": Case("reads a file into a memory", "$fread", 'reg [7:0] h_m [0:63];\ninteger h_f, h_c;\ninitial begin\nh_f = $fopen("@SECRET@", "rb");\nh_c = $fread(h_m, h_f);\n$write("%s", h_m[0]);\nend', tools="i"),
    "readmemh_secret": Case("a compiler's warnings quote the secret", "$readmemh", 'reg [7:0] h_m [0:63];\ninitial $readmemh("@SECRET@", h_m);', tools="ivy"),
    "readmemb_secret": Case("the same in binary", "$readmemb", 'reg [7:0] h_m [0:63];\ninitial $readmemb("@SECRET@", h_m);', tools="iy"),
    "writememh": Case("writes a memory to the host", "$writememh", 'reg [7:0] h_m [0:3];\ninitial $writememh("@TARGET@", h_m);', tools="iv"),
    "dumpfile": Case("a waveform where nothing may be written", "$dumpfile", 'initial begin\n$dumpfile("@TARGET@");\n$dumpvars;\nend', tools="iv"),
    "log": Case("the simulator's log to a file", "$log", 'initial $log("@TARGET@");', tools="i"),
    "save": Case("the simulator's state to a file", "$save", 'initial $save("@TARGET@");', tools="i"),
    "input": Case("commands from a file", "$input", 'initial $input("@SECRET@");', tools="i"),
    "sdf_annotate": Case("delays from a file", "$sdf_annotate", 'initial $sdf_annotate("@SECRET@");', tools="i"),
    "fill_disk": Case("files until the disk is full", "$fopen", 'integer h_f, h_i;\ninitial begin\nh_f = $fopen("big", "w");\nfor (h_i = 0; h_i < 2000000000; h_i = h_i + 1) $fwrite(h_f, "%1000d", h_i);\nend', tools="i"),
    "many_files": Case("files without end", "$sformatf", 'integer h_f, h_i;\ninitial for (h_i = 0; h_i < 2000000000; h_i = h_i + 1) begin\nh_f = $fopen($sformatf("f%0d", h_i), "w");\n$fclose(h_f);\nend', tools="v"),
}  # fmt: skip

PROCESSES = {
    "system_touch": Case("starts a process that writes", "$system", _system("touch @TARGET@"), tools="v"),
    "system_network": Case("a connection to this machine", "$system", _system("bash -c 'echo owned > /dev/tcp/127.0.0.1/@PORT@'"), tools="v"),
    "system_environment": Case("steals the environment", "$system", _system("env"), tools="v"),
    "system_processes": Case("reads other processes' environment", "$system", _system("cat /proc/[0-9]*/environ | tr '\\\\000' '\\\\n'"), tools="v"),
    "system_kill": Case("kills a process of the host", "$system", _system("kill -9 @PID@"), tools="v"),
    "system_orphan": Case("leaves a process behind", "$system", _system("setsid sleep 4712.125 > /dev/null 2>&1 &"), tools="v"),
    "system_link": Case("a link where the record is read", "$system", _system("rm -f observations.jsonl; ln -s @SECRET@ observations.jsonl"), tools="v"),
    "system_pipe": Case("a pipe where the record is read", "$system", _system("rm -f observations.jsonl; mkfifo observations.jsonl"), tools="v"),
    "system_kernel": Case("changes the kernel's settings", "$system", _system("echo owned > /proc/sys/kernel/core_pattern"), tools="v"),
    "system_driver": Case("changes the bench's driver and the stimulus", "$system", _system("echo > driver.py; echo {} > stimulus.json"), tools="v"),
    "system_deep": Case("folders too deep to remove", "$system", _system("for i in $(seq 3000); do mkdir d && cd d; done"), tools="v"),
    "system_memory_files": Case("fills memory through files", "$system", _system("head -c 9000000000 /dev/zero > /dev/shm/x; head -c 9000000000 /dev/zero > /tmp/x"), tools="v"),
    "c_file": Case("C in the model writes a file", "$c", 'initial $c("{FILE* f = fopen(\\"@TARGET@\\", \\"w\\"); if (f) fclose(f);}");', tools="v"),
    "c_exit": Case("C ends the simulation as if all were well", "$c", 'initial $c("exit(0);");', tools="v"),
    "c_memory": Case("C takes memory without end", "$c", 'initial $c("for (;;) { char* p = (char*)malloc(1 << 26); if (!p) abort(); for (int i = 0; i < (1 << 26); i += 4096) p[i] = 1; }");', tools="v"),
    "dpi_system": Case("DPI calls the C library", "DPI", 'import "DPI-C" function int system(input string s);\ninteger h_r;\ninitial h_r = system("touch @TARGET@");', tools="v"),
    "dpi_getenv": Case("DPI reads the environment", "DPI", 'import "DPI-C" function string getenv(input string s);\ninitial $display("%s", getenv("@VARIABLE@"));', tools="v"),
    "dpi_export": Case("gives a function to C", "DPI", 'export "DPI-C" function h_f;'),
    "vpi_task": Case("a task of a VPI library", "$steal_all", "initial $steal_all;", tools="i"),
    "plusargs": Case("reads the simulator's arguments", "$value$plusargs", 'reg h_r;\ninitial h_r = $value$plusargs("seed=%d", h_r);'),
    "test_plusargs": Case("knows a simulator by its arguments", "$test$plusargs", 'wire h_r = $test$plusargs("verilator");'),
}  # fmt: skip

DIRECTIVES = {
    "include_passwd": Case("includes a file of the system", "`include", '`include "/etc/passwd"', tools="ivy"),
    "include_secret": Case("includes a secret, so that errors quote it", "`include", '`include "@SECRET@"', tools="ivy"),
    "include_parent": Case("climbs out of the folder", "`include", '`include "../../../../../../etc/hostname"', tools="iy"),
    "include_itself": Case("includes itself for ever", "`include", '`include "slice.v"', tools="ivy"),
    "include_endless": Case("includes a device that never ends", "`include", '`include "/dev/zero"', tools="ivy"),
    "include_golden": Case("reads the golden bench", "`include", '`include "verification/benches/eltwise.py"', known=True),
    "macro_bomb": Case("macros that double forty times", "`define", "wire [31:0] h_w = `B39;", _bomb(40), tools="ivy"),
    "macro_itself": Case("a macro that holds itself", "`define", "wire h_w = `LOOP;", "`define LOOP `LOOP + `LOOP\n", tools="ivy"),
    "ifdef_synthesis": Case("a stub for synthesis", "`ifdef", "`ifdef SYNTHESIS\nwire h_w = 1'b0;\n`else\nwire h_w = clk;\n`endif", known=True),
    "ifdef_verilator": Case("another text for Verilator", "`ifdef", "`ifdef VERILATOR\nwire h_w = 1'b0;\n`endif", known=True),
    "ifdef_yosys": Case("another text for Yosys", "`ifndef", "`ifndef YOSYS\nwire h_w = 1'b0;\n`endif", known=True),
    "ifdef_icarus": Case("another text for Icarus", "`ifdef", "`ifdef __ICARUS__\nwire h_w = 1'b0;\n`endif", known=True),
    "ifdef_cocotb": Case("another text for the bench", "`ifdef", "`ifdef COCOTB_SIM\nwire h_w = 1'b0;\n`endif", known=True),
    "ifdef_behind_comment": Case("a comment marker within a comment hides a directive", "`ifdef", "/* // */ `ifdef SYNTHESIS\nwire h_w = 1'b0;\n/* // */ `endif"),
    "ifdef_behind_string": Case("a comment marker within a string hides a directive", "`ifdef", 'localparam H = "//"; `ifdef SYNTHESIS\nwire h_w = 1\'b0;\n`endif'),
    "line": Case("says that lines are another file's", "`line", '`line 1 "softmax.v" 0'),
    "protect": Case("encrypted text", "`pragma", "`pragma protect begin_protected"),
    "timescale": Case("its own time", "`timescale", head="`timescale 1fs/1fs\n"),
    "default_nettype": Case("changes the rules of files after it", "`default_nettype", head="`default_nettype wor\n"),
    "celldefine": Case("hides as a library cell", "`celldefine", head="`celldefine\n"),
    "keywords": Case("another set of keywords", "`begin_keywords", head='`begin_keywords "1364-1995"\n'),
    "resetall": Case("resets the others' directives", "`resetall", head="`resetall\n"),
}  # fmt: skip

COMMENTS = {
    "translate_off": Case("hides logic from synthesis", "steers a tool", "// synopsys translate_off\nwire h_w = 1'b1;\n// synopsys translate_on", known=True),
    "translate_off_split": Case("one behaviour each for simulation and synthesis", "steers a tool", "wire h_w = 1'b0\n// synthesis translate_off\n| clk\n// synthesis translate_on\n;", known=True),
    "pragma_translate": Case("another spelling", "steers a tool", "// pragma translate_off\nwire h_w = 1'b1;\n// pragma translate_on"),
    "rtl_synthesis": Case("another spelling", "steers a tool", "// rtl_synthesis off\nwire h_w = 1'b1;\n// rtl_synthesis on"),
    "block_comment": Case("another spelling", "steers a tool", "/* synopsys translate_off */ wire h_w = 1'b1; /* synopsys translate_on */"),
    "second_comment": Case("behind a harmless comment", "steers a tool", "/* harmless */ /* verilator lint_off WIDTH */"),
    "next_line": Case("on a comment's second line", "steers a tool", "/*\n   synopsys translate_off */\n/* synopsys translate_on */"),
    "capitals": Case("in capitals", "steers a tool", "// SYNOPSYS TRANSLATE_OFF"),
    "behind_marks": Case("behind marks", "steers a tool", "//!@ verilator lint_off"),
    "lint_off": Case("silences the linter", "steers a tool", "// verilator lint_off UNUSED\nwire h_w;\n// verilator lint_on UNUSED"),
    "public": Case("opens a signal to the bench", "steers a tool", "reg h_r /* verilator public_flat_rw */;"),
    "full_case_comment": Case("asks synthesis to ignore cases", "steers a tool", "always @* case (clk) // synopsys full_case\n1'b0: ;\nendcase"),
    "coverage_off": Case("hides lines from coverage", "steers a tool", "// coverage off\nwire h_w = 1'b1;", known=True),
    "full_case": Case("an attribute that changes synthesis", "attribute", "reg h_r;\nalways @* (* full_case, parallel_case *) case (clk) 1'b0: h_r = 1'b0; endcase"),
    "keep": Case("an attribute", "attribute", "(* keep *) wire h_w;"),
    "blackbox": Case("a module of no content for synthesis", "attribute", head="(* blackbox *)\n", known=True),
    "init": Case("a start value by attribute", "attribute", "(* init = 1'b1 *) reg h_r;"),
    "techmap": Case("a name that maps cells", "attribute", '(* techmap_celltype = "$add" *) wire h_w;'),
}  # fmt: skip

FORGERIES = {
    "display_pass": Case("prints PASS", "$display", 'initial $display("** TESTS=1 PASS=1 FAIL=0 **");', tools="iv", known=True),
    "ansi_pass": Case("paints over the terminal's verdict", "$display", 'initial $display("\\033[2J\\033[1;32mPASS\\033[0m");', tools="iv"),
    "finish": Case("ends before the bench does", "$finish", "always @(posedge clk) $finish;", tools="iv", known=True),
    "finish_now": Case("ends at once", "$finish", "initial $finish(0);", tools="iv"),
    "stop": Case("waits for a person", "$stop", "initial $stop;", tools="iv"),
    "final_results": Case("a final block writes the results", "final block", 'integer h_f;\nfinal begin\nh_f = $fopen("results.xml", "w");\n$fwrite(h_f, "<testsuites/>");\n$fclose(h_f);\nend', tools="v", known=True),
    "final_record": Case("a final block writes the bench's record", "final block", 'integer h_f;\nfinal begin\nh_f = $fopen("observations.jsonl", "w");\n$fwrite(h_f, "{\\"finished\\": true}\\n");\n$fclose(h_f);\nend', tools="v", known=True),
    "initial_record": Case("the bench's record, nested too deep to read", "$fopen", 'integer h_f, h_i;\ninitial begin\nh_f = $fopen("observations.jsonl", "w");\nfor (h_i = 0; h_i < 200000; h_i = h_i + 1) $fwrite(h_f, "[");\n$fwrite(h_f, "\\n");\n$fclose(h_f);\n$finish;\nend', tools="i"),
    "fatal": Case("an error that is none", "$fatal", 'initial $fatal(0, "PASS");'),
    "exit": Case("leaves the program", "$exit", "initial $exit;"),
    "flood": Case("floods the output", "$display", 'initial while (1) $display("%1000d", 1);', tools="iv"),
    "monitor": Case("prints whenever anything changes", "$monitor", 'initial $monitor("%b", clk);'),
}  # fmt: skip

HARNESS = {
    "root": Case("reaches up from the root", "hierarchical reference", "wire h_w = $root.slice.clk;"),
    "upward": Case("reads another module's signals", "hierarchical reference", "wire h_w = driver.expected;"),
    "neighbour": Case("looks into a loop's instances", "hierarchical reference", "wire h_w = lane[0].u_lane.step;"),
    "force": Case("forces a pin", "ProceduralForce", "initial force clk = 1'b0;", tools="i"),
    "release": Case("lets a pin go", "ProceduralRelease", "initial release clk;"),
    "deassign": Case("assigns from within", "ProceduralAssign", "reg h_r;\nalways @* assign h_r = clk;"),
    "defparam": Case("changes parameters from below", "DefParam", "defparam softmax.T = 1;"),
    "bind": Case("puts logic into another module", "Bind", "bind softmax eltwise_spy u_spy ();"),
    "event_upward": Case("wakes on another module's event", "clocked by posedge clk", "reg h_r;\nalways @(posedge softmax.clk) h_r <= 1'b1;"),
}  # fmt: skip

TIME = {
    "delay": Case("is right only in time", "delay", "reg h_r;\nalways @(posedge clk) h_r <= #1 rst_n;"),
    "forever_zero": Case("a loop that lets no time pass", "initial block", "reg h_r;\ninitial forever #0 h_r = 1'b0;", tools="iv"),
    "while_one": Case("a loop without end", "initial block", "initial while (1) ;", tools="iv"),
    "always_bare": Case("always without waiting", "lets time pass", "reg h_r;\nalways h_r = !h_r;", tools="iv"),
    "event_inside": Case("waits for a clock in the middle", "event control inside", "reg h_r;\nalways @* begin\n@(posedge clk) h_r = 1'b1;\nend"),
    "wait": Case("waits on a level", "WaitStatement", "reg h_r;\nalways @* wait (clk) h_r = 1'b1;"),
    "fork": Case("processes that go on", "ParallelBlock", "reg h_r;\nalways @* fork h_r = 1'b1; join"),
    "repeat": Case("a loop with an unknown end", "LoopStatement", "reg h_r;\nalways @* repeat (clk) h_r = 1'b1;"),
    "time": Case("behaves by the simulator's time", "$time", "wire h_w = $time > 1000;", known=True),
    "random": Case("chance in hardware", "$random", "reg h_r;\nalways @(posedge clk) h_r <= $random;"),
    "urandom": Case("chance in hardware", "$urandom", "reg h_r;\nalways @(posedge clk) h_r <= $urandom;"),
    "negedge": Case("a second clock edge", "posedge clk only", "reg h_r;\nalways @(negedge clk) h_r <= rst_n;"),
    "level_clock": Case("a clock as a level", "posedge clk only", "reg h_r;\nalways @(clk) h_r = rst_n;"),
}  # fmt: skip

STATES = {
    "equals_x": Case("tells simulators apart by X", "comparison with X", "wire h_w = (clk === 1'bx);", known=True),
    "differs_x": Case("the same, turned", "comparison with X", "wire h_w = (clk !== 1'b0);"),
    "casex": Case("X matches in simulation only", "casex", "reg h_r;\nalways @* casex (clk) 1'b1: h_r = 1'b1; default: h_r = 1'b0; endcase"),
    "case_x": Case("a case for X", "X and Z differ", "reg h_r;\nalways @* case (clk) 1'bx: h_r = 1'b1; default: h_r = 1'b0; endcase"),
    "literal_x": Case("X as a value", "X and Z differ", "wire [7:0] h_w = 8'hxF;"),
    "literal_z": Case("three states", "X and Z differ", "wire h_w = clk ? 1'bz : 1'b0;"),
    "question": Case("Z in disguise", "? only in items of casez", "wire h_w = 1'b?;"),
    "fill_x": Case("X by SystemVerilog's fill", "not allowed", "wire [7:0] h_w = 'x;"),
    "isunknown": Case("asks for X", "$isunknown", "wire h_w = $isunknown(clk);"),
    "countbits": Case("counts X", "$countbits", "wire h_w = $countbits(clk, 1'bx) != 0;"),
    "initial": Case("state before reset", "initial block", "reg h_r;\ninitial h_r = 1'b1;"),
    "initial_value": Case("state before reset, as a declaration", "initial value", "reg [7:0] h_r = 8'd5;"),
    "initial_integer": Case("the same in an integer", "initial value", "integer h_i = 5;"),
    "initial_genvar": Case("the same in a memory", "initial value", "reg h_m [0:1] = 0;"),
    "wand": Case("drivers that are joined", "one driver", "wand h_w = clk;"),
    "trireg": Case("a net that remembers", "one driver", "trireg h_w;"),
    "supply": Case("a net of its own strength", "one driver", "supply1 h_w;"),
    "strength": Case("drivers that lose", "not allowed", "assign (weak0, weak1) clk = 1'b1;"),
    "pull": Case("a pull-up on a port", "not allowed", "pullup (clk);"),
    "transistor": Case("a switch", "not allowed", "tranif1 (clk, rst_n, clk);"),
    "gate": Case("a gate", "not allowed", "wire h_w;\nand (h_w, clk, rst_n);"),
}  # fmt: skip

LANGUAGE = {
    "class": Case("a class", "Class", "class h_c;\nendclass"),
    "program": Case("a program", "ProgramDeclaration", head="program h_p;\nendprogram\n"),
    "interface": Case("an interface", "InterfaceDeclaration", head="interface h_i;\nendinterface\n"),
    "package": Case("a package", "PackageDeclaration", head="package h_p;\nendpackage\n"),
    "config": Case("which module is meant, from within", "ConfigDeclaration", head="config h_c;\ndesign slice;\nendconfig\n"),
    "primitive": Case("a table as a primitive", "UdpDeclaration", head="primitive h_p (y, a);\noutput y;\ninput a;\ntable\n0 : 1;\n1 : 0;\nendtable\nendprimitive\n"),
    "covergroup": Case("coverage of its own", "CovergroupDeclaration", "covergroup h_g;\nendgroup", known=True),
    "assertion": Case("assertions of its own", "not allowed", "assert property (@(posedge clk) 1'b1);"),
    "assume": Case("assumptions that blind a prover", "not allowed", "always @* assume (rst_n);", tools="y"),
    "anyconst": Case("a value the prover chooses", "attribute", "(* anyconst *) wire h_w;"),
    "specify": Case("delays by path", "Specify", "specify\nspecparam t = 1;\nendspecify"),
    "task": Case("a task", "not allowed", "task h_t;\nbegin end\nendtask"),
    "string": Case("text in hardware", "a string", 'wire [31:0] h_w = "PASS";'),
    "real": Case("a number that is no bits", "not allowed", "real h_r;"),
    "typedef": Case("a type", "not allowed", "typedef reg h_t;"),
    "disable": Case("leaves a block", "not allowed", "always @* begin : h_b\ndisable h_b;\nend"),
    "escaped": Case("a name that is a keyword", "escaped identifier", "wire \\initial ;"),
    "escaped_cell": Case("a name of Yosys' own cells", "escaped identifier", "\\$add h_u ();"),
}  # fmt: skip

TEXT = {
    name: case
    for part in (HOST_FILES, PROCESSES, DIRECTIVES, COMMENTS, FORGERIES, HARNESS, TIME, STATES, LANGUAGE)
    for name, case in part.items()
}
"""All that is refused for what one file says: judged many at a time."""


def module(name: str, body: str = "", head: str = "") -> str:
    """A small module around `body`."""
    ports = "    input  wire clk,\n    input  wire rst_n,\n    output wire y\n"
    return f"// {name}.\n{head}module {name} (\n{ports});\nassign y = clk;\n{body}\nendmodule\n"


def _nested(levels: int, start: str, middle: str, end: str) -> str:
    return "\n".join([start] * levels) + middle + "\n".join([end] * levels)


LOOP = "integer i;\nbegin\nfor (i = 0; i < 2000000000; i = i + 1) h_f = i;\nend\nendfunction\nlocalparam H = h_f(1);"
GENERATE = (
    "genvar i, j, k;\ngenerate\nfor (i = 0; i < 900; i = i + 1) begin : a\nfor (j = 0; j < 900; j = j + 1) begin : b\n"
)
GENERATE += "for (k = 0; k < 900; k = k + 1) begin : c\nwire [H:0] w;\nend\nend\nend\nendgenerate\nlocalparam H = 7;"

ELABORATION = {
    "function_itself": Case("a function that calls itself", "not declared before it", "function integer h_f;\ninput [31:0] n;\nh_f = h_f(n + 1);\nendfunction\nlocalparam H = h_f(1);", tools="ivy"),
    "function_pair": Case("functions that call each other", "not declared before it", "function integer h_f;\ninput [31:0] n;\nh_f = h_g(n);\nendfunction\nfunction integer h_g;\ninput [31:0] n;\nh_g = h_f(n);\nendfunction\nlocalparam H = h_f(1);", tools="iy"),
    "function_loop": Case("a constant function without end", "step limit|time limit", "function integer h_f;\ninput [31:0] n;\n" + LOOP, tools="ivy"),
    "generate_bomb": Case("a billion of generated blocks", "generate|limit", GENERATE, tools="ivy"),
    "generate_endless": Case("a generate loop that stays where it is", "loop", "genvar i;\ngenerate\nfor (i = 0; i < 4; i = i + 0) begin : a\nwire w;\nend\nendgenerate", tools="iy"),
    "power": Case("a constant of millions of bits", "elaborating|limit", "".join(f"localparam [7999999:0] H{n} = {{8000000{{1'b1}}}} ** 999999{n};\n" for n in range(60)), tools="ivy"),
    "replication": Case("a billion copies of a bit", "maximum vector width", "localparam H = {2000000000{1'b1}};", tools="ivy"),
    "wide": Case("a register of billions of bits", "too large", "reg [2000000000:0] h_r;\nalways @(posedge clk) h_r <= h_r + 1;", tools="ivy"),
    "instances": Case("ten million instances in one line", "maximum size", "wire [9999999:0] h_w;\neltwise_small h_u [9999999:0] (.clk(clk), .rst_n(rst_n), .y(h_w));"),
    "parentheses": Case("parentheses within parentheses", "syntax error", "wire h_w = " + _nested(5000, "(", "clk", ")") + ";", tools="ivy"),
    "blocks": Case("blocks within blocks", "syntax error", "reg h_r;\nalways @*\n" + _nested(5000, "begin", " h_r = clk; ", "end"), tools="ivy"),
    "conditions": Case("choices within choices", "syntax error", "wire h_w = " + "clk ?\n1'b0 :\n" * 5000 + "1'b1;", tools="ivy"),
    "sum": Case("a sum of thousands", "elaborating|limit", "wire h_w = clk\n" + "^ clk\n" * 25000 + ";", tools="iy"),
}  # fmt: skip
"""What takes a parser's stack, time or memory: judged one at a time, as the limits stop it."""


def _tree(levels: int) -> dict[str, str]:
    """Modules that each hold two of the next: 2^levels instances from a few lines."""
    texts = {}
    for level in range(levels):
        pair = "".join(f"eltwise_n{level + 1} u{n} (.clk(clk), .rst_n(rst_n), .y());\n" for n in "ab")
        texts[f"eltwise_n{level}.v"] = module(f"eltwise_n{level}", pair if level < levels - 1 else "")
    return texts


def _ring(length: int) -> dict[str, str]:
    """Modules that each hold the next, the last the first."""
    bodies = [f"eltwise_r{(n + 1) % length} u (.clk(clk), .rst_n(rst_n), .y());" for n in range(length)]
    return {f"eltwise_r{n}.v": module(f"eltwise_r{n}", body) for n, body in enumerate(bodies)}


def _one(text: str | bytes, name: str = "eltwise_odd.v") -> dict[str, str | bytes]:
    return {name: text}


FILES = {
    "module_itself": Files("a module that contains itself", "contains itself", _ring(1)),
    "module_ring": Files("modules that contain each other", "contains itself", _ring(3)),
    "platform_cell": Files("redefines a platform cell's file", "platform's", {"sram_1r1w.v": module("sram_1r1w")}),
    "platform_module": Files("redefines a platform cell in its own file", "named as the file", _one(module("sram_1r1w"))),
    "other_block": Files("takes another block's name", "named as the file", _one(module("softmax"))),
    "second_module": Files("a second module in a file", "one module a file", _one(module("eltwise_odd") + module("requantizer"))),
    "other_blocks_part": Files("uses another block's inside", "no module of this block", _one(module("eltwise_odd", "softmax_scale u ();"))),
    "bench_module": Files("a module for the bench's name", "named as the file", _one(module("driver"))),
    "nested_module": Files("a module in a module", "one module a file", _one(module("eltwise_odd", "module inner;\nendmodule"))),
    "no_module": Files("a file without a module", "found none", _one("// nothing\n")),
    "of_no_block": Files("a file of no block", "belongs to no block", {"testbench.v": module("testbench")}),
    "nul": Files("a NUL byte ends the text for some", "printable ASCII", _one(module("eltwise_odd", "wire a;\0").encode())),
    "ansi": Files("colours in a comment", "printable ASCII", _one(module("eltwise_odd", "// \x1b[2J\x1b[32mPASS\x1b[0m"))),
    "ansi_name": Files("colours in a name", "printable ASCII", _one(module("eltwise_odd", "wire \\\x1b[31mred ;"))),
    "unicode": Files("letters that look alike", "printable ASCII", _one(module("eltwise_odd", "wire сlk;"))),
    "bidi": Files("text that reads otherwise than it is", "printable ASCII", _one(module("eltwise_odd", "/* \u202e end */ wire a;"))),
    "bom": Files("a byte order mark", "printable ASCII", _one(b"\xef\xbb\xbf" + module("eltwise_odd").encode())),
    "latin1": Files("bytes that are no UTF-8", "printable ASCII", _one(module("eltwise_odd", "// caf").encode() + b"\xe9\xff\n")),
    "utf16": Files("another encoding", "printable ASCII", _one(module("eltwise_odd").encode("utf-16"))),
    "crlf": Files("ends of line that not all tools see", "carriage return", _one(module("eltwise_odd").replace("\n", "\r\n"))),
    "lone_cr": Files("code behind a comment for some tools only", "carriage return", _one(module("eltwise_odd", "// x\rwire a;"))),
    "form_feed": Files("white space of another kind", "printable ASCII", _one(module("eltwise_odd", "wire a;\f"))),
    "long_line": Files("a line of a hundred thousand characters", "a line of", _one(module("eltwise_odd", "wire " + "a" * 100_000 + ";"))),
    "huge_file": Files("a file larger than allowed", "at most 200000", _one(module("eltwise_odd") + "// \n" * 60_000)),
    "many_bytes": Files("many files of allowed size", "at most 400000", {f"eltwise_p{n}.v": module(f"eltwise_p{n}") + "// \n" * 40_000 for n in range(4)}),
    "unfinished": Files("a comment without end", "syntax error", _one(module("eltwise_odd") + "/* ")),
    "binary": Files("no text at all", "printable ASCII", _one(bytes(range(256)) * 8)),
}  # fmt: skip


@dataclass(frozen=True)
class Wrong:
    """A block whose text is allowed: `body` makes its `y_data` of the right one, ``h_data``. The gate that refuses it,
    and words its finding must have."""

    tries: str
    gate: str
    words: str
    body: str
    known: bool = False


COUNT = "reg [15:0] h_n;\nalways @(posedge clk) if (!rst_n) h_n <= 0; else if (y_valid && y_ready) h_n <= h_n + 1;\n"

WRONG = {
    "constant": Wrong("nearly always the same answer", "simulate", "expected", "assign y_data = {8*T{&h_data}};", True),
    "covered_stub": Wrong("all lines run, the result is thrown away", "simulate", "expected", "assign y_data = h_data & {8*T{1'b0}};", True),
    "short_memory": Wrong("right for as many beats as a short bench has", "simulate", "expected", COUNT + "assign y_data = h_n < 20 ? h_data : 0;", True),
    "x_or_not": Wrong("right only where X decides an if", "simulate", "expected", "reg [31:0] h_never;\nalways @(posedge clk) h_never <= {h_never[30:0], h_never[31]};\nreg [8*T-1:0] h_out;\nalways @* if (h_never != 0) h_out = ~h_data; else h_out = h_data;\nassign y_data = h_out;", True),
    "divide": Wrong("X by a division by nothing", "simulate", "X bits", "wire [7:0] h_zero = h_data[7:0] & 8'd0;\nassign y_data = {h_data[8*T-1:8], h_data[7:0] / h_zero};"),
    "loop": Wrong("a loop of gates that never settles", "lint", "ircular", "wire h_a;\nassign h_a = !h_a;\nassign y_data = h_data ^ {8*T{h_a}};"),
    "oscillator": Wrong("the same in an always block", "lint", "ircular", "reg h_a;\nalways @* h_a = !h_a;\nassign y_data = h_data ^ {8*T{h_a}};"),
    "endless_for": Wrong("a loop whose count stands still", "lint", "", "integer h_i;\nreg h_a;\nalways @* begin\nh_a = 1'b0;\nfor (h_i = 0; h_i < 4; h_i = h_i + 0) h_a = !h_a;\nend\nassign y_data = h_data ^ {8*T{h_a}};"),
    "unrolled": Wrong("a loop of two thousand million", "lint", "", "integer h_i;\nreg h_a;\nalways @* begin\nh_a = 1'b0;\nfor (h_i = 0; h_i < 2000000000; h_i = h_i + 1) h_a = !h_a;\nend\nassign y_data = h_data ^ {8*T{h_a}};"),
    "memory": Wrong("a memory of gigabytes", "lint", "", "reg [7:0] h_m [0:2147483646];\nalways @(posedge clk) h_m[{h_data[7:0], h_data[7:0], h_data[7:0], h_data[6:0]}] <= h_data[7:0];\nreg [7:0] h_r;\nalways @(posedge clk) h_r <= h_m[31'd5];\nassign y_data = {h_data[8*T-1:8], h_r};"),
    "latch": Wrong("remembers without a clock", "lint", "atch", "reg [8*T-1:0] h_r;\nalways @* if (y_valid) h_r = h_data;\nassign y_data = h_r;"),
    "drives_clock": Wrong("drives its own clock", "lint", "", "assign clk = y_ready;\nassign y_data = h_data;"),
    "two_drivers": Wrong("two drivers of one wire", "lint", "", "assign y_data = h_data;\nassign y_data = 0;"),
    "unknown_cell": Wrong("a cell of the target library", "policy", "no module of this block", "INVX1 h_u (.A(clk), .Y());\nassign y_data = h_data;"),
}  # fmt: skip
