"""Text from a Hugging Face model on an accelerator, for the command line: checkpoint and prompt to tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hwlib.design import Design
from hwlib.errors import InputError
from mfm.compress.decode import looked_up, step, window
from mfm.compress.integer import IntegerGraph
from mfm.compress.quantize import quantize
from mfm.models import huggingface
from mfm.models.preprocess import IMAGE, read_pixels, split_prompt, text_of, tokenizer
from mfm.run.checkpoint import Quantized, noise, quantized
from mfm.run.generate import Place, Prompt, generate, open_runners
from verification.system.simulation import MemoryModel

TINY = "tiny-"
ROWS = 32
"""Rows of a checkpoint's text where none are named."""


@dataclass(frozen=True)
class Generated:
    """Generated text. on: where every logit was made, equal in all; cycles: of the prompt, then of each token (RTL)."""

    model: str
    parameters: int
    on: list[str]
    tokens: list[int]
    text: str
    cycles: list[int]
    seconds: float

    def to_json(self) -> dict[str, object]:
        """Plain numbers and strings."""
        return asdict(self)


def is_checkpoint(word: str) -> bool:
    """Whether `word` names a checkpoint folder or a tiny model, perhaps with a part after it."""
    return word.startswith(TINY) or Path(word.split(":")[0]).is_dir()


def checkpoint(word: str) -> Any:
    """The Hugging Face model of a folder, or of ``tiny-FAMILY`` (random weights)."""
    return huggingface.tiny(word.removeprefix(TINY)) if word.startswith(TINY) else huggingface.load(Path(word))


def part_graph(word: str) -> IntegerGraph:
    """The integer graph of ``MODEL[:PART[:ROWS]]``, calibrated on noise; ROWS: of the text.

    PART: vision, encoder, decoder (a prompt of ROWS), or step (a token after ROWS); default: the model's last part.
    Raises InputError for a part that the model does not have.
    """
    name, _, rest = word.partition(":")
    part, _, count = rest.partition(":")
    if count and not (count.isdecimal() and int(count)):
        raise InputError(f"'{count}' rows", word, "write MODEL:PART:ROWS with a number from 1 on")
    rows, model = int(count or ROWS), checkpoint(name)
    known = {p.name.rsplit("-", 1)[1]: p for p in huggingface.parts(model, rows)}
    part = part or list(known)[-1]
    if part in ("decoder", "step"):
        made = quantized(model, rows + 1)
        if part == "step":
            return step(made.decoder, rows, made.rows)
        return looked_up(window(made.decoder, 0, rows), made.rows)
    if part not in known:
        raise InputError(f"no part '{part}'", word, f"it has {', '.join(known)}")
    chosen = known[part]
    return quantize(chosen.graph(), noise(chosen), wide=True, host=True)


def prepared(word: str, prompt: str, image: Path | None, count: int, bits: int) -> tuple[Quantized, Prompt, Any]:
    """The quantized model, the prompt and the tokenizer (None: token numbers), for `count` tokens behind it.

    Raises InputError for a prompt that is empty or does not fit, and for an image that cannot be read.
    """
    model = checkpoint(word)
    folder = None if word.startswith(TINY) else Path(word)
    numbers = folder is None or all(piece.isdecimal() for piece in prompt.replace(IMAGE, " ").replace(",", " ").split())
    words = None if numbers or folder is None else tokenizer(folder)
    before, after = split_prompt(prompt, words)
    pixels = None
    if image is not None:
        config = getattr(model.config, "vision_config", None)
        if config is None:
            raise InputError("an image for a model without a vision tower", "--image", "leave it out")
        pixels = read_pixels(image, config, folder)
    longest = len(before) + len(after) + count + (huggingface.image_rows(model) if image is not None else 0)
    made = quantized(model, longest, [pixels] if pixels is not None else (), bits=bits)
    given = made.prompt(before, pixels, after)
    made.check_room(given, count)
    return made, given, words


def run(
    word: str,
    prompt: str,
    image: Path | None,
    count: int,
    on: Place,
    design: Design,
    memory: MemoryModel | None = None,
    bits: int = 8,
    say: Callable[[int, int], None] = lambda count, token: None,
) -> Generated:
    """Generate `count` tokens on the integer executor and, unless that alone is asked for, `on` another beside it.

    Raises InputError where logits differ, for bad prompts and for what does not fit the design.
    """
    model, given, words = prepared(word, prompt, image, count, bits)
    places: list[Place] = ["integer"] if on == "integer" else ["integer", on]
    with open_runners(places, design.manifest, design, memory) as runners:
        found = generate(model.text(), given, count, runners, say)
        seconds = runners[-1].seconds
    text = text_of(found.tokens, words)
    return Generated(word, model.parameters, list(places), list(found.tokens), text, list(found.cycles), seconds)
