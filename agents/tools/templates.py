"""List and read the templates' variants of a block."""

from __future__ import annotations

from typing import ClassVar, Literal

from agents.designers import Files
from agents.designers.library import TemplateLibrary, chosen
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
    """One file of a template variant; options: option=value, spaces between; those not named have their defaults."""

    tool: Literal["read_template"]
    block: str
    variant: str
    file: str
    options: str = ""

    def answer(self, desk: Desk) -> str:
        """Its Verilog."""
        library = TemplateLibrary()
        files = library.render(chosen(library, self.block, f"{self.variant} {self.options}"))
        if self.file not in files:
            raise InputError(f"no file '{self.file}' in {self.block} {self.variant}", "file", f"use {', '.join(files)}")
        return files[self.file]


class UseTemplate(Call):
    """A template of your block becomes the draft, in place of all its files: variant, then option=value for those that
    are not to have their defaults. You are shown its text, as much as fits: read_template has the rest."""

    done: ClassVar[bool] = True
    tool: Literal["use_template"]
    template: str

    def files(self, block: str) -> Files:
        """The template's. InputError if there is none of that name."""
        library = TemplateLibrary()
        return library.render(chosen(library, block, self.template))

    def answer(self, desk: Desk) -> str:
        """The draft, which by now is the template with what the same answer edits: its files, then their text."""
        files = ", ".join(f"{name} ({len(text)} characters)" for name, text in desk.draft.items())
        return "\n".join([files, *(f"### {name}\n{text}" for name, text in desk.draft.items())])
