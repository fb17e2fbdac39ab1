# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where it is, what the weather is, what things are made of and what goes on: an image-text model asked for what sounds.

CLIP (Radford et al. 2021, arXiv 2103.00020), SigLIP and SigLIP 2 (Tschannen et al. 2025, arXiv 2502.14786), or any other
that transformers' ``AutoModel`` reads. Pictures are compared with the phrases of :mod:`immersivaudio.engine.scenery`,
group by group, and with phrases that say nothing: the confidence is a share among these, not a measured probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from immersivaudio.engine.models.checkpoints import Checkpoint, Loaded
from immersivaudio.engine.scenery import GROUPS, NOTHING, SIGNS
from immersivaudio.engine.watchers import Picture
from immersivaudio.engine.watchers._looking import Looking
from immersivaudio.engine.watchers._naming import Scores

_CHECKPOINT = Checkpoint(
    "scene",
    "telling the scene from the picture",
    "AutoModel",
    ("CLIPModel", "SiglipModel", "Siglip2Model", "AlignModel"),
)


class Scene(Looking):
    """The picture watcher."""

    checkpoint = _CHECKPOINT

    def prepare(self, loaded: Loaded) -> None:
        """The phrases are read once; pictures are then compared with the same numbers."""
        self._model, self._pictures = loaded.model, loaded.part("AutoImageProcessor")
        self._hold = loaded
        self._phrases = self._read([f"a photo of {sign.phrase}" for sign in SIGNS] + list(NOTHING))
        scale, bias = (getattr(loaded.model, name, None) for name in ("logit_scale", "logit_bias"))
        self._scale = float(scale.detach().exp()) if scale is not None else 1.0
        self._bias = float(bias.detach()) if bias is not None else 0.0

    def _read(self, phrases: Sequence[str]) -> Any:
        """``[phrases, dimensions]``, each of length 1."""
        import torch

        tokenizer = self._hold.part("AutoTokenizer")
        longest = int(self._model.config.text_config.max_position_embeddings)
        # SigLIP was trained on texts filled up to their full length, CLIP does not mind.
        filled = "max_length" if self._model.config.model_type.startswith("siglip") else True
        tokens = tokenizer(list(phrases), padding=filled, max_length=longest, truncation=True, return_tensors="pt")
        with torch.inference_mode():
            return _unit(self._model.get_text_features(**self._hold.on_device(tokens)))

    def logits(self, pictures: Sequence[Picture]) -> Any:
        """``[pictures, signs and then the phrases that say nothing]`` as the model itself would give them."""
        import torch

        inputs = self._pictures(images=list(pictures), return_tensors="pt")
        with torch.inference_mode():
            features = _unit(self._model.get_image_features(**self._hold.on_device(inputs)))
            return (features @ self._phrases.T).float() * self._scale + self._bias

    def scores(self, pictures: Sequence[Picture]) -> Scores:
        return shared(self.logits(pictures).cpu().numpy())


def _unit(features: Any) -> Any:
    features = getattr(features, "pooler_output", features)
    return features / features.norm(dim=-1, keepdim=True)


def shared(logits: Scores) -> Scores:
    """Shares, float32 ``[pictures, signs]``: within its group each sign competes with the others and with nothing."""
    nothing = logits[:, len(SIGNS) :]
    out = np.zeros((len(logits), len(SIGNS)), np.float32)
    for group in GROUPS:
        members = [index for index, sign in enumerate(SIGNS) if sign.group == group]
        rows = np.concatenate([logits[:, members], nothing], axis=1)
        rows = np.exp(rows - rows.max(axis=1, keepdims=True))
        out[:, members] = (rows / rows.sum(axis=1, keepdims=True))[:, : len(members)]
    return out


def create() -> Scene:
    return Scene()
