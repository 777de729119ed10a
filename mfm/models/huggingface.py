"""Hugging Face models as graphs: the parts of a checkpoint that run on the accelerator, and tiny models of each family.

A vision-language model is two graphs: its vision tower with the projector (pixels to rows of embeddings) and its
language model (rows of embeddings to logits). Embedding tables are looked up outside the graph.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from hwlib.errors import InputError
from mfm.models.graph import Graph
from mfm.models.importer import import_model


class VisionEncoder(nn.Module):
    """Hidden states [1, tokens, width] of pixels [1, channels, height, width] (ViT, CLIP, SigLIP)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        hidden: Tensor = self.model(pixels).last_hidden_state
        return hidden


class TextEncoder(nn.Module):
    """Hidden states [1, tokens, width] of word embeddings [1, tokens, width] (BERT)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, embeddings: Tensor) -> Tensor:
        hidden: Tensor = self.model(inputs_embeds=embeddings).last_hidden_state
        return hidden


class Decoder(nn.Module):
    """Logits [1, tokens, vocabulary] of embeddings [1, tokens, width] (LLaMA, Qwen2, Gemma and kin).

    Causal, except where the configuration says that the rows of a prompt see each other (PaliGemma). The mask is
    given: exported without one, a bidirectional model of transformers 5 becomes a causal one.
    """

    def __init__(self, model: Any, head: nn.Module) -> None:
        super().__init__()
        self.model, self.head = model, head
        self.bidirectional = bool(getattr(model.config, "use_bidirectional_attention", False))

    def forward(self, embeddings: Tensor) -> Tensor:
        shown = torch.ones(1, 1, embeddings.shape[1], embeddings.shape[1], dtype=torch.bool)
        mask = shown if self.bidirectional else shown.tril()
        hidden = self.model(inputs_embeds=embeddings, attention_mask=mask, use_cache=False).last_hidden_state
        logits: Tensor = self.head(hidden)
        return logits


class ProjectedVision(nn.Module):
    """Image embeddings [tokens, text width] of pixels, by the model's own `get_image_features` (LLaVA, PaliGemma)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        found = self.model.get_image_features(pixels).pooler_output
        features: Tensor = found[0] if isinstance(found, (list, tuple)) else found.squeeze(0)
        return features


class ShuffledVision(nn.Module):
    """Image embeddings [tokens, text width] of pixels (Idefics3, SmolVLM).

    Vision model and connector without the search for padding images, which depends on the pixels.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.vision, self.connector = model.model.vision_model, model.model.connector
        self.side = model.config.vision_config.image_size // model.config.vision_config.patch_size

    def forward(self, pixels: Tensor) -> Tensor:
        whole = torch.ones(1, self.side, self.side, dtype=torch.bool)
        hidden = self.vision(pixels, patch_attention_mask=whole).last_hidden_state
        features: Tensor = self.connector(hidden).squeeze(0)
        return features


@dataclass(frozen=True)
class Part:
    """A part of a model to be exported: what it computes, and an input of its shape."""

    name: str
    module: nn.Module
    example: Tensor

    def graph(self) -> Graph:
        """The float graph. Raises InputError naming the module and source line of what cannot be imported."""
        return import_model(self.module, self.example, self.name)


VISION = {"vit", "siglip_vision_model", "clip_vision_model"}
PROJECTED = {"llava", "paligemma"}
SHUFFLED = {"idefics3", "smolvlm"}
ENCODERS = {"bert"}
DECODERS = {"llama", "qwen2", "gemma", "mistral"}


def parts(model: Any, tokens: int) -> tuple[Part, ...]:
    """The graphs of a Hugging Face model: its vision tower, if it has one, and its text model over `tokens` rows.

    Raises InputError for a family that is not known.
    """
    kind = model.config.model_type
    if kind in VISION:
        return (Part(f"{kind}-vision", VisionEncoder(model), _pixels(model.config)),)
    if kind in ENCODERS:
        return (Part(f"{kind}-encoder", TextEncoder(model), torch.zeros(1, tokens, model.config.hidden_size)),)
    if kind in DECODERS:
        return (_decoder(kind, model.model, model.lm_head, tokens),)
    if kind in PROJECTED:
        tower = Part(f"{kind}-vision", ProjectedVision(model), _pixels(model.config.vision_config))
        return tower, _decoder(kind, model.model.language_model, model.lm_head, tokens)
    if kind in SHUFFLED:
        tower = Part(f"{kind}-vision", ShuffledVision(model), _pixels(model.config.vision_config))
        return tower, _decoder(kind, model.model.text_model, model.lm_head, tokens)
    known = sorted(VISION | PROJECTED | SHUFFLED | ENCODERS | DECODERS)
    raise InputError(f"models of type '{kind}' are not known", "config.json", f"use one of {', '.join(known)}")


def image_rows(model: Any) -> int:
    """Rows of embeddings that an image becomes in the text of a vision-language `model`."""
    tower = parts(model, 1)[0]
    with torch.no_grad():
        return int(tower.module(tower.example).shape[-2])


def _pixels(config: Any) -> Tensor:
    return torch.zeros(1, config.num_channels, config.image_size, config.image_size)


def _decoder(kind: str, model: Any, head: nn.Module, tokens: int) -> Part:
    return Part(f"{kind}-decoder", Decoder(model, head), torch.zeros(1, tokens, model.config.hidden_size))


def load(folder: Path) -> Any:
    """The model of a checkpoint folder (config.json and safetensors) in float32; nothing is downloaded.

    Raises InputError if there is no such folder or it holds no model of a known class.
    """
    if not (folder / "config.json").exists():
        raise InputError("no config.json here", str(folder), "name a folder that holds a Hugging Face checkpoint")
    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        architectures = config.architectures or []
        loader = next(getattr(transformers, name) for name in architectures if hasattr(transformers, name))
        return loader.from_pretrained(folder, local_files_only=True, dtype=torch.float32).eval()
    except (StopIteration, OSError, ValueError, KeyError) as error:
        raise InputError(f"not a checkpoint that loads ({error})", str(folder), "check its config.json") from None


# Tiny models with random weights, one of each family

VISION_SHAPE: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 4,
}
TEXT_SHAPE: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 32,
    "max_position_embeddings": 64,
}


def tiny_vit() -> Any:
    """A vision transformer with class token."""
    return transformers.ViTModel(transformers.ViTConfig(**VISION_SHAPE), add_pooling_layer=False)


def tiny_siglip() -> Any:
    """A SigLIP vision tower (tanh GELU, no class token)."""
    return transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**VISION_SHAPE, vision_use_head=False))


def tiny_clip() -> Any:
    """A CLIP vision tower (quick GELU, norm before the first layer)."""
    return transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**VISION_SHAPE))


def tiny_bert() -> Any:
    """A BERT encoder (post-norm, bidirectional)."""
    shape = {key: value for key, value in TEXT_SHAPE.items() if key != "num_key_value_heads"}
    return transformers.BertModel(transformers.BertConfig(**shape), add_pooling_layer=False)


def tiny_llama() -> Any:
    """A LLaMA decoder with grouped queries."""
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**TEXT_SHAPE))


def tiny_qwen2() -> Any:
    """A Qwen2 decoder: biases on queries, keys and values."""
    return transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**TEXT_SHAPE))


def tiny_gemma() -> Any:
    """A Gemma decoder: tanh GELU gate, norms of one plus their weight, heads wider than the hidden size's share."""
    return transformers.GemmaForCausalLM(transformers.GemmaConfig(**TEXT_SHAPE, head_dim=8))


