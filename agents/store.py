"""Where a campaign keeps text: candidate sources by content hash, and revisions as commits of a bare git repository.

Every operation is idempotent and safe to repeat after a kill: text files appear by rename, and a commit's
hash depends only on its content, because author and dates are fixed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hwlib.errors import InputError
from hwlib.files import write_whole

AUTHOR = "rtloom"
EPOCH = 1_700_000_000
"""Date of a repository's first commit; the nth is n seconds later, so hashes do not depend on the clock."""


def text_hash(text: str) -> str:
    """SHA-256 of `text` as UTF-8, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def _blob_hash(data: bytes) -> str:
    """What git calls a file with this content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


class TextStore:
    """Texts by their SHA-256."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, text: str) -> str:
        """Keep `text`; returns its hash."""
        name = text_hash(text)
        path = self._folder / name
        if not path.exists():
            write_whole(path, text.encode())
        return name

    def get(self, name: str) -> str:
        """The text with hash `name`."""
        return (self._folder / name).read_text()


class RevisionStore:
    """Designs as commits. `files` maps paths in the design folder (design.yaml, rtl/x.v) to text."""

    def __init__(self, repository: Path, checkouts: Path) -> None:
        self.repository = repository
        self._checkouts = checkouts

    def create(self) -> None:
        """Make the empty repository."""
        self.repository.mkdir(parents=True, exist_ok=True)
        self._git("init", "--quiet", "--bare", "--initial-branch=accepted")

    def unlock(self) -> None:
        """Remove lock files a killed process left; the caller holds the campaign's lock."""
        for path in self.repository.rglob("*.lock"):
            path.unlink(missing_ok=True)

    def commit(self, files: Mapping[str, str], parent: str | None, message: str, ordinal: int) -> str:
        """Commit `files` as the whole tree; returns the commit's hash, the same for the same arguments."""
        tree = self._tree(files)
        parents = ["-p", parent] if parent else []
        revision = self._git("commit-tree", tree, *parents, "-F", "-", stdin=message, ordinal=ordinal)
        self._git("update-ref", f"refs/tags/r{ordinal}", revision)
        return revision

    def accept(self, revision: str) -> None:
        """Let the branch `accepted` name `revision`."""
        self._git("update-ref", "refs/heads/accepted", revision)

    def files(self, revision: str) -> dict[str, str]:
        """The text of every file of `revision`, by path."""
        names = self._git("ls-tree", "-r", "--name-only", revision).splitlines()
        return {name: self._git("cat-file", "blob", f"{revision}:{name}", strip=False) for name in names}

    def checkout(self, revision: str) -> Path:
        """A folder holding exactly `revision`; made once, and laid out again if it was changed since."""
        folder = self._checkouts / revision
        if not self.intact(revision):
            old = Path(tempfile.mkdtemp(dir=self._checkouts, prefix=".old-"))
            folder.rename(old / revision)
            shutil.rmtree(old)
        if not folder.exists():
            self.lay_out(self.files(revision), folder)
        return folder

    def intact(self, revision: str) -> bool:
        """Whether the folder of `revision`, if there is one, holds its commit's files, no more, no less."""
        folder = self._checkouts / revision
        if not folder.exists():
            return True
        found = {
            str(path.relative_to(folder)): "" if path.is_symlink() else _blob_hash(path.read_bytes())
            for path in folder.rglob("*")
            if not path.is_dir() or path.is_symlink()
        }
        lines = self._git("ls-tree", "-r", revision).splitlines()
        return found == {name: entry.split()[2] for entry, name in (line.split("\t") for line in lines)}

    def lay_out(self, files: Mapping[str, str], folder: Path) -> Path:
        """Write `files` as a new folder that appears whole; an existing one is left as it is."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".new-"))
        for name, text in files.items():
            path = draft / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        draft.chmod(0o755)
        try:
            draft.rename(folder)
        except OSError:
            shutil.rmtree(draft)
            if not folder.exists():
                raise
        return folder

    def _tree(self, files: Mapping[str, str]) -> str:
        entries, folders = [], dict[str, dict[str, str]]()
        for name, text in files.items():
            head, _, rest = name.partition("/")
            if rest:
                folders.setdefault(head, {})[rest] = text
            else:
                entries.append(f"100644 blob {self._git('hash-object', '-w', '--stdin', stdin=text)}\t{name}")
        entries += [f"040000 tree {self._tree(inner)}\t{name}" for name, inner in folders.items()]
        return self._git("mktree", stdin="\n".join(entries) + "\n")

    def _git(self, *arguments: str, stdin: str = "", ordinal: int = 0, strip: bool = True) -> str:
        date = f"{EPOCH + ordinal} +0000"
        who = {f"GIT_{role}_{part}": value for role in ("AUTHOR", "COMMITTER")
               for part, value in (("NAME", AUTHOR), ("EMAIL", f"{AUTHOR}@localhost"), ("DATE", date))}  # fmt: skip
        config = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_DIR": str(self.repository)}
        try:
            done = subprocess.run(
                ["git", *arguments],
                input=stdin,
                env=os.environ | who | config,
                capture_output=True,
                text=True,
                check=True,
            )
        except FileNotFoundError:
            raise InputError("git is not installed", "campaign", "install it: apt-get install git") from None
        except subprocess.CalledProcessError as error:
            raise InputError(f"git {arguments[0]}: {error.stderr.strip()}", str(self.repository)) from None
        return done.stdout.strip() if strip else done.stdout
