# SPDX-License-Identifier: AGPL-3.0-or-later
"""Step-level scheduling: requests for one model join and leave between denoising steps.

Every request keeps its own solver, noise and place in the schedule; only the denoiser's forward pass is shared. What can
share a pass has the same ``key`` (shapes of window and conditioning, guided or not). A request longer than the model's
window is denoised as a whole: each step predicts on overlapping windows and blends the predictions there (MultiDiffusion,
Bar-Tal et al. 2023, arXiv 2302.08113), so that no seam is left to close afterwards. torch is imported inside.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from immersivaudio.engine.errors import CancelledError
from immersivaudio.engine.models import devices

Told = Mapping[str, Any]
Denoise = Callable[[Any, Any, Told], Any]
_TURN = count()


@dataclass(frozen=True, slots=True)
class Spans:
    """Where the windows of a latent lie along ``axis``: starts, and the one length of all."""

    starts: tuple[int, ...]
    length: int
    axis: int

    @classmethod
    def cover(cls, whole: int, longest: int, overlap: int, axis: int) -> Spans:
        """Windows of at most ``longest`` that overlap by at least ``overlap`` and cover ``whole`` exactly."""
        if whole <= longest:
            return cls((0,), whole, axis)
        steps = -(-(whole - longest) // (longest - overlap))
        return cls(tuple(round(index * (whole - longest) / steps) for index in range(steps + 1)), longest, axis)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. ``start`` ``[1, ...]`` float32 is where denoising begins, ``solver`` its own diffusers scheduler with
    ``timesteps`` set; those from ``first`` on are done. ``told`` is the conditioning, each ``[1, ...]``; ``untold`` that of
    the other half of guidance, or None. ``seeded`` draws the noise of solvers that need more."""

    start: Any
    solver: Any
    told: Told
    untold: Told | None = None
    guidance: float = 1.0
    spans: Spans | None = None
    first: int = 0
    seeded: Any = None
    cancelled: Callable[[], bool] = lambda: False

    def obeying(self, cancelled: Callable[[], bool]) -> Ask:
        """The same request, stopped by ``cancelled``."""
        return replace(self, cancelled=cancelled)

    @property
    def key(self) -> tuple[Any, ...]:
        """What requests must share to share a pass."""
        shapes = tuple((name, tuple(value.shape[1:]), value.dtype) for name, value in sorted(self.told.items()))
        window = self.spans.length if self.spans else 0
        rest = [size for axis, size in enumerate(self.start.shape) if not self.spans or axis != self.spans.axis]
        return window, tuple(rest), shapes, self.untold is not None


@dataclass(eq=False, slots=True)
class _Going:
    """A request on its way."""

    ask: Ask
    latents: Any
    step: int
    turn: int = field(default_factory=_TURN.__next__)
    done: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None

    @property
    def rows(self) -> int:
        return len(self.ask.spans.starts if self.ask.spans else (0,)) * (2 if self.ask.untold is not None else 1)

    def end(self, error: BaseException | None = None) -> None:
        self.error = error
        self.done.set()


