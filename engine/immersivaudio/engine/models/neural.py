# SPDX-License-Identifier: AGPL-3.0-or-later
"""What every performer that rests on weights does alike: find them, hold them, survive a full device, check what came.

A performer says which :class:`Kind` of weights it takes and how its model makes sound; torch is imported inside.
"""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from immersivaudio.engine.cue import Cue, Licence, ParamValue
from immersivaudio.engine.errors import EngineError, RequestError, UnavailableError
from immersivaudio.engine.models import devices, holding, shaping, store, weights
from immersivaudio.engine.models.holding import Holding, Wanted
from immersivaudio.engine.models.shaping import Wave
from immersivaudio.engine.models.suiting import Fitness
from immersivaudio.engine.performers import Block, Brief

_LIBRARIES = ("torch", "diffusers", "transformers", "accelerate", "safetensors")


@dataclass(frozen=True, slots=True)
class Kind:
    """A family of weights: the performer's ``name``, the ``revision`` of its own code, the components that must be
    there with the class names that each may have, and what it suits. ``single``: one model in the folder, not a
    pipeline's parts."""

    name: str
    revision: str
    classes: Mapping[str, tuple[str, ...]]
    fitness: Fitness
    single: bool = False

    @property
    def default(self) -> weights.Weights:
        """The set of weights that it is best known by."""
        return next(known for known in weights.KNOWN if known.performer == self.name)

    def check(self, place: store.Place) -> None:
        """Refuse weights that are not of this kind, whole and safe: see :func:`store.check`."""
        if self.single:
            hint = "Use the weights that this performer is made for."
            store.check_model(place.folder, self.classes["model"].__contains__, self.name, hint)
        else:
            store.check(place, self.classes)


