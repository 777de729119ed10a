"""Reads Verilog in the sandbox and writes down what it sees; run by `policy.py` as a script, imports nothing of ours.

``job.json`` names the files, which of them are under judgement, the top and its parameter points; ``facts.json`` gets
findings (file, line, message), modules, and the top's parameters and ports at each point.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyslang
from pyslang import ast, parsing, syntax
from pyverilog.vparser.parser import ParseError, VerilogParser

ALLOWED = frozenset(
    """
    AddExpression AlwaysBlock AnsiPortList ArgumentList ArithmeticLeftShiftExpression ArithmeticRightShiftExpression
    ArithmeticShiftLeftExpression ArithmeticShiftRightExpression AscendingRangeSelect AssignmentExpression
    BinaryAndExpression BinaryOrExpression BinaryXnorExpression BinaryXorExpression BitSelect
    CaseGenerate CaseStatement CompilationUnit ConcatenationExpression ConditionalExpression ConditionalPattern
    ConditionalPredicate ConditionalStatement ContinuousAssign DataDeclaration Declarator DefaultCaseItem
    DescendingRangeSelect DivideExpression ElementSelect ElseClause EmptyIdentifierName EmptyPortConnection
    EmptyStatement EqualityExpression EqualsValueClause EventControl EventControlWithExpression ExpressionStatement
    ForLoopStatement FunctionDeclaration FunctionPort FunctionPortList FunctionPrototype GenerateBlock GenerateRegion
    GenvarDeclaration GreaterThanEqualExpression GreaterThanExpression HierarchicalInstance HierarchyInstantiation
    IdentifierName IdentifierSelectName IfGenerate ImplicitAnsiPort ImplicitEventControl ImplicitType
    InequalityExpression InstanceName IntegerLiteralExpression IntegerType IntegerVectorExpression InvocationExpression
    LessThanEqualExpression LessThanExpression LogicalAndExpression LogicalOrExpression LogicalShiftLeftExpression
    LogicalShiftRightExpression LoopGenerate ModExpression ModuleDeclaration ModuleHeader
    MultipleConcatenationExpression MultiplyExpression NamedBlockClause NamedParamAssignment NamedPortConnection
    NetDeclaration NetPortHeader NonblockingAssignmentExpression OrderedArgument ParameterDeclaration
    ParameterDeclarationStatement ParameterPortList ParameterValueAssignment ParenthesizedEventExpression
    ParenthesizedExpression PortDeclaration PowerExpression RangeDimensionSpecifier RegType SequentialBlockStatement
    SignalEventExpression SimplePropertyExpr SimpleRangeSelect SimpleSequenceExpr StandardCaseItem SubtractExpression
    SystemName TimingControlStatement UnaryBitwiseAndExpression UnaryBitwiseNandExpression UnaryBitwiseNorExpression
    UnaryBitwiseNotExpression UnaryBitwiseOrExpression UnaryBitwiseXnorExpression UnaryBitwiseXorExpression
    UnaryLogicalNotExpression UnaryMinusExpression UnaryPlusExpression VariableDimension VariablePortHeader
    """.split()  # noqa: SIM905
)
"""Syntax a block may use. All else is refused: initial, delays, tasks, files, hierarchy, SystemVerilog, …"""

SYSTEM = {"$signed", "$unsigned", "$clog2"}
NET_TYPES = {"tri", "tri0", "tri1", "triand", "trior", "trireg", "wand", "wor", "uwire", "supply0", "supply1", "inout"}
"""Nets with more than one driver: tools disagree about them."""
TOOL_WORDS = {
    "synthesis", "synopsys", "pragma", "verilator", "translate_off", "translate_on", "coverage", "yosys", "icarus",
    "iverilog", "quartus", "altera", "xilinx", "vivado", "cadence", "ambit", "exemplar", "lint_off", "lint_on",
    "spyglass", "rtl_synthesis", "full_case", "parallel_case", "infer_mux", "vcs", "vcd_off", "vcd_on", "verilint",
    "leda", "formality", "magma", "snps", "modelsim", "questa", "mentor", "synplify", "dc_script_begin",
    "lint_checking",
}  # fmt: skip
WORDS = {
    "InitialBlock": "initial block", "FinalBlock": "final block", "AttributeInstance": "attribute",
    "DelayControl": "delay", "DPIImport": "DPI import", "MemberAccessExpression": "hierarchical reference",
    "ScopedName": "hierarchical reference", "CaseEqualityExpression": "comparison with X or Z",
    "CaseInequalityExpression": "comparison with X or Z", "AlwaysFFBlock": "always_ff",
    "AlwaysCombBlock": "always_comb", "AlwaysLatchBlock": "always_latch",
}  # fmt: skip
_LEXEMES = re.compile(r"//[^\n]*|/\*.*?\*/|/\*.*|\"(?:\\.|[^\"\\\n])*\"?|\\\S+|`\w*", re.DOTALL)
"""What may hide text from a tool. Strings and escaped names are refused, so comments alone remain, and on where those
begin and end all tools agree."""
MAX_DEPTH = 32
"""Modules within modules."""
MAX_LINE = 2000
"""Characters."""
MAX_FINDINGS = 20
"""Of each file."""


_HIDDEN = {parsing.TriviaKind.Directive, parsing.TriviaKind.DisabledText, parsing.TriviaKind.SkippedTokens}


class Reader:
    """Collects findings and modules over all files."""

    def __init__(self, own: list[str]) -> None:
        self.own = own
        self.findings: list[dict[str, Any]] = []
        self.modules: list[dict[str, Any]] = []
        self.functions: set[str] = set()
        self.lines = 0

    def report(self, file: str, line: int, message: str) -> None:
        if sum(finding["file"] == file for finding in self.findings) < MAX_FINDINGS:
            self.findings.append({"file": file, "line": line, "message": message})

    def read(self, file: str) -> None:
        """One file under judgement: bytes, directives, comments, syntax."""
        data = Path(file).read_bytes()
        self.lines += data.count(b"\n")
        odd = re.search(rb"[^\x20-\x7e\t\n]", data)
        if odd:
            what = (
                "carriage return: lines end in a line feed alone"
                if odd[0] == b"\r"
                else "character outside printable ASCII"
            )
            self.report(file, data[: odd.start()].count(b"\n") + 1, f"a {what}")
            return
        text = data.decode()
        if self._lexical(file, text):
            return
        tree = syntax.SyntaxTree.fromFile(file)
        manager = tree.sourceManager
        errors = pyslang.DiagnosticEngine(manager)
        for diagnostic in tree.diagnostics:
            if diagnostic.isError():
                line = manager.getLineNumber(diagnostic.location)
                self.report(file, line, f"syntax error: {errors.formatMessage(diagnostic)}")
        self._walk(file, tree.root, manager)

    def _lexical(self, file: str, text: str) -> bool:
        """Comments that steer tools, and every compiler directive; true if a parser must not see the rest."""
        hidden = False
        for number, line in enumerate(text.split("\n"), 1):
            if len(line) > MAX_LINE:
                self.report(file, number, f"a line of {len(line)} characters; at most {MAX_LINE}")
                hidden = True
        for match in _LEXEMES.finditer(text):
            number, lexeme = text.count("\n", 0, match.start()) + 1, match[0]
            if lexeme.startswith("`"):
                self.report(file, number, f"compiler directive {lexeme}: texts must be the same for every tool")
                hidden = True
            elif lexeme.startswith(("//", "/*")):
                word = re.match(r"\W*(\w+)", lexeme)
                if word and word[1].lower() in TOOL_WORDS:
                    self.report(file, number, f"a comment that steers a tool: '{word[1]}'")
            elif lexeme.startswith('"'):
                self.report(file, number, "a string: hardware has none")
        return hidden

    def _walk(self, file: str, root: Any, manager: Any) -> None:
        def visit(node: Any) -> None:
            if isinstance(node, parsing.Token):
                self._token(file, node, manager)
            else:
                self._node(file, node, manager)

        root.visit(visit)

    def _token(self, file: str, token: Any, manager: Any) -> None:
        line = manager.getLineNumber(token.location)
        if any(trivia.kind in _HIDDEN for trivia in token.trivia):
            self.report(file, line, "text before this is skipped by a parser")
        if token.rawText in NET_TYPES:
            self.report(file, line, f"'{token.rawText}': a net is a wire with one driver")
        if token.kind == parsing.TokenKind.CaseXKeyword:
            self.report(file, line, "casex takes X for a match in simulation only; use casez with ?")
        if token.kind == parsing.TokenKind.SystemIdentifier and token.valueText not in SYSTEM:
            self.report(file, line, f"{token.valueText}: the only system functions allowed are {sorted(SYSTEM)}")
        if token.kind == parsing.TokenKind.Identifier and token.rawText.startswith("\\"):
            self.report(file, line, f"escaped identifier {token.rawText.strip()}")

    def _node(self, file: str, node: Any, manager: Any) -> None:
        kind = node.kind.name
        first = node.getFirstToken()
        line = manager.getLineNumber(first.location) if first else 0
        if kind not in ALLOWED:
            self.report(file, line, f"{WORDS.get(kind, kind)} is not allowed here")
        elif kind in _RULES and (broken := _RULES[kind](node)):
            self.report(file, line, broken)
        elif kind == "SignalEventExpression" and str(node).split() != ["posedge", "clk"]:
            self.report(file, line, f"'{str(node).strip()}': registers are clocked by posedge clk only")
        elif kind == "ModuleDeclaration":
            self.modules.append({"file": file, "name": node.header.name.valueText, "line": line, "instances": []})
            self.functions = set()
        elif kind == "FunctionDeclaration":
            self.functions.add(self._function(file, node, line))
        elif kind == "HierarchyInstantiation" and self.modules:
            self.modules[-1]["instances"].append({"module": node.type.valueText, "line": line})

    def _function(self, file: str, node: Any, line: int) -> str:
        """The name of a function, which may call only those before it: so none can call itself."""
        called: set[str] = set()

        def visit(inner: Any) -> None:
            if not isinstance(inner, parsing.Token) and inner.kind.name == "InvocationExpression":
                called.add(str(inner.left).strip())

        node.visit(visit)
        unknown = sorted(name for name in called - self.functions if not name.startswith("$"))
        if unknown:
            self.report(file, line, f"a function that calls '{unknown[0]}', which is not declared before it")
        return str(node.prototype.name).strip()


def _literal(node: Any) -> str:
    """X and Z have no place in hardware but as the ? of a casez item."""
    digits = str(node).lower().partition("'")[2][1:]
    if re.search("[xz]", digits.lstrip("sbodh")):
        return f"literal {str(node).strip()}: X and Z differ between tools"
    if "?" in digits and node.parent.kind.name != "StandardCaseItem":
        return f"literal {str(node).strip()}: ? only in items of casez"
    return ""


def _initial_value(node: Any) -> str:
    """A register's value at the start of time is an initial block by another name."""
    holder = node.parent.parent
    is_register = holder.kind.name == "DataDeclaration" or (
        holder.kind.name == "ImplicitAnsiPort" and holder.header.kind.name == "VariablePortHeader"
    )
    return "a register with an initial value: use rst_n" if is_register else ""


