"""VerilogEval v2, spec-to-RTL: a prompt, a bench and a reference a problem, three files in one folder.

An answer defines TopModule; the bench compares it with the reference, RefModule, at every edge of its clock, and sums
up in a `final` block. Rules as in the suite's makefile and analysis: files in the order answer, bench, reference;
passed with a summary of no mismatch and without the bench's own TIMEOUT.
"""

from __future__ import annotations

import re
from pathlib import Path

from agents.bench import Problem, Verdict
from agents.bench.files import text_of
from agents.bench.text import modules, renamed
from hwlib.errors import InputError

FOLDER = "dataset_spec-to-rtl"
TOP, REFERENCE, BENCH = "TopModule", "RefModule", "tb"
_SUMMARY = re.compile(r"^Mismatches: +(\d+) in +(\d+) samples *$", re.MULTILINE)
_HINT = re.compile(r"^Hint: (?:Output .* has \d+ mismatches.*|Your .*)$", re.MULTILINE)


class VerilogEval:
    """See the module."""

    name = "verilog-eval"

    def problems(self, folder: Path) -> tuple[Problem, ...]:
        """Problems of a checkout, or of its dataset folder."""
        inner = folder / FOLDER if (folder / FOLDER).is_dir() else folder
        prompts = sorted(inner.glob("Prob*_prompt.txt"))
        if not prompts:
            raise InputError(f"no {FOLDER} of VerilogEval v2 here", str(folder), "give its checkout, or that folder")
        return tuple(_problem(path) for path in prompts)

    def verdict(self, problem: Problem, output: str) -> Verdict:
        """The bench's last summary; at TIMEOUT its stimuli had not come to an end."""
        found = _SUMMARY.findall(output)
        if re.search(r"^TIMEOUT", output, re.MULTILINE):
            return Verdict("time", "the bench's own time limit")
        if not found or int(found[-1][1]) == 0:
            return Verdict("silent", "the bench printed no summary of samples")
        wrong, samples = map(int, found[-1])
        if not wrong:
            return Verdict("passed", f"0 of {samples} samples differ")
        hint = _HINT.search(output)
        return Verdict("wrong", f"{wrong} of {samples} samples differ" + (f"; {hint[0]}" if hint else ""))


def _problem(prompt: Path) -> Problem:
    stem = prompt.name.removesuffix("_prompt.txt")
    bench, reference = (prompt.with_name(f"{stem}_{part}.sv") for part in ("test", "ref"))
    text = text_of(reference)
    own = {name: f"{name}_answer" for name in modules(text)} | {REFERENCE: TOP}
    return Problem(
        name=stem, specification=text_of(prompt), module=TOP, top=BENCH, before={},
        bench={bench.name: text_of(bench), reference.name: text}, data={}, reference=renamed(text, own),
        answer_file=f"{stem}_answer.sv",
    )  # fmt: skip
