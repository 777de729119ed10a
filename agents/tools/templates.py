"""List and read the templates' variants of a block."""

from __future__ import annotations

from typing import Literal

from agents.tools import Call
from agents.tools.desk import Desk
from hwlib import templates
from hwlib.errors import InputError


class ListTemplates(Call):
    """The template variants of a block: what each trades, its options and files."""

    tool: Literal["list_templates"]
    block: str

    def answer(self, desk: Desk) -> str:
        """A line a variant, its options and its files below it."""
        lines: list[str] = []
        for name, variant in templates.variants(self.block).items():
            lines.append(f"{name}: {variant.trade}")
            lines += [f"  option {key}: {o.doc}; {', '.join(map(str, o.legal))}" for key, o in variant.options.items()]
            lines += [f"  file {module}.v" for module in variant.files]
        return "\n".join(lines)


class ReadTemplate(Call):
    """One file of a template variant, rendered with its default options."""

    tool: Literal["read_template"]
    block: str
    variant: str
    file: str

    def answer(self, desk: Desk) -> str:
        """Its Verilog."""
        files = templates.render(self.block, self.variant)
        if self.file not in files:
            raise InputError(f"no file '{self.file}' in {self.block} {self.variant}", "file", f"use {', '.join(files)}")
        return files[self.file]
