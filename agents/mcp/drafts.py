"""Drafts a client handed in: files of one block, kept in the campaign under the hash of their content."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from agents.campaign import Campaign
from agents.designers import Files
from agents.store import text_hash
from hwlib.errors import InputError
from hwlib.files import write_whole

_ID = re.compile(r"[a-z][a-z_]{0,30}-[0-9a-f]{16}")


@dataclass(frozen=True)
class Draft:
    """One block's files."""

    id: str
    block: str
    files: Files


class Drafts:
    """The drafts of a campaign. Their names are made here; a client only repeats them."""

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign
        self._folder = campaign.folder / "drafts"

    def put(self, block: str, files: Mapping[str, str]) -> Draft:
        """Keep the files; the same ones are the same draft."""
        names = {name: self._campaign.texts.put(text) for name, text in sorted(files.items())}
        body = json.dumps({"block": block, "files": names}, sort_keys=True)
        found = Draft(f"{block}-{text_hash(body)[:16]}", block, dict(files))
        write_whole(self._folder / f"{found.id}.json", body.encode())
        return found

    def get(self, identity: str) -> Draft:
        """The draft called so; InputError if there is none."""
        path = self._folder / f"{identity}.json"
        if not _ID.fullmatch(identity) or not path.exists():
            raise InputError(f"no draft '{identity[:60]}'", "draft", "submit_draft gives the name")
        body = json.loads(path.read_text())
        files = {name: self._campaign.texts.get(content) for name, content in body["files"].items()}
        return Draft(identity, body["block"], files)
