"""A reading of Yosys' elaborated RTLIL text: modules, the blocks they come from, who contains whom."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from itertools import chain, count

_MODULE = re.compile(r"^module (\S+)\n", re.MULTILINE)
_CELL = re.compile(r"^  cell (\S+) \S+$", re.MULTILINE)
_HDLNAME = re.compile(r'^attribute \\hdlname "(\w+)"$', re.MULTILINE)
_SOURCE = re.compile(r'^ *attribute \\src ".*"\n', re.MULTILINE)
_PARAMETER = re.compile(r"^  parameter (.+)$", re.MULTILINE)
"""A module's own parameter and its value; those of cells stand deeper."""


@dataclass(frozen=True)
class Module:
    """One elaborated module: its name now, the source module it is an instance of, its text, the modules it uses."""

    name: str
    source: str
    text: str
    uses: tuple[str, ...]


@dataclass(frozen=True)
class Design:
    """Elaborated modules by name. `blocks`: source block of each kept module; kept modules have plain names."""

    modules: Mapping[str, Module]
    blocks: Mapping[str, str]
    black_boxes: frozenset[str]

    @cached_property
    def kept(self) -> tuple[str, ...]:
        """Names of the kept modules, largest text first (so that a pool of workers ends evenly)."""
        return tuple(sorted(self.blocks, key=lambda name: (-self._size(name), name)))

    def _size(self, name: str) -> int:
        """Characters of `name` and of all that is flattened into it, each module once."""
        return sum(len(self.modules[module].text) for module in self._inside(name))

    def children(self, name: str) -> tuple[str, ...]:
        """Kept modules instantiated in `name` or in what is flattened into it."""
        used = {use for module in self._inside(name) for use in self.modules[module].uses}
        return tuple(sorted(used & set(self.blocks)))

    def sources(self, name: str) -> set[str]:
        """Source modules (files without suffix) whose text decides `name`."""
        return {self.modules[module].source for module in self._inside(name)}

    def signature(self, name: str) -> str:
        """Parameters of `name` and of everything flattened into it, and the interfaces of its children."""
        inside = [
            (self.modules[m].source, sorted(_PARAMETER.findall(self.modules[m].text))) for m in self._inside(name)
        ]
        return repr((sorted(inside), list(self.children(name)), self._child_ports(name)))

    def parameters(self, name: str) -> dict[str, int]:
        """The integer parameters that module `name` was elaborated with."""
        pairs = (line.split() for line in _PARAMETER.findall(self.modules[name].text))
        return {pair[0].removeprefix("\\"): _integer(pair[1]) for pair in pairs if len(pair) == 2}

    def _child_ports(self, name: str) -> list[str]:
        ports = re.compile(r"^  wire (?:width \d+ )?(?:upto |offset \d+ |signed )*(?:input|output) .*$", re.MULTILINE)
        return [line for child in self.children(name) for line in ports.findall(self.modules[child].text)]

    def repeated(self, name: str, times: int, size: int) -> set[str]:
        """Modules flattened into `name` that stand at least `times` times in it and have at least `size` characters of
        text with all they flatten; what is inside such a one only, is none."""
        below = {m: [use for use in self.modules[m].uses if self._flattened(use)] for m in self._inside(name)}
        counts = Counter({name: 1})
        for parent in reversed(list(TopologicalSorter(below).static_order())):
            for use in below[parent]:
                counts[use] += counts[parent]
        found, pending = set[str](), [name]
        while pending:
            uses = set(below[pending.pop()]) - found
            found |= {use for use in uses if counts[use] >= times and self._size(use) >= size}
            pending += uses - found
        return found

    def closure(self, name: str, marked: Collection[str] = (), mark: str = "") -> str:
        """RTLIL text of `name`, all it flattens, and its children and black boxes; `marked` have the attribute
        `mark`."""
        wanted = {*self._inside(name), *self.children(name), *self.black_boxes}
        marks = dict.fromkeys(marked, f"attribute \\{mark} 1\n")
        return "".join(marks.get(m.name, "") + m.text for m in self.modules.values() if m.name in wanted)

    def instances(self, top: str) -> dict[str, int]:
        """How often each kept module occurs under `top`, itself included."""
        counts: dict[str, int] = {}
        pending = [top]
        while pending:
            name = pending.pop()
            counts[name] = counts.get(name, 0) + 1
            pending += self._child_instances(name)
        return counts

    def _child_instances(self, name: str) -> list[str]:
        found: list[str] = []
        for use in self.modules[name].uses:
            if use in self.blocks:
                found.append(use)
            elif self._flattened(use):
                found += self._child_instances(use)
        return found

    def _inside(self, name: str) -> list[str]:
        """`name` and the modules flattened into it."""
        found, pending = [], [name]
        while pending:
            current = pending.pop()
            if current not in found:
                found.append(current)
                uses = self.modules[current].uses
                pending += [use for use in uses if self._flattened(use)]
        return found

    def _flattened(self, name: str) -> bool:
        """Whether an instance of that name is a module which does not stay one."""
        return name in self.modules and name not in self.blocks and name not in self.black_boxes


def _integer(text: str) -> int:
    """A constant of RTLIL: decimal, or bits behind a width."""
    _, quote, bits = text.partition("'")
    return int(bits.removeprefix("s"), 2) if quote else int(text)


def read(text: str, kept: Iterable[str], black_box: str) -> Design:
    """Read RTLIL `text`; modules made from a source module in `kept` get plain names (``array``, ``array_2``, …)."""
    wanted = set(kept)
    found = list(modules(text))
    sources = {module.source for module in found}
    names: dict[str, str] = {}
    blocks: dict[str, str] = {}
    for module in found:
        if module.source in wanted and module.source != black_box:
            taken = sources | set(blocks) if module.source in blocks else set[str]()
            numbered = (f"{module.source}_{number}" for number in count(2))
            names[module.name] = next(each for each in chain([module.source], numbered) if each not in taken)
            blocks[names[module.name]] = module.source
    renamed = [_rename(module, names) for module in found]
    boxes = {m.name for m in renamed if m.source == black_box}
    return Design({m.name: m for m in renamed}, blocks, frozenset(boxes))


def modules(text: str) -> Iterable[Module]:
    for chunk in text.split("\nend\n")[:-1]:
        match = _MODULE.search(chunk)
        if match:
            name = match[1]
            head = chunk[: match.start()]
            head = "\n".join(line for line in head.splitlines() if line.startswith("attribute")) + "\n"
            hdlname = _HDLNAME.search(head)
            source = hdlname[1] if hdlname else name.removeprefix("\\")
            body = _SOURCE.sub("", head + chunk[match.start() :] + "\nend\n")
            uses = tuple(use.removeprefix("\\") for use in _CELL.findall(chunk))
            yield Module(name.removeprefix("\\"), source, body, uses)


def _rename(module: Module, names: Mapping[str, str]) -> Module:
    def swap(match: re.Match[str]) -> str:
        plain = names.get(match[2].removeprefix("\\"))
        return match[0] if plain is None else f"{match[1]}\\{plain}"

    text = re.sub(r"^(module |  cell )(\S+)", swap, module.text, flags=re.MULTILINE)
    uses = tuple(names.get(use, use) for use in module.uses)
    return Module(names.get(module.name, module.name), module.source, text, uses)
