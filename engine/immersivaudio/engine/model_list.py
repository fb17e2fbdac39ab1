# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the performers and watchers say of themselves, for ModelService and the handshake. Runs in the worker.

A plug-in that rests on weights may define ``load()``, ``unload()``, ``device`` and ``size_bytes``; one that does not
needs no loading.
"""

from __future__ import annotations

import functools
from typing import Any

from immersivaudio.engine import plugins
from immersivaudio.engine.errors import EngineError, NotFoundError, UnavailableError

_KINDS = {"performers": "performer", "watchers": "watcher"}


class NothingToLoadError(UnavailableError):
    """The plug-in rests on no weights."""

    reason = "NOTHING_TO_LOAD"


def answer(do: str, model_id: str = "") -> list[dict[str, Any]]:
    """``models``: every plug-in; ``load`` and ``unload``: that one, afterwards.

    Raises:
        NotFoundError: there is none of that id. UnavailableError: it needs no loading, or is not installed.
    """
    if do == "models":
        return [_described(kind, name) for kind in _KINDS for name in plugins.names(kind)]
    for kind in _KINDS:
        if model_id in plugins.names(kind):
            _move(_held(kind, model_id), do, model_id)
            return [_described(kind, model_id)]
    raise NotFoundError("No performer or watcher has this id.", "List the models to see which there are.")


def _move(plugin: Any, do: str, model_id: str) -> None:
    if not hasattr(plugin, do):
        raise NothingToLoadError(f"{model_id} needs no loading.", "Just use it.")
    lack = plugin.available()
    if lack:
        raise UnavailableError(f"{model_id} is not installed.", lack)
    getattr(plugin, do)()


@functools.cache
def _held(kind: str, name: str) -> Any:
    if kind != "watchers" or plugins.own(kind, name):
        return plugins.create(kind, name)
    # A watcher of another package may do anything: it is asked in a process of its own. Imported here, because the server
    # lists models too and needs no numpy.
    from immersivaudio.engine import guarding

    return guarding.create(name)


def _described(kind: str, name: str) -> dict[str, Any]:
    plain = {"id": name, "kind": _KINDS[kind], "installed": False, "device": "", "licence": "", "commercial": False}
    try:
        plugin = _held(kind, name)
        lack = plugin.available()
    except (EngineError, ImportError, AttributeError) as error:
        return plain | {"size": 0, "hint": f"It cannot be used: {error}."}
    licence = plugin.licence() if kind == "performers" else None
    return plain | {
        "installed": not lack,
        "device": str(getattr(plugin, "device", "") or ""),
        "licence": licence.name if licence else "",
        "commercial": licence.commercial_use if licence else True,
        "size": int(getattr(plugin, "size_bytes", 0) or 0),
        "hint": lack,
        "wish": _wish(plugin),
    }


def _wish(plugin: Any) -> list[float]:
    """Width and frames a second that a picture watcher wants; empty for others."""
    wish = getattr(plugin, "wish", None)
    return [wish.width, wish.rate_hz] if wish is not None else []
