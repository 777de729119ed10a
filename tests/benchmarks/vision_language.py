"""A SmolVLM of 22.6 M random parameters, image in, 16 tokens out, on the expert's RTL, every logit compared.

128x128 pixels in patches of 16, a tower of 4 blocks of width 256, pixel shuffle, 10 decoder layers of width 384 (6
query heads, 2 of keys and values); a prompt of 6 tokens, the image's 16 rows and 5 tokens more; int8 weights and
activations, int16 residual stream. One program from pixels to caches, one a token after it, its embedding loaded from
the table in memory. Bars: at least 20 M parameters and 16 tokens; every logit equals the golden integer executor's; all
in all (quantization, scheduling, the simulator's build, simulation) within 30 minutes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable

import numpy as np
import torch
import transformers

from hwlib.design import EXPERT, Design, with_parameters
from mfm.run.checkpoint import Quantized, quantized
from mfm.run.generate import generate, open_runners
from tests.benchmarks.bars import Bar, at_least, at_most, figure, main

SHAPE = {"T": 4, "D": 16, "WORDS": 2048, "AXI_BYTES": 32}
VISION = {
    "hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 4, "num_attention_heads": 4,
    "image_size": 128, "patch_size": 16,
}  # fmt: skip
TEXT = {
    "hidden_size": 384, "intermediate_size": 1024, "num_hidden_layers": 10, "num_attention_heads": 6,
    "num_key_value_heads": 2, "vocab_size": 4096, "max_position_embeddings": 256,
}  # fmt: skip
BEFORE, AFTER = (1, 17, 290, 1033, 8, 77), (5, 2048, 911, 60, 3)
CAPACITY = 64
TOKENS = 16
PARAMETERS = 20_000_000
MINUTES = 30


def smolvlm() -> Quantized:
    """The quantized model."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        text = transformers.LlamaConfig(**TEXT)
        config = transformers.SmolVLMConfig(vision_config=VISION, text_config=text, scale_factor=2)
        return quantized(transformers.SmolVLMForConditionalGeneration(config).eval(), CAPACITY)


def measure(design: Design) -> Iterable[Bar]:
    """The model on the expert at 256 MACs a cycle, or on a design as it is."""
    machine = with_parameters(design, **SHAPE) if design.folder == EXPERT else design
    start = time.monotonic()
    model = smolvlm()
    pixels = np.random.default_rng(1).normal(0, 1, (3, 128, 128))
    prompt = model.prompt(BEFORE, pixels, AFTER)
    with open_runners(["integer", "rtl"], machine.manifest, machine) as runners:
        found = generate(model.text(), prompt, TOKENS, runners)
        seconds = runners[1].seconds
    minutes = (time.monotonic() - start) / 60
    assert prompt.graph is not None
    steps = [model.text().step(prompt.rows + i) for i in range(TOKENS)]
    macs = prompt.graph.macs + sum(graph.macs for graph in steps)
    name = machine.manifest.name
    return [
        at_least(name, "parameters", model.parameters, PARAMETERS),
        at_least(name, "tokens, every logit exact", len(found.tokens), TOKENS),
        figure(name, "different tokens", len(set(found.tokens))),
        figure(name, "cycles, image and prompt", found.cycles[0]),
        figure(name, "cycles a token", round(sum(found.cycles[1:]) / TOKENS)),
        figure(name, "useful multiply-accumulates", macs),
        figure(name, "simulated cycles a second", round(sum(found.cycles) / seconds)),
        figure(name, "simulated multiply-accumulates a second", round(macs / seconds)),
        figure(name, "minutes of simulation", seconds / 60),
        at_most(name, "minutes in all", minutes, MINUTES),
    ]


if __name__ == "__main__":
    sys.exit(main("vision_language", __doc__ or "", measure))