class Batcher:
    """Runs requests of one denoiser. ``denoise(latents [B, ...], timesteps [B], told)`` predicts for a whole batch.

    A thread of its own steps while there is work. ``largest`` rows go into one pass; memory that runs out halves it.
    """

    def __init__(self, denoise: Denoise, device: str, dtype: Any, largest: int = 16) -> None:
        self._denoise, self._device, self._dtype = denoise, device, dtype
        self.largest = largest
        self.passes = 0
        self._going: list[_Going] = []
        self._lock = threading.Lock()
        self._running = False

    def run(self, ask: Ask) -> Any:
        """The denoised latents ``[1, ...]`` float32; blocks until they are there.

        Raises:
            CancelledError: within a step of ``ask.cancelled()`` becoming true. What the model raised, else.
        """
        return self.run_all([ask])[0]

    def run_all(self, asks: Sequence[Ask]) -> list[Any]:
        """The same for several that belong together; the first that fails is what is raised."""
        going = [_Going(ask, ask.start.to(self._device), ask.first) for ask in asks]
        with self._lock:
            self._going += going
            if not self._running:
                self._running = True
                threading.Thread(target=self._serve, name="denoising", daemon=True).start()
        for one in going:
            one.done.wait()
        for one in going:
            if one.error is not None:
                raise one.error
        return [one.latents for one in going]

    def _serve(self) -> None:
        while group := self._next():
            try:
                self._step(group)
            except BaseException as error:
                self._fail(group, error)

    def _next(self) -> list[_Going]:
        """Who takes the next step: the oldest request, and whoever can share its pass; nobody: the thread ends."""
        with self._lock:
            for going in self._going:
                if not going.done.is_set() and going.ask.cancelled():
                    going.end(CancelledError("Cancelled."))
            self._going = [going for going in self._going if not going.done.is_set()]
            if not self._going:
                self._running = False
                return []
            oldest = min(self._going, key=lambda going: going.turn)
            group, rows = [oldest], oldest.rows
            for going in self._going:
                if going is not oldest and going.ask.key == oldest.ask.key and rows + going.rows <= self.largest:
                    group.append(going)
                    rows += going.rows
            return group

    def _fail(self, group: Sequence[_Going], error: BaseException) -> None:
        """Memory that ran out is tried again with fewer rows; nothing of a step that failed is kept."""
        rows = sum(going.rows for going in group)
        if devices.is_out_of_memory(error) and min(rows, self.largest) > 1:
            self.largest = min(rows, self.largest) // 2
            return
        for going in group:
            going.end(error)

    def _step(self, group: Sequence[_Going]) -> None:
        import torch

        with torch.inference_mode():
            predicted = self._predict(group)
            for going, prediction in zip(group, predicted, strict=True):
                _advance(going, prediction)

    def _predict(self, group: Sequence[_Going]) -> list[Any]:
        """One prediction a request, its windows blended and its guidance applied."""
        import torch

        rows = [row for going in group for row in _rows(going)]
        parts = []
        for first in range(0, len(rows), self.largest):
            some = rows[first : first + self.largest]
            latents = torch.cat([row[0] for row in some]).to(self._dtype)
            times = torch.stack([row[1] for row in some])
            told = {name: torch.cat([row[2][name] for row in some]) for name in some[0][2]}
            parts.append(self._denoise(latents, times, told).to(torch.float32))
            self.passes += 1
        return _gathered(group, torch.cat(parts))


def _rows(going: _Going) -> list[tuple[Any, Any, Told]]:
    """What the denoiser sees of a request: each window, without the prompt first where it is guided."""
    ask, time = going.ask, going.ask.solver.timesteps[going.step]
    scaled = (
        ask.solver.scale_model_input(going.latents, time) if hasattr(ask.solver, "scale_model_input") else going.latents
    )
    views = [scaled]
    if ask.spans is not None:
        views = [scaled.narrow(ask.spans.axis, start, ask.spans.length) for start in ask.spans.starts]
    halves = (ask.told,) if ask.untold is None else (ask.untold, ask.told)
    return [(view, time, told) for told in halves for view in views]


def _gathered(group: Sequence[_Going], predictions: Any) -> list[Any]:
    found, at = [], 0
    for going in group:
        mine = predictions[at : at + going.rows]
        at += going.rows
        if going.ask.untold is not None:
            without, with_prompt = mine.chunk(2)
            mine = without + going.ask.guidance * (with_prompt - without)
        found.append(_blended(mine, going))
    return found


def _blended(windows: Any, going: _Going) -> Any:
    """``[windows, ...]`` laid over one another by triangular weights that add up to one: ``[1, ...]``."""
    import torch

    spans = going.ask.spans
    if spans is None or len(spans.starts) == 1:
        return windows
    shape = [1] * going.latents.ndim
    shape[spans.axis] = spans.length
    ramp = torch.arange(1, spans.length + 1, device=windows.device, dtype=windows.dtype)
    weight = torch.minimum(ramp, ramp.flip(0)).reshape(shape)
    whole, heaviness = torch.zeros_like(going.latents), torch.zeros_like(going.latents)
    for window, start in zip(windows.split(1), spans.starts, strict=True):
        whole.narrow(spans.axis, start, spans.length).add_(window * weight)
        heaviness.narrow(spans.axis, start, spans.length).add_(weight)
    return whole / heaviness


def _advance(going: _Going, prediction: Any) -> None:
    ask = going.ask
    drawn = {"generator": ask.seeded} if ask.seeded is not None else {}
    time = ask.solver.timesteps[going.step]
    going.latents = ask.solver.step(prediction, time, going.latents, **drawn).prev_sample
    going.step += 1
    if going.step >= len(ask.solver.timesteps):
        going.end()
