"""Which model plays which role: the grammar of --model, and the models once they are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from agents.models import Model
from hwlib.errors import InputError

FORMS = "openai:MODEL, anthropic:MODEL or chat:MODEL@http://HOST:PORT/v1"
ROLES = ("planner", "writer", "verifier")
PROVIDERS = ("openai", "anthropic", "chat")


@dataclass(frozen=True)
class Casting:
    """A word (one of FORMS) for each role; for the writer the cascade, the cheapest first."""

    planner: str
    writer: tuple[str, ...]
    verifier: str

    @property
    def words(self) -> tuple[str, ...]:
        """Every word once."""
        return tuple(dict.fromkeys((self.planner, *self.writer, self.verifier)))


@dataclass(frozen=True)
class Team:
    """The models behind the roles."""

    planner: Model
    writer: tuple[Model, ...]
    verifier: Model

    @classmethod
    def of(cls, casting: Casting, make: Callable[[str], Model]) -> Team:
        """Make each model once."""
        made = {word: make(word) for word in casting.words}
        writers = tuple(made[word] for word in casting.writer)
        return cls(made[casting.planner], writers, made[casting.verifier])

    @classmethod
    def alone(cls, model: Model) -> Team:
        """One model for all roles."""
        return cls(model, (model,), model)


def cast(text: str) -> Casting:
    """What --model says: ROLE=WORD,... and a bare word for every role not named; the writer's may be WORD>WORD.

    InputError for what names no model, or a role left without one.
    """
    found: dict[str, str] = {}
    for item in text.split(","):
        role, word = _assigned(item.strip())
        if role in found:
            raise InputError(f"two models for {role or 'every role'}", "--model", f"write {_form()}")
        found[role] = word
    missing = [role for role in ROLES if role not in found and "" not in found]
    if missing:
        raise InputError(f"no model for the {missing[0]}", "--model", f"write {_form()}")
    words = {role: tuple(w.strip() for w in found.get(role, found.get("", "")).split(">")) for role in ROLES}
    _check(words)
    return Casting(words["planner"][0], words["writer"], words["verifier"][0])


def _assigned(item: str) -> tuple[str, str]:
    """Role ("" for all of them) and word of ROLE=WORD or WORD; a word may itself hold an equals sign, after a colon."""
    role, equals, word = item.partition("=")
    if not equals or ":" in role:
        return "", item
    if role not in ROLES:
        raise InputError(f"no role '{role}'", "--model", f"roles are {', '.join(ROLES)}")
    return role, word.strip()


def _check(words: dict[str, tuple[str, ...]]) -> None:
    for role, cascade in words.items():
        for word in cascade:
            parts(word)
        if role != "writer" and len(cascade) > 1:
            raise InputError(f"a cascade for the {role}", "--model", "only the writer's work tests itself: writer=A>B")
        names = [word.partition("@")[0] for word in cascade]
        if len(set(names)) < len(names):
            raise InputError(f"{names[0]} twice in one cascade", "--model", "name different models")


def parts(word: str) -> tuple[str, str, str]:
    """Provider, model and address ("" for the provider's own) of one word; InputError if it names no model."""
    provider, _, rest = word.partition(":")
    model, _, url = rest.partition("@")
    if not model or provider not in PROVIDERS:
        raise InputError(
            f"'{word}' names no model" if word else "the llm designer needs a model", "--model", f"use {FORMS}"
        )
    if provider == "chat" and not url:
        raise InputError(
            "a chat model needs its server's address", "--model", f"write chat:{model}@http://HOST:PORT/v1"
        )
    _check_address(model, url)
    return provider, model, url


def _check_address(model: str, url: str) -> None:
    try:
        found = urlsplit(url)
        secret = bool(found.username or found.password or found.query)
        usable = not url or (found.scheme in ("http", "https") and bool(found.hostname))
    except ValueError:
        secret, usable = False, False
    if secret:
        raise InputError(f"the address of {model} holds a name, key or query", "--model",
                         "keys come from the environment or a keyring: RTLOOM_CHAT_API_KEY")  # fmt: skip
    if not usable:
        raise InputError(f"'{url}' is no address", "--model", "write http://HOST:PORT/v1")


def _form() -> str:
    return f"planner=M,writer=SMALL>LARGE,verifier=M, or one M for all; M is {FORMS}"