def _always(node: Any) -> str:
    timed = node.statement.kind.name == "TimingControlStatement"
    return "" if timed else "always without @: it never lets time pass"


def _timing(node: Any) -> str:
    return "" if node.parent.kind.name == "AlwaysBlock" else "an event control inside a block"


_RULES: dict[str, Callable[[Any], str]] = {
    "IntegerVectorExpression": _literal,
    "EqualsValueClause": _initial_value,
    "AlwaysBlock": _always,
    "TimingControlStatement": _timing,
}
"""What allowed syntax may still not say, by kind: a rule gives the message, or nothing."""


def second_parser() -> VerilogParser:
    """pyverilog's parser, its tables from the file beside this one: making them takes most of a reading's time."""
    spec = importlib.util.spec_from_file_location("pyverilog.vparser.parsetab", "parsetab.py")
    if spec is not None and spec.loader is not None and Path("parsetab.py").exists():
        tables = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(tables)
        sys.modules[spec.name] = tables
    return VerilogParser(outputdir=".", debug=False)  # type: ignore[no-untyped-call]


def second_opinion(reader: Reader, file: str, parser: VerilogParser) -> None:
    """pyverilog reads the file too, and sees the same modules."""
    parser.lexer.lexer.lineno = 1
    try:
        source = parser.parse(Path(file).read_text())  # type: ignore[no-untyped-call]
    except ParseError as error:
        found = re.search(r"line:(\d+): (.*)", str(error))
        line = int(found[1]) if found else 0
        reader.report(file, line, f"pyverilog cannot read this ({found[2] if found else error})")
        return
    names = [item.name for item in source.description.definitions if type(item).__name__ == "ModuleDef"]
    seen = [module["name"] for module in reader.modules if module["file"] == file]
    if names != seen:
        reader.report(file, 1, f"pyverilog reads modules {names}, slang {seen}")


