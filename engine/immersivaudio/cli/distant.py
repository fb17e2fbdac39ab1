# SPDX-License-Identifier: AGPL-3.0-or-later
"""An engine on another machine: small proxies go there, and the sound that comes back is laid under the original here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from immersivaudio.bridge.process import sees_our_files
from immersivaudio.cli.outputs import Plan

SENDING = ("auto", "proxies", "originals")


def is_local(address: str) -> bool:
    """Whether an engine at ``address`` sees the files that we see; none is an engine of this call's own."""
    return not address or sees_our_files(address)


def by_path(address: str, send: str) -> bool:
    """Whether media are named by their paths."""
    return send == "auto" and is_local(address)


def by_proxy(address: str, send: str) -> bool:
    """Whether proxies travel in the place of media."""
    return send == "proxies" or (send == "auto" and not is_local(address))


def proxy(client: Any, path: Path, show: Callable[[str, float], None]) -> Path:
    """A proxy of ``path`` as the engine of ``client`` wants it; ``show`` hears what takes so long."""
    from immersivaudio.bridge.proxy import proxy_of
    from immersivaudio.v1 import effect_pb2

    width = client.proxy_width(effect_pb2.EffectInstance(effect_id="soundtrack"))
    return proxy_of(path, width=width, told=lambda done: show(f"making a small copy of {path.name} ({done:.0%})", 0.0))


def ask_for_sound(spec: Any) -> None:
    """A proxy's picture is of no use in a result: ask for the mix alone, uncompressed."""
    outputs = ["audio" if output == "video" else output for output in spec.delivery.outputs]
    spec.delivery.outputs[:] = outputs
    spec.delivery.container, spec.delivery.audio_codec = "wav", ""


def under_picture(
    source: Path, folder: Path, made: list[tuple[str, str]], goal: Plan, codec: str
) -> list[tuple[str, str]]:
    """Lay the mix that came back under the picture of ``source``, bit for bit, in ``folder``; the names and kinds that
    are there then.

    Raises:
        MediaError, OutputError, RequestError: as ``media.mux``.
    """
    from immersivaudio.engine import media

    mix = next(name for name, kind in made if kind == "mix")
    video = f"{source.stem}.scored{goal.main.suffix}"
    media.mux(source, folder / mix, folder / video, audio_codec=codec)
    (folder / mix).unlink()
    return [*(one for one in made if one[1] != "mix"), (video, "video")]


def as_otio(timeline: Path) -> str:
    """A timeline of any kind as OTIO JSON, for an engine that does not see the file."""
    from immersivaudio.engine import importers
    from immersivaudio.engine.importers.warnings import Grumbles

    return str(importers.read(timeline, Grumbles()).timeline.to_json_string())
