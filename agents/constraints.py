"""What reviewers' rejections forbid: relations on parameters, variants of a block, or just the rejected design."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agents.cost import Choice
from agents.records import Revision
from hwlib import contracts

_RELATION = re.compile(r"\b([A-Z][A-Z_]*)\s*(<=|>=|<|>|=)\s*(\d+)\b")
_AVOID = re.compile(r"\b(?:no|not|without|avoid)\s+([a-z_]+)[ =:]+([a-z0-9_]+)", re.IGNORECASE)
_HOLDS: Mapping[str, Callable[[int, int], bool]] = {
    "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt, "=": operator.eq,
}  # fmt: skip


FORMS = "`T <= 4` (also <, >, >=, =; any parameter of the top) and `avoid BLOCK VARIANT`"
"""What a reason is read for; the rest of it is only text."""


@dataclass(frozen=True)
class Constraints:
    """Read from reasons such as "T <= 4" (must hold) or "avoid array pipelined" (variant left out)."""

    relations: tuple[tuple[str, str, int], ...]
    avoided: frozenset[tuple[str, str]]
    designs: tuple[tuple[Mapping[str, int], Mapping[str, str]], ...]
    """Rejected designs themselves: (parameters, variants as the manifest records them)."""

    @classmethod
    def read(cls, rejections: Sequence[tuple[str, str]], revisions: Sequence[Revision]) -> Constraints:
        """Constraints from (revision, reason) pairs; `revisions` tells what the rejected designs were."""
        known = {revision.revision: revision for revision in revisions}
        names = contracts.load("top").parameters
        relations, avoided, designs = [], set(), []
        for name, reason in rejections:
            relations += [(p, sign, int(v)) for p, sign, v in _RELATION.findall(reason) if p in names]
            avoided |= {(b.lower(), v) for b, v in _AVOID.findall(reason) if b.lower() in contracts.names()}
            if name in known:
                designs.append((known[name].parameters, known[name].variants))
        return cls(tuple(relations), frozenset(avoided), tuple(designs))

    @property
    def described(self) -> tuple[str, ...]:
        """The relations and avoided variants in words, each once."""
        relations = [f"{name} {sign} {value}" for name, sign, value in self.relations]
        return tuple(dict.fromkeys([*relations, *(f"avoid {b} {v}" for b, v in sorted(self.avoided))]))

    def permit(self, parameters: Mapping[str, int], choices: Mapping[str, Choice]) -> bool:
        """Whether a design with these parameters and choices may be proposed."""
        if not all(_HOLDS[sign](parameters[name], value) for name, sign, value in self.relations):
            return False
        if any((block, choice.variant) in self.avoided for block, choice in choices.items()):
            return False
        described = {block: choice.described for block, choice in choices.items()}
        return not any(_same(parameters, described, *design) for design in self.designs)


def _same(parameters: Mapping[str, int], variants: Mapping[str, str], old_parameters: Mapping[str, int],
          old_variants: Mapping[str, str]) -> bool:  # fmt: skip
    shared = all(old_parameters[name] == value for name, value in parameters.items())
    return shared and dict(variants) == dict(old_variants)