def elaborate(reader: Reader, files: list[str], top: str, point: dict[str, int]) -> dict[str, Any]:
    """Parameters and ports of `top` at `point`, each with its line; elaboration errors become findings."""
    options = ast.CompilationOptions()
    options.topModules = {top}
    options.maxInstanceDepth = MAX_DEPTH
    options.paramOverrides = [f"{name}={value}" for name, value in point.items()]
    bag = pyslang.Bag()
    bag.compilationOptions = options
    compilation = ast.Compilation(bag)
    for file in files:
        compilation.addSyntaxTree(syntax.SyntaxTree.fromFile(file))
    instances = compilation.getRoot().topInstances
    manager = compilation.sourceManager
    words = pyslang.DiagnosticEngine(manager)
    for diagnostic in compilation.getAllDiagnostics():
        if diagnostic.isError():
            line = manager.getLineNumber(diagnostic.location)
            reader.report(Path(manager.getFileName(diagnostic.location)).name, line, words.formatMessage(diagnostic))
    if not instances:
        return {"parameters": [], "ports": [], "lines": {}}
    body = instances[0].body
    directions = {ast.ArgumentDirection.In: "input", ast.ArgumentDirection.Out: "output"}
    lines = {p.name: manager.getLineNumber(p.location) for p in (*body.portList, *body.parameters)}
    ports = [[p.name, directions.get(p.direction, "inout"), p.type.bitWidth] for p in body.portList]
    return {"parameters": [p.name for p in body.parameters if not p.isLocalParam], "ports": ports, "lines": lines}


