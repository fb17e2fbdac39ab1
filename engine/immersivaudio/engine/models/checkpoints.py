# SPDX-License-Identifier: AGPL-3.0-or-later
"""Checkpoints of transformers that the operator names: one model in a folder, safetensors only, without code.

Named as :mod:`immersivaudio.engine.models.store` says: ``IMMERSIVAUDIO_<NAME>`` (a folder, or a hub id with ``@`` and a
commit), else ``<home>/models/<name>``. There is no default: nothing watches with a model that nobody chose.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from immersivaudio.engine.errors import EngineError, UnavailableError
from immersivaudio.engine.models import devices, store, weights
from immersivaudio.engine.models.store import Place
from immersivaudio.engine.models.weights import Weights

NAMES = ("scene", "images", "caption", "speech", "sentiment", "emotion", "llm")
"""What the operator may name a checkpoint for."""
_PICTURES = ("preprocessor_config.json", "processor_config.json")
_WORDS = ("tokenizer.json", "vocab.json", "vocab.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
_NEEDED = {
    "AutoTokenizer": _WORDS,
    "AutoImageProcessor": _PICTURES,
    "AutoFeatureExtractor": _PICTURES,
    "AutoProcessor": _PICTURES,
}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a plug-in needs: its ``name``, what it is for in a few words, the ``model`` class of transformers that reads
    it, and what its architectures' names end with."""

    name: str
    purpose: str
    model: str
    endings: tuple[str, ...]

    @property
    def variable(self) -> str:
        return f"IMMERSIVAUDIO_{self.name.upper()}"

    @property
    def named(self) -> bool:
        """Whether the operator named any weights."""
        return bool(store.wish(self.name)) or (store.home() / "models" / self.name).is_dir()

    def lacks(self) -> str:
        """One sentence about what is missing, empty when nothing is. Loads nothing."""
        if absent := devices.missing(("torch", "transformers", "safetensors")):
            return absent
        try:
            self.place()
        except EngineError as error:
            wanted = store.online() and "@" in store.wish(self.name)
            return "" if wanted else f"{error.message} {error.hint}"
        return ""

    def place(self) -> Place:
        """Where the weights are.

        Raises:
            UnavailableError: nobody named them, or they are not on this machine.
        """
        if not self.named:
            raise UnavailableError(
                f"No weights are named for {self.purpose}.",
                f"Set {self.variable} to a folder, or to a hub id with @ and a commit.",
            )
        return store.locate(self.name, self._named())

    def _named(self) -> Weights:
        hub_id = store.wish(self.name).partition("@")[0]
        return weights.known(hub_id) or Weights(hub_id, self.name, "unknown", False, "")

    def version(self) -> str:
        """Names the weights, for what is kept; empty where there are none."""
        try:
            return store.fingerprint(self.place())
        except EngineError:
            return ""

    def size_bytes(self) -> int:
        """Bytes of the weights on disk; 0 where there are none."""
        try:
            return store.size_bytes(self.place())
        except EngineError:
            return 0

    def load(self) -> Loaded:
        """Find, check and load the model, in inference mode, on the device that is best here.

        Raises:
            UnavailableError: libraries or weights are missing, refused, or cannot be loaded.
        """
        if absent := devices.missing(("torch", "transformers", "safetensors")):
            raise UnavailableError(absent)
        self._fetch()
        place = self.place()
        hint = f"Name one that transformers' {self.model} reads."
        store.check_model(place.folder, lambda kind: kind.endswith(self.endings), self.purpose, hint)
        return self._held(place)

    def _fetch(self) -> None:
        wish = store.wish(self.name)
        if store.online() and "@" in wish:
            store.fetch(self.name, self._named())

    def _held(self, place: Place) -> Loaded:
        torch, transformers = importlib.import_module("torch"), importlib.import_module("transformers")
        device = devices.choose()
        safe = {"local_files_only": True, "trust_remote_code": False}
        with _quietly(transformers):
            try:
                model = getattr(transformers, self.model).from_pretrained(
                    place.folder, use_safetensors=True, dtype=getattr(torch, device.dtype), **safe
                )
                model = model.to(device.name).eval()
            except Exception as error:
                raise _unloadable(self.name, place, error) from error
        return Loaded(self.name, place, model, device)


def _unloadable(name: str, place: Place, error: Exception) -> UnavailableError:
    if devices.is_out_of_memory(error):
        return UnavailableError(f"{name} needs more memory than is free here.", "Set IMMERSIVAUDIO_DEVICE=cpu.")
    return UnavailableError(
        f"The weights of {name} in {place.folder} cannot be loaded ({type(error).__name__}).",
        "Fetch them again, whole.",
    )


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model on its device."""

    name: str
    place: Place
    model: Any
    device: devices.Device

    def part(self, kind: str) -> Any:
        """What prepares its input, from the same folder: ``AutoProcessor``, ``AutoTokenizer``, ``AutoImageProcessor``, ...

        Raises:
            UnavailableError: it is missing or cannot be read.
        """
        transformers = importlib.import_module("transformers")
        if not any((self.place.folder / file).is_file() for file in _NEEDED.get(kind, ("config.json",))):
            # transformers would make an empty one instead of saying so.
            raise store.refused(f"there is none of {', '.join(_NEEDED[kind])}", "Fetch them again, whole.")
        with _quietly(transformers):
            try:
                return getattr(transformers, kind).from_pretrained(
                    self.place.folder, local_files_only=True, trust_remote_code=False
                )
            except Exception as error:
                raise _unloadable(self.name, self.place, error) from error

    def on_the_cpu(self) -> Loaded:
        """The same model moved there, in float32; the memory that it had goes back to its device."""
        import torch

        moved = replace(self, model=self.model.to(devices.CPU.name, torch.float32), device=devices.CPU)
        devices.release(self.device)
        return moved

    def on_device(self, inputs: Any) -> dict[str, Any]:
        """Tensors moved to the model's device, floating ones in its dtype."""
        dtype = next(self.model.parameters()).dtype
        return {
            name: value.to(self.device.name, dtype) if value.is_floating_point() else value.to(self.device.name)
            for name, value in inputs.items()
        }


@contextlib.contextmanager
def _quietly(transformers: Any) -> Iterator[None]:
    """Without progress bars and hints of transformers on the terminal; what is wrong comes as an exception anyway."""
    log = transformers.utils.logging
    before = log.get_verbosity()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(before)
        log.enable_progress_bar()
