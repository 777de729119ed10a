"""Text from Hugging Face models: checkpoint folder, prompt and image to tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hwlib.design import EXPERT, read_design
from hwlib.errors import InputError
from mfm.compress.multimodal import TEXT, VISION
from mfm.models import huggingface, preprocess
from mfm.serve import generation

DESIGN = read_design(EXPERT)
IMAGE_PROMPT = "1 2 <image> 5 6"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)).save(path)
    return path


def generated(word: str, prompt: str, image: Path | None = None, count: int = 3, bits: int = 8) -> generation.Generated:
    return generation.run(word, prompt, image, count, "golden", DESIGN, bits=bits)


@pytest.mark.parametrize("family", ["smolvlm", "llava"])
def test_image_and_text_in_tokens_out(family: str, image: Path) -> None:
    found = generated(f"tiny-{family}", IMAGE_PROMPT, image)
    assert len(found.tokens) == 3
    assert found.on == ["integer", "golden"]
    assert found.text == " ".join(map(str, found.tokens))
    assert generated(f"tiny-{family}", IMAGE_PROMPT, image).tokens == found.tokens


def test_a_folder_gives_what_the_model_in_it_gives(tmp_path: Path) -> None:
    huggingface.tiny("qwen2").save_pretrained(tmp_path)
    assert generated(str(tmp_path), "3 1 4", bits=4).tokens == generated("tiny-qwen2", "3,1,4", bits=4).tokens


def test_the_image_matters(image: Path, tmp_path: Path) -> None:
    other = tmp_path / "grey.png"
    Image.new("L", (16, 16), 200).save(other)
    model, _, _ = generation.prepared("tiny-smolvlm", IMAGE_PROMPT, image, 3, 8)
    config = huggingface.tiny("smolvlm").config.vision_config
    first, second = (model.prompt([1], preprocess.read_pixels(path, config), [2]) for path in (image, other))
    names = [name for name in first.inputs if name.startswith(VISION)]
    assert not all(np.array_equal(first.inputs[name], second.inputs[name]) for name in names)


def test_a_prompt_is_token_numbers_and_pixels_alone(image: Path) -> None:
    """No embedding is looked up before the accelerator runs; an image's rows are numbered as the row of zeros."""
    model, given, _ = generation.prepared("tiny-smolvlm", IMAGE_PROMPT, image, 3, 8)
    vocabulary = len(model.table)
    before, after = preprocess.split_prompt(IMAGE_PROMPT, None)
    numbers = given.inputs[TEXT].tolist()
    assert numbers[: len(before)] == list(before)
    assert numbers[given.rows - len(after) + 1 :] == list(after[:-1])
    assert set(numbers[len(before) : given.rows - len(after) + 1]) == {vocabulary}
    assert not model.rows[vocabulary].any()
    text, _, _ = generation.prepared("tiny-llama", "3 1 4", None, 3, 8)
    (values,) = text.prompt([3, 1, 4]).inputs.values()
    assert values.tolist() == [3, 1]
    tables = [graph.inputs[0].table for graph in (text.text().prefill(2), text.text().step(2), text.text().step(3))]
    assert all(table is tables[0] for table in tables)


@pytest.mark.parametrize(
    ("word", "prompt", "with_image", "count", "message"),
    [
        ("tiny-llama", "", False, 3, "an empty prompt"),
        ("tiny-llama", "1 99", False, 3, "token 99; the vocabulary has 32"),
        ("tiny-llama", "one", False, 3, "'one' is not token numbers"),
        ("tiny-llama", "1 2", True, 3, "an image for a model without a vision tower"),
        ("tiny-llama", "1", False, 0, "0 tokens after 0"),
        ("tiny-smolvlm", "1 <image>", True, 3, "no token after the image"),
        ("tiny-smolvlm", "1 <image> 2 <image> 3", True, 3, "2 places for an image"),
        ("tiny-bert", "1", False, 3, "models of type 'bert' generate no text"),
        ("tiny-gpt", "1", False, 3, "no tiny model 'gpt'"),
    ],
)
def test_bad_requests_are_named(
    word: str, prompt: str, with_image: bool, count: int, message: str, image: Path
) -> None:
    with pytest.raises(InputError, match=message):
        generated(word, prompt, image if with_image else None, count)


def test_parts_of_a_model_by_name() -> None:
    assert generation.part_graph("tiny-vit").name == "vit-vision"
    assert generation.part_graph("tiny-llava:vision").name == "llava-vision"
    (source,) = generation.part_graph("tiny-llama:decoder:5").inputs
    assert source.rows == 5
    assert source.table is not None
    assert generation.part_graph("tiny-llama:step:5").inputs[0].table is not None
    with pytest.raises(InputError, match="no part 'vision'; it has decoder"):
        generation.part_graph("tiny-llama:vision")
    with pytest.raises(InputError, match="'x' rows"):
        generation.part_graph("tiny-llama:decoder:x")


def test_pixels_are_resized_and_normalised_as_the_checkpoint_says(image: Path, tmp_path: Path) -> None:
    config = huggingface.tiny("smolvlm").config.vision_config
    pixels = preprocess.read_pixels(image, config)
    assert pixels.shape == (3, 16, 16)
    assert np.abs(pixels).max() <= 1
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0, 0, 0], "image_std": [1, 1, 1]}')
    assert np.allclose(preprocess.read_pixels(image, config, tmp_path), pixels * 0.5 + 0.5)
    (tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        preprocess.read_pixels(image, config, tmp_path)
    with pytest.raises(InputError, match="not an image"):
        preprocess.read_pixels(tmp_path / "preprocessor_config.json", config)


def test_a_folder_without_a_tokenizer_takes_numbers(tmp_path: Path) -> None:
    huggingface.tiny("llama").save_pretrained(tmp_path)
    with pytest.raises(InputError, match="no tokenizer"):
        generated(str(tmp_path), "hello")
