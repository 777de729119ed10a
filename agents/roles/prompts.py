"""Prompts: Jinja2 templates under `prompts/<role>/`, versioned, with the JSON schema of their answer."""

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


def version(role: str) -> str:
    """`role/N-hash`: the version the prompt's author gave, and a hash of its text so that no change goes unseen."""
    folder = FOLDER / role
    number = yaml.safe_load((folder / "prompt.yaml").read_text())["version"]
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    return f"{role}/{number}-{digest.hexdigest()[:8]}"


def schema(role: str) -> dict[str, Any]:
    """JSON schema of the role's answer."""
    found: dict[str, Any] = json.loads((FOLDER / role / "answer.json").read_text())
    return found


def render(role: str, **values: object) -> tuple[Message, ...]:
    """The role's system and user messages. Raises UndefinedError for a value the templates want and do not get."""
    environment = _environment()
    values["schema"] = json.dumps(schema(role))
    system = environment.get_template(f"{role}/system.md.j2").render(values)
    user = environment.get_template(f"{role}/user.md.j2").render(values)
    return Message("system", system), Message("user", user)


@lru_cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(FOLDER),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
