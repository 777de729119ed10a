"""How a provider's failures read: worth another try, or an input that must change."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from agents.models import Stop, Transient
from agents.models.keys import hidden
from hwlib.errors import InputError, plain

RETRIED = (408, 409, 429)
"""Statuses worth another try, besides every 5xx."""
_PASSING = ("overloaded", "rate_limit", "server_error", "api_error", "timeout", "internal")
"""Parts of the kinds of error that streams report instead of a status."""
_SPENT = ("insufficient_quota", "billing_hard_limit_reached", "credit balance")
_OVERFLOW = re.compile(
    r"context.{0,20}(length|window|size)|prompt is too long|too many (input )?tokens|less than \d+ tokens",
    re.IGNORECASE,
)
_FILTERED = ("content_filter", "content_policy", "invalid_prompt")
"""Kinds of error of prompts that a provider's filter refuses."""
_SHOWN = 240


class Unsaid(Exception):
    """There will be no answer to this prompt: it does not fit the context window, or a filter refuses it."""

    def __init__(self, stop: Stop) -> None:
        super().__init__(stop)
        self.stop = stop


def raise_for(status: int, body: object, headers: Mapping[str, str], model: str, variable: str) -> None:
    """Raise what an HTTP status means for us: Transient, Unsaid, or InputError with what to mend."""
    said = gist(body)
    if any(word in f"{_kind(body)} {said}" for word in _SPENT) or status == 402:
        raise InputError(f"the account cannot pay (HTTP {status}): {said}", model, "top it up, or use another model")
    if status in RETRIED or status >= 500:
        raise Transient(f"{model}: HTTP {status}: {said}", wish(headers))
    if status == 413:
        raise Unsaid("overflow")
    if status in (400, 422):
        _raise_if_unsaid(f"{_kind(body)} {said}")
    if 300 <= status < 400:
        where = plain(hidden(headers.get("location", "nowhere")), _SHOWN)
        raise InputError(f"the server redirects (HTTP {status}) to {where}", model, "name that address in --model")
    if status in (401, 403):
        raise InputError(f"the key was refused (HTTP {status})", variable, "check the key and what it may use")
    if status == 404:
        raise InputError(f"unknown model '{model}' (HTTP 404: {said})", "--model",
                         "name a model this provider serves, and check the address")  # fmt: skip
    raise InputError(f"the provider refused the request (HTTP {status}): {said}", model)


def raise_for_kind(body: object, model: str) -> None:
    """Raise what an error in the middle of a stream means, by its kind."""
    kind, said = _kind(body), gist(body)
    if any(word in f"{kind} {said}" for word in _SPENT):
        raise InputError(f"the account cannot pay: {said}", model, "top it up, or use another model")
    _raise_if_unsaid(f"{kind} {said}")
    if "invalid" in kind or "authentication" in kind or "permission" in kind:
        raise InputError(f"the provider refused the request ({kind}): {said}", model)
    raise Transient(f"{model}: the stream broke off: {said}")


def _raise_if_unsaid(error: str) -> None:
    if _OVERFLOW.search(error):
        raise Unsaid("overflow")
    if any(word in error for word in _FILTERED):
        raise Unsaid("refused")


def gist(body: object) -> str:
    """What an error's body says, on one short line without keys; markup of a proxy's error page is dropped."""
    found = _error(body)
    text = str(found.get("message") or found) if found else str(body or "no reason given")
    if "<" in text:
        text = re.sub(r"<(style|script).*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)
    return plain(" ".join(hidden(text).split()), _SHOWN)


def _error(body: object) -> dict[str, Any]:
    inner = body.get("error", body) if isinstance(body, dict) else {}
    return inner if isinstance(inner, dict) else {"message": str(inner)}


def _kind(body: object) -> str:
    found = _error(body)
    return plain(hidden(f"{found.get('type', '')} {found.get('code', '')}"), _SHOWN).strip()


def wish(headers: Mapping[str, str]) -> float | None:
    """Seconds the provider asks to wait: retry-after-ms, or Retry-After in seconds or as a date.

    A date counts from the provider's own clock if it sent that. None for no wish, or one that cannot be read.
    """
    for name, unit_s in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit_s
        except (KeyError, ValueError):
            continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    until, now = _moment(headers.get("retry-after")), _moment(headers.get("date"))
    return None if until is None else max(0.0, until - (time.time() if now is None else now))


def _moment(text: str | None) -> float | None:
    try:
        found = parsedate_to_datetime(text or "")
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