class NeuralPerformer(abc.ABC):
    """A :class:`immersivaudio.engine.performers.Performer` that generates. ``together`` is how many cues it does at once
    with profit: 1 where they would wait for one another."""

    kind: Kind
    generates = True
    together = 1

    def __init__(self, held: Holding | None = None) -> None:
        self._holding = held or holding.shared()

    @property
    def name(self) -> str:
        return self.kind.name

    @property
    def version(self) -> str:
        """Changes with the weights."""
        try:
            return f"{self.kind.revision}+{store.fingerprint(self._place())}"
        except EngineError:
            return self.kind.revision

    def licence(self) -> Licence:
        try:
            return self._place().weights.as_licence()
        except EngineError:
            return self.kind.default.as_licence()

    def available(self) -> str:
        if absent := devices.missing(_LIBRARIES):
            return absent
        try:
            self._place()
        except EngineError as error:
            return "" if store.online() else f"{error.message} {error.hint}"
        return ""

    def fitness(self, cue: Cue) -> float:
        """See :meth:`Performer.fitness`."""
        return self.kind.fitness.of(cue)

    @abc.abstractmethod
    def hold(self, place: store.Place, device: devices.Device) -> Any:
        """The model on the device; its ``warm()`` generates a little and gives the sound ``[channels, n]``."""

    def generate(self, model: Any, brief: Brief) -> tuple[Wave, int]:
        """The cue's sound ``[channels, n]`` in the model's own rate, and that rate."""
        return model.sound(brief), model.rate_hz

    def shape(self, wave: Wave, rate_hz: int, brief: Brief) -> Iterator[Block]:
        """From the model's sound to the take's blocks; struck cues have their attacks laid."""
        make = shaping.struck if shaping.is_struck(brief.cue) else shaping.sustained
        return make(wave, rate_hz, brief)

    @property
    def device(self) -> str:
        """Where the weights are now; empty when they are on disk only."""
        model = self._holding.model(self.name)
        return model.device.name if model is not None else ""

    @property
    def size_bytes(self) -> int:
        """Bytes of the weights on disk; 0 where there are none."""
        try:
            return store.size_bytes(self._place())
        except EngineError:
            return 0

    def setup(self) -> None:
        """Check the weights, bring them to the device and warm them up; nothing to do where they are there already.

        Raises:
            UnavailableError: libraries or weights are missing, or the weights are refused.
        """
        if absent := devices.missing(_LIBRARIES):
            raise UnavailableError(absent)
        with self._holding.lend(self._wanted(lambda: False)):
            pass

    def load(self) -> None:
        """As ``setup``, and stay until ``unload``."""
        self.setup()
        self._holding.pin(self.name)

    def unload(self) -> None:
        """Give the device's memory back; the next cue loads again."""
        self._holding.drop(self.name)

    def perform(self, brief: Brief) -> Iterator[Block]:
        """See :meth:`Performer.perform`."""
        if brief.samples <= 0:
            return
        shaping.obey(brief)
        wave, rate_hz = self._survive(brief)
        shaping.refuse_broken(wave, self.name)
        yield from self.shape(shaping.centred(wave, rate_hz), rate_hz, brief)

    def _place(self) -> store.Place:
        return store.locate(self.kind.name, self.kind.default)

    def _wanted(self, cancelled: Callable[[], bool], device: devices.Device | None = None) -> Wanted:
        name = self.name if device is None else f"{self.name} on the CPU"
        return Wanted(name, lambda: self._ready(device), self._room_bytes(device), cancelled)

    def _room_bytes(self, device: devices.Device | None) -> int:
        """About what the weights will take: half of float32 in bfloat16. Counted exactly once they are there."""
        halved = (device or devices.choose()).dtype != "float32"
        return self.size_bytes // (2 if halved else 1)

    def _ready(self, device: devices.Device | None) -> Any:
        store.fetch(self.kind.name, self.kind.default)
        place = self._place()
        self.kind.check(place)
        model = self._held(place, device or devices.choose())
        warmed = model.warm()
        if not shaping.is_finite(warmed) and model.device.dtype != "float32":
            # A precision that is noise with this model on this device.
            model = self._held(place, devices.Device(model.device.name, "float32"))
            model.warm()
        return model

    def _held(self, place: store.Place, device: devices.Device) -> Any:
        try:
            with devices.quiet():
                return self.hold(place, device)
        except EngineError:
            raise
        except Exception as error:
            if devices.is_out_of_memory(error):
                raise
            raise UnavailableError(
                f"The weights of {self.name} in {place.folder} cannot be loaded ({type(error).__name__}).",
                "Fetch them again, whole.",
            ) from error

    def _survive(self, brief: Brief) -> tuple[Wave, int]:
        """The cue's sound; where memory runs out the other models leave, then the CPU does it, then it is said."""
        try:
            return self._lent(brief)
        except Exception as error:
            if not devices.is_out_of_memory(error):
                raise
        if self._holding.drop_others(self.name):
            try:
                return self._lent(brief)
            except Exception as error:
                if not devices.is_out_of_memory(error):
                    raise
        if devices.choose().name == "cpu":
            raise holding.no_memory(self.name)
        self._holding.drop(self.name)
        return self._lent(brief, devices.CPU)

    def _lent(self, brief: Brief, device: devices.Device | None = None) -> tuple[Wave, int]:
        try:
            with self._holding.lend(self._wanted(brief.cancelled, device)) as model:
                return self.generate(model, brief)
        except Exception as error:
            if device is not None and devices.is_out_of_memory(error):
                raise holding.no_memory(self.name) from error
            raise


def number(params: Mapping[str, ParamValue], name: str, default: float, low: float, high: float) -> float:
    """A param of the cue within its range.

    Raises:
        RequestError: it is no number of that range.
    """
    value = params.get(name, default)
    if not isinstance(value, float | int) or not low <= value <= high:
        raise RequestError(f"{name} cannot be {value!r}.", f"Choose {name} from {low:g} to {high:g}.")
    return float(value)


def seeded(seed: int) -> Any:
    """A generator on the CPU, so that a seed sounds alike on every device."""
    import torch

    return torch.Generator("cpu").manual_seed(seed & 0x7FFF_FFFF_FFFF_FFFF)


@contextlib.contextmanager
def noise_of(device: devices.Device, seed: int) -> Iterator[None]:
    """What draws from torch's own noise: seeded here, and given back as it was. One at a time."""
    import torch

    cuda = [device.name] if device.name.startswith("cuda") else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed & 0x7FFF_FFFF_FFFF_FFFF)
        yield
