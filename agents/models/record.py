"""Every exchange kept on disk under its content, so that none is paid for twice and a campaign can be replayed."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from agents.models import Model, Reply, Request, Usage
from hwlib.errors import InputError
from hwlib.files import write_whole


class Recorded:
    """`model`, asked only what was never asked before; each reply is on disk before it is used."""

    def __init__(self, model: Model, folder: Path) -> None:
        self.name = model.name
        self._model = model
        self._folder = folder

    def known(self, request: Request) -> bool:
        """Whether there is a recorded reply."""
        return load(self._folder, self.name, request) is not None

    def ask(self, request: Request) -> Reply:
        """The recorded reply, or a new one, recorded."""
        found = load(self._folder, self.name, request)
        if found is not None:
            return found
        reply = self._model.ask(request)
        exchange = {"model": self.name, "request": asdict(request), "reply": asdict(reply)}
        body = json.dumps(exchange, indent=1, sort_keys=True, ensure_ascii=False)
        write_whole(self._folder / f"{request.key(self.name)}.json", body.encode())
        return reply


class Replay:
    """The recorded model `name`: answers from `folder` only, byte for byte, without a network."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._folder = folder

    def ask(self, request: Request) -> Reply:
        """The recorded reply; InputError if this was never asked."""
        found = load(self._folder, self.name, request)
        if found is None:
            what = f"no recorded answer to this {request.purpose} prompt ({request.prompt_version})"
            raise InputError(what, str(self._folder), "record it with the model, or restore the prompt's version")
        return found


def load(folder: Path, model: str, request: Request) -> Reply | None:
    """The reply of `model` to `request` recorded in `folder`, if there is one; InputError for a damaged record."""
    path = folder / f"{request.key(model)}.json"
    if not path.exists():
        return None
    try:
        kept = json.loads(path.read_text())["reply"]
        return Reply(kept["text"], kept["stop"], Usage(**kept["usage"]), kept["model"])
    except (ValueError, KeyError, TypeError):
        raise InputError("not a recorded exchange", str(path), "restore it, or remove it to ask again") from None
