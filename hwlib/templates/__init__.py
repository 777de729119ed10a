"""Verilog templates: for every block some micro-architectural variants, and the options of each.

`catalog.yaml` lists them. A template is Jinja2 with ``${value}`` and ``[% statement %]`` (double braces belong to
Verilog), sees ``opt`` (its options), ``module`` (the module it renders) and ``interface`` (the module header
derived from the contract), and renders one module. The contract's parameters stay Verilog parameters, so one
rendering serves every parameter point.
"""

from hwlib.templates.catalog import Choice, Option, Variant, blocks, defaults, option_space, variant, variants
from hwlib.templates.render import render, render_design

__all__ = [
    "Choice",
    "Option",
    "Variant",
    "blocks",
    "defaults",
    "option_space",
    "render",
    "render_design",
    "variant",
    "variants",
]
