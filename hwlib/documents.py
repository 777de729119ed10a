"""YAML files that people write, read into checked models; whatever is wrong with one becomes an InputError."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from hwlib.errors import InputError

Model = TypeVar("Model", bound=BaseModel)
_SHOWN = 60
"""Characters of an offending value that are quoted."""


def read_document(path: Path, model: type[Model], guide: str) -> Model:
    """The file at `path` as a `model`; `guide` names the page that describes it.

    Raises InputError naming the file, the field, its value and the rule it breaks. FileNotFoundError passes.
    """
    try:
        data = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise
    except yaml.YAMLError as error:
        raise InputError(f"not a YAML file: {error}", str(path), f"mend the syntax; see {guide}") from None
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        what = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"not a YAML file: {what}", str(path), f"write it as in {guide}") from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", str(path), "give a readable file") from None
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise _refusal(path, error, guide) from None


def _refusal(path: Path, error: ValidationError, guide: str) -> InputError:
    """The first thing `error` names, with the value that was given unless it is a whole section."""
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    given: Any = first.get("input")
    if first["type"] != "missing" and given is not None and not isinstance(given, dict | list):
        message = f"{message} (given: {repr(given)[:_SHOWN]})"
    return InputError(message, ":".join([str(path), *map(str, first["loc"])]), f"see {guide}")
