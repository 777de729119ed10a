"""Which answers are refused before a bench runs them, because their text could forge the verdict.

A bench's verdict is what it prints, and an answer runs in the same simulation: so it may not print, end the run, touch
files, drive its own inputs, or reach into the bench or the suite's reference. What is looked at is the text without
comments; comments are taken out of what is compiled too, since some steer tools. A name across modules begins, wherever
it is looked up, with a name from the bench: that is why names alone need be known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from agents.bench import Problem
from agents.bench.text import bare, module_text, modules, odd_strings, outputs_and_inputs, without_numbers, words

SYSTEM = frozenset(
    "$signed $unsigned $clog2 $bits $size $left $right $high $low $countones $onehot $onehot0 $isunknown".split()  # noqa: SIM905
)
"""System functions that only compute."""
DIRECTIVES = frozenset(("`timescale", "`default_nettype", "`define"))
WORDS = frozenset(
    """
    bind force release config defparam program checker alias tran tranif0 tranif1 rtran rtranif0 rtranif1 supply0
    supply1 ref
    """.split()  # noqa: SIM905  # words read better than a list
)
"""They reach across modules, or drive what another drives."""
MOST_BYTES = 48_000
_WORD = r"[A-Za-z_][\w$]*"
_LITERAL = re.compile(r"[ \t]*(?:\d[\d_]*)?(?:[ \t]*'[sS]?[bodhBODH][ \t]*[\da-fA-FxXzZ_?]+)?[ \t\r]*")
_CALLABLE = re.compile(rf"\b(?:task|function)\b[^;(]*?({_WORD})\s*[;(]")
_BLOCK = re.compile(rf"\b(?:begin|fork)\s*:\s*({_WORD})")


def refusals(answer: str, problem: Problem) -> list[str]:
    """What in `answer` is refused, each on one line; none if a bench may run it."""
    if len(answer.encode("utf-8", "replace")) > MOST_BYTES:
        return [f"longer than {MOST_BYTES} bytes"]
    if odd := re.search(r"[^\x20-\x7e\t\r\n\f]", bare(answer)):
        return [f"line {answer.count(chr(10), 0, odd.start()) + 1}: a character that no Verilog has"]
    if odd_strings(answer):
        return ["a string that has an escape or no end"]
    bench = "\n".join([*problem.before.values(), *problem.bench.values()])
    text = bare(answer)
    plain = without_numbers(text)
    found = [*_system(text), *_directives(text, bench), *_names(plain, bench), *_dotted(plain, bench)]
    return list(dict.fromkeys([*found, *_driven(plain, problem)]))


def _system(text: str) -> Iterable[str]:
    for name in re.findall(r"\$\w*", text):
        if name not in SYSTEM:
            yield f"{name}: the system functions allowed are {', '.join(sorted(SYSTEM))}"
    if "\\" in text:
        yield "a backslash: no escaped names, no macros of several lines"
    if re.search(r"\b(?:import|export)\s*\"\"", text):
        yield "an import or export of foreign functions"


def _directives(text: str, bench: str) -> Iterable[str]:
    """A macro may only be a number: more could spell what is refused."""
    macros = dict(re.findall(rf"`define[ \t]+({_WORD})([^\n]*)", text))
    taken = words(bench)
    for name, body in macros.items():
        if not _LITERAL.fullmatch(body):
            yield f"`define {name}: only of a number"
        if name in taken:
            yield f"`define {name}: the bench uses that name"
    for directive in re.findall(r"`\w*", text):
        if directive not in DIRECTIVES and directive[1:] not in macros:
            yield f"the directive {directive}"


def _names(text: str, bench: str) -> Iterable[str]:
    """Modules of the bench, and its tasks and blocks, which are found from below by their names alone."""
    used = words(text)
    for word in sorted(used & WORDS):
        yield f"the word '{word}'"
    for module in sorted(set(modules(bench)) & used):
        yield f"'{module}', which is a module of the bench"
    theirs, blocks = set(_CALLABLE.findall(bare(bench))), set(_BLOCK.findall(bare(bench)))
    called = set(re.findall(rf"({_WORD})\s*[(;]", text)) - set(_CALLABLE.findall(text))
    disabled = set(re.findall(rf"\bdisable\s+({_WORD})", text))
    for name in sorted(theirs & called | (theirs | blocks) & disabled):
        yield f"'{name}', which is a task, function or block of the bench"


def _dotted(text: str, bench: str) -> Iterable[str]:
    """What a dot may follow: a name that the bench does not have, or the bracket or comma before a port."""
    theirs = words(bench)
    for match in re.finditer(r"\.", text):
        before = _owner(text[: match.start()])
        if before in ("(", ","):
            continue
        if not re.fullmatch(_WORD, before):
            yield f"a dot after '{before}'"
        elif before in theirs or re.fullmatch(r"genblk\d+", before):
            yield f"'{before}.': no names across modules"


def _owner(text: str) -> str:
    """The name, or else the character, at the end of `text`; indices after it, and whether it is a macro's, count."""
    text = text.rstrip()
    while text.endswith("]"):
        depth, place = 0, len(text)
        while place and (depth or place == len(text)):
            place -= 1
            depth += {"]": 1, "[": -1}.get(text[place], 0)
        text = text[:place].rstrip()
    name = re.search(rf"`?{_WORD}$", text)
    return name[0] if name else text[-1:]


def _driven(text: str, problem: Problem) -> Iterable[str]:
    """An answer that drives one of its inputs drives the bench's stimuli."""
    _, inputs = outputs_and_inputs(problem.reference, problem.module)
    driven, _ = outputs_and_inputs(text, problem.module)
    for name in sorted(inputs & driven):
        yield f"'{name}' is an input and must not be driven"
    header, _, body = module_text(text, problem.module).partition(";")
    if "." in header:
        yield "ports named otherwise than the signals in them"
    for target in re.findall(r"\bassign\b([^=;]*)=", re.sub(r"\[[^\]]*\]", " ", body)):
        for name in sorted(inputs & words(target)):
            yield f"'{name}' is an input and must not be driven"