def tiny_idefics3() -> Any:
    """Idefics3: SigLIP-like tower, pixel shuffle, linear projector, LLaMA."""
    text = transformers.LlamaConfig(**TEXT_SHAPE)
    config = transformers.Idefics3Config(vision_config=VISION_SHAPE, text_config=text, scale_factor=2)
    return transformers.Idefics3ForConditionalGeneration(config)


def tiny_smolvlm() -> Any:
    """SmolVLM: as Idefics3."""
    text = transformers.LlamaConfig(**TEXT_SHAPE)
    config = transformers.SmolVLMConfig(vision_config=VISION_SHAPE, text_config=text, scale_factor=2)
    return transformers.SmolVLMForConditionalGeneration(config)


def tiny_llava() -> Any:
    """LLaVA: CLIP's last but one hidden state without its class token, projector of two layers, LLaMA."""
    vision = transformers.CLIPVisionConfig(**VISION_SHAPE)
    config = transformers.LlavaConfig(vision_config=vision, text_config=transformers.LlamaConfig(**TEXT_SHAPE))
    return transformers.LlavaForConditionalGeneration(config)


def tiny_paligemma() -> Any:
    """PaliGemma: SigLIP, linear projector, Gemma."""
    vision = transformers.SiglipVisionConfig(**VISION_SHAPE, vision_use_head=False)
    text = transformers.GemmaConfig(**TEXT_SHAPE, head_dim=8)
    config = transformers.PaliGemmaConfig(vision_config=vision, text_config=text, projection_dim=16)
    return transformers.PaliGemmaForConditionalGeneration(config)


TINY: dict[str, Callable[[], Any]] = {
    "vit": tiny_vit,
    "siglip": tiny_siglip,
    "clip": tiny_clip,
    "bert": tiny_bert,
    "llama": tiny_llama,
    "qwen2": tiny_qwen2,
    "gemma": tiny_gemma,
    "idefics3": tiny_idefics3,
    "smolvlm": tiny_smolvlm,
    "llava": tiny_llava,
    "paligemma": tiny_paligemma,
}


def tiny(family: str, seed: int = 0) -> Any:
    """The tiny model of `family` with every parameter random. Raises InputError for an unknown family."""
    if family not in TINY:
        raise InputError(f"no tiny model '{family}'", "family", f"use one of {', '.join(TINY)}")
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = TINY[family]().eval()
        for name, parameter in model.named_parameters():
            centre = (
                1.0 if "norm" in name and name.endswith("weight") and "gemma" not in model.config.model_type else 0.0
            )
            parameter.normal_(centre, 0.3)
    return model
