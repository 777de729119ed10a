"""What goes into a model and what comes out of it: pixels of an image file, tokens of a text and text of tokens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import transformers
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from hwlib.errors import InputError

IMAGE = "<image>"
"""Where the image stands in a prompt."""
MEAN, DEVIATION = 0.5, 0.5
"""Of pixels 0 to 1, where a checkpoint says nothing else."""


def read_pixels(path: Path, config: Any, folder: Path | None = None) -> NDArray[np.float64]:
    """The image in `path` as [channels, height, width] for a vision tower of `config`: resized, normalised.

    Mean and deviation are those of preprocessor_config.json in `folder`. Raises InputError if it is no image.
    """
    try:
        image = Image.open(path).convert("RGB" if config.num_channels == 3 else "L")
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"not an image ({error})", str(path), "give a PNG or JPEG file") from None
    side = config.image_size
    values = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR), dtype=np.float64) / 255
    mean, deviation = _normalisation(folder)
    channels = values.reshape(side, side, -1).transpose(2, 0, 1)
    normalised: NDArray[np.float64] = (channels - mean) / deviation
    return normalised


def _normalisation(folder: Path | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and deviation by channel, [any, 1, 1]."""
    found: dict[str, Any] = {}
    if folder is not None and (folder / "preprocessor_config.json").exists():
        try:
            found = json.loads((folder / "preprocessor_config.json").read_text())
        except ValueError as error:
            where = str(folder / "preprocessor_config.json")
            raise InputError(f"not JSON ({error})", where, "take the checkpoint's own") from None
    mean, deviation = (
        np.atleast_1d(np.asarray(found.get(name, default), dtype=np.float64))[:, None, None]
        for name, default in (("image_mean", MEAN), ("image_std", DEVIATION))
    )
    return mean, deviation


def tokenizer(folder: Path) -> Any:
    """The checkpoint's tokenizer. Raises InputError if it has none."""
    try:
        return transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"no tokenizer ({reason})", str(folder), "give the prompt as token numbers") from None


def split_prompt(prompt: str, words: Any | None) -> tuple[list[int], list[int]]:
    """Tokens before and after IMAGE in `prompt` (without it: none before). words: a tokenizer, None for numbers.

    Raises InputError for numbers that are none, or more than one place for the image.
    """
    before, *rest = prompt.split(IMAGE)
    if len(rest) > 1:
        raise InputError(f"{len(rest)} places for an image", "--prompt", f"write {IMAGE} once")
    pieces = (before, rest[0]) if rest else ("", before)
    if words is not None:
        return tuple(words.encode(piece, add_special_tokens=i == 0) for i, piece in enumerate(pieces))
    return _numbers(pieces[0]), _numbers(pieces[1])


def _numbers(text: str) -> list[int]:
    try:
        return [int(word) for word in text.replace(",", " ").split()]
    except ValueError:
        raise InputError(f"'{text}' is not token numbers", "--prompt", "write numbers like 5 17 3") from None


def text_of(tokens: Sequence[int], words: Any | None) -> str:
    """The text of `tokens`; without a tokenizer their numbers."""
    return " ".join(map(str, tokens)) if words is None else str(words.decode(list(tokens)))
