"""Templates as a designer sees them: the choices there are for each block, and their text."""

from __future__ import annotations

import itertools
from typing import Protocol

from agents.cost import Choice
from agents.designers import Files
from hwlib import templates
from hwlib.errors import InputError, plain


class Library(Protocol):
    """A source of block text."""

    def choices(self, block: str) -> tuple[Choice, ...]:
        """Every variant of `block` with every combination of its options; the default first."""

    def render(self, choice: Choice) -> Files:
        """Files of the block."""


class TemplateLibrary:
    """The templates of `hwlib`."""

    def choices(self, block: str) -> tuple[Choice, ...]:
        """Variants in the catalogue's order; of each, all option values, its defaults first."""
        return tuple(
            Choice(block, name, tuple(sorted(zip(variant.options, values, strict=True))))
            for name, variant in templates.variants(block).items()
            for values in itertools.product(*[_default_first(option) for option in variant.options.values()])
        )

    def render(self, choice: Choice) -> Files:
        """The rendered templates."""
        return templates.render(choice.block, choice.variant, dict(choice.options))


def chosen(library: Library, block: str, words: str) -> Choice:
    """The choice `words` name, ``variant option=value ...``; what is not named has its default. InputError, with what
    there is, if there is no such choice."""
    variant, *settings = words.split() or [""]
    offered = [choice for choice in library.choices(block) if choice.variant == variant]
    if not offered:
        names = ", ".join(dict.fromkeys(choice.variant for choice in library.choices(block)))
        raise InputError(f"no template '{plain(variant, 40)}' of {block}", "template", f"use {names}")
    for choice in offered:
        if set(settings) <= set(choice.described.split()[1:]):
            return choice
    legal = sorted({word for choice in offered for word in choice.described.split()[1:]})
    what = f"{block} {variant} has no such options: {plain(' '.join(settings), 100)}"
    raise InputError(what, "template", f"use {' '.join(legal) or 'none'}")


def _default_first(option: templates.Option) -> list[int | str]:
    return [option.default, *(value for value in option.legal if value != option.default)]