def instance_cycle(reader: Reader) -> None:
    """A module that contains itself has no end of instances."""
    inside = {module["name"]: {i["module"] for i in module["instances"]} for module in reader.modules}
    for module in reader.modules:
        reached, pending = set[str](), list(inside[module["name"]])
        while pending:
            name = pending.pop()
            if name not in reached:
                reached.add(name)
                pending += inside.get(name, ())
        if module["name"] in reached:
            reader.report(module["file"], module["line"], f"module '{module['name']}' contains itself")


def step(words: str) -> None:
    """Say what is being done, for whoever stops it."""
    print(f"> {words}", flush=True)


def main() -> None:
    job = json.loads(Path("job.json").read_text())
    reader = Reader(job["own"])
    for file in job["own"]:
        step(f"reading {file}")
        reader.read(file)
    instance_cycle(reader)
    if not reader.findings:
        parser = second_parser()
        for file in job["own"]:
            step(f"reading {file} with pyverilog")
            second_opinion(reader, file, parser)
    elaborated = []
    for point in [] if reader.findings else job["points"]:
        step(f"elaborating {job['top']} at {', '.join(f'{name}={value}' for name, value in point.items())}")
        elaborated.append(elaborate(reader, job["files"], job["top"], point))
    facts = {
        "findings": reader.findings,
        "modules": reader.modules,
        "files": job["files"],
        "own": job["own"],
        "lines": reader.lines,
        "elaborated": elaborated,
    }
    Path("facts.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main()
