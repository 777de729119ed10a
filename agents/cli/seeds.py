"""Seed options: numbers every random generator here takes."""

from __future__ import annotations

from typing import Annotated

import typer

MOST = 2**31 - 1
Seed = Annotated[int, typer.Option(min=0, max=MOST, help="Everything random derives from it.")]
BenchSeed = Annotated[int, typer.Option(min=0, max=MOST, help="Of the benches' random stimulus.")]
