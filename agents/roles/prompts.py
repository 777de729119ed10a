"""Prompts: Jinja2 templates under `prompts/<role>/`, versioned, with the JSON schema of their answer.

A role that continues another's conversation (`continues` in its prompt.yaml) has only its turn; system prompt, first
message and schema are the other's, so that a provider's cache serves both.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from agents.models import Message

FOLDER = Path(__file__).parent.parent.parent / "prompts"


STABLE = "\x1e"
"""In a template: up to here the text is the same in many requests."""


def version(role: str) -> str:
    """`role/N-hash`: the version the prompt's author gave, and a hash of its text so that no change goes unseen."""
    digest = hashlib.sha256()
    for folder in (FOLDER / role, FOLDER / begun_by(role)):
        for path in sorted(folder.iterdir()):
            digest.update(path.name.encode() + path.read_bytes())
    return f"{role}/{_about(role)['version']}-{digest.hexdigest()[:8]}"


def begun_by(role: str) -> str:
    """The role whose conversation `role` takes part in; often its own."""
    return str(_about(role).get("continues", role))


def schema(role: str) -> dict[str, Any]:
    """JSON schema of the role's answer."""
    found: dict[str, Any] = json.loads((FOLDER / begun_by(role) / "answer.json").read_text())
    return found


def begin(role: str, **values: object) -> tuple[Message, ...]:
    """The system and first user message of the role's conversation; the answer's schema is not in them, as it goes
    beside them (see `Request`). Raises UndefinedError for a value the templates want and do not get."""
    values |= {"stable": STABLE}
    system = _environment().get_template(f"{role}/system.md.j2").render(values)
    before, mark, after = _environment().get_template(f"{role}/user.md.j2").render(values).partition(STABLE)
    return Message("system", system), Message("user", before + after, stable=len(before) if mark else 0)


def turn(role: str, name: str, **values: object) -> str:
    """A later message of a conversation, from the role's template `name`."""
    return _environment().get_template(f"{role}/{name}.md.j2").render(values)


def _about(role: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / role / "prompt.yaml").read_text())
    return found


@lru_cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(FOLDER),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
