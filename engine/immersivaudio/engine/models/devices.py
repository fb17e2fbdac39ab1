# SPDX-License-Identifier: AGPL-3.0-or-later
"""On what a model runs, in which precision, and how it fails for want of memory. torch is imported inside."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from immersivaudio.engine.errors import RequestError


@dataclass(frozen=True, slots=True)
class Device:
    """``name`` as torch says it (``cuda:0``, ``mps``, ``cpu``), ``dtype`` a torch dtype's name for the large parts."""

    name: str
    dtype: str


CPU = Device("cpu", "float32")


def missing(libraries: tuple[str, ...]) -> str:
    """Empty, or one sentence that says which libraries are not installed. Imports none of them."""
    absent = [name for name in libraries if importlib.util.find_spec(name) is None]
    if not absent:
        return ""
    verb = "is" if len(absent) == 1 else "are"
    return f"{', '.join(absent)} {verb} not installed: pip install 'immersivaudio[models]'."


def choose() -> Device:
    """The best device here: CUDA in bfloat16 (float16 where it lacks that), Apple's GPU and the CPU in float32.

    float16 is noise on Apple's GPU with several of these models. ``IMMERSIVAUDIO_DEVICE`` overrides the device.

    Raises:
        RequestError: IMMERSIVAUDIO_DEVICE names a device that is not here.
    """
    import torch

    name = os.environ.get("IMMERSIVAUDIO_DEVICE", "") or _best(torch)
    kind = name.partition(":")[0]
    here = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not here.get(kind, False):
        raise RequestError(f"There is no device {name} here.", "Set IMMERSIVAUDIO_DEVICE to cpu, cuda:0 or mps.")
    if kind == "cuda":
        return Device(name, "bfloat16" if torch.cuda.is_bf16_supported() else "float16")
    return Device(name, "float32")


def _best(torch: Any) -> str:
    if torch.cuda.is_available():
        return "cuda:0"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def memory_bytes(device: Device) -> int:
    """The memory of a device; of the machine where the device shares it."""
    if device.name.startswith("cuda"):
        import torch

        return int(torch.cuda.get_device_properties(device.name).total_memory)
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        # Windows has no sysconf: what a small machine has.
        return 8 << 30


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of a model means that memory ran out (CUDA's own type; a sentence on the others)."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and ("out of memory" in text or "not enough memory" in text)


def release(device: Device) -> None:
    """Give cached memory back to the device."""
    import torch

    if device.name.startswith("cuda"):
        torch.cuda.empty_cache()
    elif device.name.startswith("mps"):
        torch.mps.empty_cache()


def placed(pipe: Any, device: Device, exact: tuple[str, ...]) -> Any:
    """A diffusers pipeline on ``device`` in its precision, the components of ``exact`` in float32."""
    import torch

    pipe.to(device.name, getattr(torch, device.dtype))
    for name in exact:
        getattr(pipe, name).to(torch.float32)
    return pipe


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the libraries' progress bars and hints on the terminal; what is wrong comes as an exception anyway."""
    import diffusers
    import transformers

    logs = (diffusers.utils.logging, transformers.utils.logging)
    before = [log.get_verbosity() for log in logs]
    for log in logs:
        log.set_verbosity_error()
        log.disable_progress_bar()
    try:
        yield
    finally:
        for log, verbosity in zip(logs, before, strict=True):
            log.set_verbosity(verbosity)
            log.enable_progress_bar()
