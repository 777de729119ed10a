"""API keys: from the environment or a keyring, and never again seen in anything that is shown or kept."""

from __future__ import annotations

import importlib
import importlib.util
import os

from hwlib.errors import InputError

OPENAI, ANTHROPIC, CHAT = "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "RTLOOM_CHAT_API_KEY"
SERVICE = "rtloom"
"""The keyring's service; the user name is the environment variable's."""
_SHORTEST = 8
"""A shorter key is no secret, and its letters may be part of any word."""
_used: dict[str, str] = {}
"""Keys handed out so far, with their variables."""


def key_from(variable: str) -> str:
    """The API key in environment variable `variable`, else in the keyring; InputError if there is none."""
    key = optional_key(variable)
    if not key:
        store = "" if _keyring() else "pip install keyring and "
        mend = f"export {variable}=..., or {store}keyring set {SERVICE} {variable}; --designer search needs none"
        raise InputError("no API key", variable, mend)
    return key


def optional_key(variable: str) -> str:
    """The key, or an empty string; InputError for one that no HTTP header can carry."""
    key = (os.environ.get(variable) or _kept(variable)).strip()
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise InputError("the key has spaces or characters that no key has", variable, "copy it again")
    if key:
        _used[key] = variable
    return key


def hidden(text: str) -> str:
    """`text` with every key in it replaced by its variable's name: providers and proxies echo what they are sent."""
    known = _used | {os.environ.get(name, ""): name for name in (OPENAI, ANTHROPIC, CHAT)}
    for key in sorted(known, key=len, reverse=True):
        if len(key) >= _SHORTEST:
            text = text.replace(key, f"<{known[key]}>")
    return text


def _keyring() -> bool:
    return importlib.util.find_spec("keyring") is not None


def _kept(variable: str) -> str:
    """What the keyring holds; nothing without the package. InputError if there is one that cannot be read."""
    if not _keyring():
        return ""
    keyring = importlib.import_module("keyring")
    try:
        return keyring.get_password(SERVICE, variable) or ""
    except Exception as error:  # every backend has failures of its own
        if type(error).__name__ == "NoKeyringError":
            return ""
        what = f"the keyring cannot be read ({type(error).__name__})"
        raise InputError(what, variable, f"unlock it, or export {variable}=...") from None
