# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the picture shows, by an image classifier: ResNet, ResNeXt, ConvNeXt, ViT, whatever transformers'
``AutoModelForImageClassification`` reads, with ImageNet's classes or any other that have English names.

Class names are looked up among the words of :mod:`immersivaudio.engine.scenery`; classes that name nothing which sounds
are not told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine.models.checkpoints import Checkpoint, Loaded
from immersivaudio.engine.scenery import SIGNS, named
from immersivaudio.engine.watchers import Picture
from immersivaudio.engine.watchers._looking import Looking
from immersivaudio.engine.watchers._naming import Scores

_CHECKPOINT = Checkpoint(
    "images", "classifying pictures", "AutoModelForImageClassification", ("ForImageClassification",)
)


class Images(Looking):
    """The picture watcher."""

    checkpoint = _CHECKPOINT

    def prepare(self, loaded: Loaded) -> None:
        self._hold, self._pictures = loaded, loaded.part("AutoImageProcessor")
        self._tells = telling(loaded.model.config.id2label)

    def scores(self, pictures: Sequence[Picture]) -> Scores:
        import torch

        inputs = self._pictures(images=list(pictures), return_tensors="pt")
        with torch.inference_mode():
            logits = self._hold.model(**self._hold.on_device(inputs)).logits.float()
        several = self._hold.model.config.problem_type == "multi_label_classification"
        shares = logits.sigmoid() if several else logits.softmax(dim=-1)
        return np.minimum(1.0, shares.cpu().numpy() @ self._tells).astype(np.float32)


def telling(labels: Mapping[int, str]) -> NDArray[np.float32]:
    """``[classes, signs]``: 1 where a class's name tells a sign."""
    order = {sign.id: index for index, sign in enumerate(SIGNS)}
    table = np.zeros((len(labels), len(SIGNS)), np.float32)
    for index, label in labels.items():
        for sign in named(str(label)):
            table[int(index), order[sign]] = 1.0
    return table


def create() -> Images:
    return Images()
