"""Which answers are refused before a bench runs them, because their text could forge the verdict.

A bench's verdict is what it prints, and an answer runs in the same simulation: so it may not print, end the run, touch
files, or reach into the bench or the suite's reference. What is looked at is the text without comments; comments are
taken out of what is compiled too, since some steer tools.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from agents.bench import Problem
from agents.bench.text import bare, modules, outputs_and_inputs, words

SYSTEM = frozenset(
    "$signed $unsigned $clog2 $bits $size $left $right $high $low $countones $onehot $onehot0 $isunknown".split()  # noqa: SIM905
)
"""System functions that only compute."""
DIRECTIVES = frozenset(("`timescale", "`default_nettype", "`define"))
WORDS = frozenset(("bind", "force", "release", "config", "defparam", "program", "checker"))
MOST_BYTES = 48_000
_WORD = r"[A-Za-z_][\w$]*"
_LITERAL = re.compile(r"[ \t]*(?:\d[\d_]*)?(?:[ \t]*'[sS]?[bodhBODH][ \t]*[\da-fA-FxXzZ_?]+)?[ \t]*")
_DOTTED = re.compile(rf"(`?{_WORD})\s*(?:\[[^\]]*\]\s*)*\.\s*{_WORD}")
_INDEXED = re.compile(r"\]\s*\.")


def refusals(answer: str, problem: Problem) -> list[str]:
    """What in `answer` is refused, each on one line; none if a bench may run it."""
    if len(answer.encode("utf-8", "replace")) > MOST_BYTES:
        return [f"longer than {MOST_BYTES} bytes"]
    if odd := re.search(r"[^\x20-\x7e\t\r\n\f]", bare(answer)):
        return [f"line {answer.count(chr(10), 0, odd.start()) + 1}: a character that no Verilog has"]
    text = bare(answer)
    bench = "\n".join([*problem.before.values(), *problem.bench.values()])
    found = [*_system(text), *_directives(text, bench), *_names(text, bench), *_dotted(text, bench)]
    return list(dict.fromkeys([*found, *_driven(text, problem)]))


def _system(text: str) -> Iterable[str]:
    for match in re.finditer(r"\$\w*", text):
        before = text[match.start() - 1 : match.start()]
        if re.match(r"[\w$]", before):
            continue  # within a name
        if match[0] not in SYSTEM:
            yield f"{match[0]}: the system functions allowed are {', '.join(sorted(SYSTEM))}"
    if "\\" in text:
        yield "a backslash: no escaped names, no macros of several lines"
    if re.search(r"\b(?:import|export)\s*\"\"", text):
        yield "an import or export of foreign functions"


def _directives(text: str, bench: str) -> Iterable[str]:
    macros = dict(re.findall(rf"`define[ \t]+({_WORD})([^\n]*)", text))
    taken = words(bench)
    for name, body in macros.items():
        if not _LITERAL.fullmatch(body.rstrip("\r")):
            yield f"`define {name}: only of a number"
        if name in taken:
            yield f"`define {name}: the bench uses that name"
    for directive in re.findall(r"`\w*", text):
        if directive not in DIRECTIVES and directive[1:] not in macros:
            yield f"the directive {directive}"


def _names(text: str, bench: str) -> Iterable[str]:
    used = words(text)
    for word in sorted(used & WORDS):
        yield f"the word '{word}'"
    for module in sorted(set(modules(bench)) & used):
        yield f"'{module}', which is a module of the bench"
    local = set(re.findall(rf"\b(?:task|function)\b[^;(]*?({_WORD})\s*[;(]", text))
    theirs = set(re.findall(rf"\b(?:task|function)\b[^;(]*?({_WORD})\s*[;(]", bare(bench)))
    blocks = set(re.findall(rf"\b(?:begin|fork)\s*:\s*({_WORD})", bare(bench)))
    called = set(re.findall(rf"({_WORD})\s*\(", text)) | set(re.findall(rf"(?<![\w.])({_WORD})\s*;", text))
    disabled = set(re.findall(rf"\bdisable\s+({_WORD})", text))
    for name in sorted((theirs - local) & called | (theirs | blocks) & disabled):
        yield f"'{name}', which is a task, function or block of the bench"


def _dotted(text: str, bench: str) -> Iterable[str]:
    """Members of the answer's own structs are all that a dot may name, besides ports."""
    structs = bool(re.search(r"\b(?:struct|union|interface|enum)\b", text))
    theirs = words(bench)
    for root in _DOTTED.findall(text):
        if not structs or root in theirs or root.startswith("`"):
            yield f"'{root}.': no names across modules"
    plain = _DOTTED.sub(" ", text)
    if _INDEXED.search(plain):
        yield "'].': no names across modules"


def _driven(text: str, problem: Problem) -> Iterable[str]:
    """An answer that drives one of its inputs drives the bench's stimuli."""
    _, inputs = outputs_and_inputs(problem.reference, problem.module)
    driven, _ = outputs_and_inputs(text, problem.module)
    for name in sorted(inputs & driven):
        yield f"'{name}' is an input and must not be driven"
