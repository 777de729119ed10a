"""What models cost: a dated table, overridden by the user's own."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from agents.models import Usage
from hwlib.documents import read_document
from hwlib.errors import InputError

SHIPPED = Path(__file__).parent / "prices.yaml"
GUIDE = "docs/campaigns.md"


class Price(BaseModel):
    """US dollars for a million tokens. `cached` is input read from a cache, `written` input put there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: float = Field(ge=0, le=1e6)
    output: float = Field(ge=0, le=1e6)
    cached: float | None = Field(default=None, ge=0, le=1e6)
    written: float | None = Field(default=None, ge=0, le=1e6)
    as_of: date | None = None

    def of(self, usage: Usage) -> float:
        """Dollars for `usage`."""
        cached = self.input if self.cached is None else self.cached
        written = self.input if self.written is None else self.written
        fresh = usage.input_tokens - usage.cached_tokens - usage.written_tokens
        spent = fresh * self.input + usage.cached_tokens * cached + usage.written_tokens * written
        return (spent + usage.output_tokens * self.output) / 1e6


FREE = Price(input=0, output=0)


class PriceTable(BaseModel):
    """Prices by model, as in --model without an address, on a date."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    as_of: date
    models: dict[str, Price]

    def dated(self) -> dict[str, Price]:
        """Each price with the date it is from."""
        return {name: price.model_copy(update={"as_of": price.as_of or self.as_of})
                for name, price in self.models.items()}  # fmt: skip


def own_table() -> Path:
    """The user's own table, whether or not it exists: $XDG_CONFIG_HOME/rtloom/prices.yaml."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "rtloom" / "prices.yaml"


def price_list(file: Path | None = None) -> dict[str, Price]:
    """The shipped prices, over them the user's own, over them those of `file`. InputError for a bad table."""
    found = _shipped()
    if own_table().exists():
        found = found | read_document(own_table(), PriceTable, GUIDE).dated()
    if file is None:
        return found
    try:
        return found | read_document(file, PriceTable, GUIDE).dated()
    except FileNotFoundError:
        raise InputError("no such file", str(file), f"give a table of prices, see {GUIDE}") from None


@lru_cache
def _shipped() -> dict[str, Price]:
    return read_document(SHIPPED, PriceTable, GUIDE).dated()


def prices_of(words: Iterable[str], listed: dict[str, Price]) -> dict[str, Price]:
    """Price by name of the models `words` name; a server of one's own is free. Unknown prices are left out."""
    found: dict[str, Price] = {}
    for word in words:
        name, _, url = word.partition("@")
        if name in listed:
            found[name] = listed[name]
        elif name.startswith("chat:") and _own(url):
            found[name] = FREE
    return found


def _own(url: str) -> bool:
    """Whether `url` is on this machine or a private network."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal", ".lan", ".localhost"))
