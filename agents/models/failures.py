"""How a provider's HTTP failures read: worth another try, or an input that must change."""

from __future__ import annotations

import os
from collections.abc import Mapping

from agents.models import Transient
from hwlib.errors import InputError

RETRIED = (408, 409, 429)
"""Statuses worth another try, besides every 5xx."""


def key_from(variable: str) -> str:
    """The API key in environment variable `variable`; InputError if it is not set."""
    key = os.environ.get(variable, "")
    if not key:
        raise InputError("no API key", variable, f"export {variable}=..., or use --designer search, which needs none")
    return key


def raise_for(status: int, message: str, headers: Mapping[str, str], model: str, variable: str) -> None:
    """Raise what an HTTP status means for us: Transient, or InputError with what to mend."""
    if status in RETRIED or status >= 500:
        raise Transient(f"{model}: HTTP {status}: {message}", _seconds(headers.get("retry-after")))
    if status in (401, 403):
        raise InputError(f"the key was refused (HTTP {status})", variable, "check the key and what it may use")
    if status == 404:
        raise InputError(f"unknown model '{model}'", "--model", "name a model this provider serves")
    raise InputError(f"the provider refused the request (HTTP {status}): {message}", model)


def _seconds(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
