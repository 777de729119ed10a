"""Reads Verilog in the sandbox and writes down what it sees; run by `policy.py` as a script, imports nothing of ours.

``job.json`` names the files, which of them are under judgement, the top and its parameter points; ``facts.json`` gets
findings (file, line, message), modules, and the top's parameters and ports at each point.
"""

from __future__ import annotations

import json
import re
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
TOOL_WORDS = {
    "synthesis", "synopsys", "pragma", "verilator", "translate_off", "translate_on", "coverage", "yosys", "icarus",
    "iverilog", "quartus", "altera", "xilinx", "vivado", "cadence", "ambit", "exemplar", "lint_off", "lint_on",
    "spyglass",
}  # fmt: skip
WORDS = {
    "InitialBlock": "initial block", "FinalBlock": "final block", "AttributeInstance": "attribute",
    "DelayControl": "delay", "DPIImport": "DPI import", "MemberAccessExpression": "hierarchical reference",
    "ScopedName": "hierarchical reference", "CaseEqualityExpression": "comparison with X or Z",
    "CaseInequalityExpression": "comparison with X or Z", "AlwaysFFBlock": "always_ff",
    "AlwaysCombBlock": "always_comb", "AlwaysLatchBlock": "always_latch",
}  # fmt: skip
MAX_FINDINGS = 20
"""Of each file."""


class Reader:
    """Collects findings and modules over all files."""

    def __init__(self, own: list[str]) -> None:
        self.own = own
        self.findings: list[dict[str, Any]] = []
        self.modules: list[dict[str, Any]] = []
        self.lines = 0

    def report(self, file: str, line: int, message: str) -> None:
        if sum(finding["file"] == file for finding in self.findings) < MAX_FINDINGS:
            self.findings.append({"file": file, "line": line, "message": message})

    def read(self, file: str) -> None:
        """One file under judgement: bytes, directives, comments, syntax."""
        data = Path(file).read_bytes()
        self.lines += data.count(b"\n")
        odd = re.search(rb"[^\x20-\x7e\t\r\n]", data)
        if odd:
            self.report(file, data[: odd.start()].count(b"\n") + 1, "a character outside printable ASCII")
            return
        self._directives(file, data.decode())
        tree = syntax.SyntaxTree.fromFile(file)
        manager = tree.sourceManager
        errors = pyslang.DiagnosticEngine(manager)
        for diagnostic in tree.diagnostics:
            if diagnostic.isError():
                line = manager.getLineNumber(diagnostic.location)
                self.report(file, line, f"syntax error: {errors.formatMessage(diagnostic)}")
        self._walk(file, tree.root, manager)

    def _directives(self, file: str, text: str) -> None:
        """Comments that steer tools, and every compiler directive."""
        for number, line in enumerate(text.splitlines(), 1):
            code, _, comment = line.partition("//")
            for start in [comment, *re.findall(r"/\*(.*)", line)]:
                word = re.match(r"\s*(\w+)", start)
                if word and word[1] in TOOL_WORDS:
                    self.report(file, number, f"a comment that steers a tool: '{word[1]}'")
            directive = re.search(r"`(\w+)", code)
            if directive:
                self.report(file, number, f"compiler directive `{directive[1]}: texts must be the same for every tool")

    def _walk(self, file: str, root: Any, manager: Any) -> None:
        def visit(node: Any) -> None:
            if isinstance(node, parsing.Token):
                self._token(file, node, manager)
            else:
                self._node(file, node, manager)

        root.visit(visit)

    def _token(self, file: str, token: Any, manager: Any) -> None:
        line = manager.getLineNumber(token.location)
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
        elif kind == "SignalEventExpression" and str(node).split() != ["posedge", "clk"]:
            self.report(file, line, f"'{str(node).strip()}': registers are clocked by posedge clk only")
        elif kind == "ModuleDeclaration":
            self.modules.append({"file": file, "name": node.header.name.valueText, "line": line, "instances": []})
        elif kind == "HierarchyInstantiation" and self.modules:
            self.modules[-1]["instances"].append({"module": node.type.valueText, "line": line})


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


def main() -> None:
    job = json.loads(Path("job.json").read_text())
    reader = Reader(job["own"])
    for file in job["own"]:
        reader.read(file)
    if not reader.findings:
        parser = VerilogParser(outputdir=".", debug=False)  # type: ignore[no-untyped-call]
        for file in job["own"]:
            second_opinion(reader, file, parser)
    points = [] if reader.findings else job["points"]
    elaborated = [elaborate(reader, job["files"], job["top"], point) for point in points]
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
