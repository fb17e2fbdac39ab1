# SPDX-License-Identifier: AGPL-3.0-or-later
"""Finding plug-ins by file name, without importing them: a new model is one file, or another package's entry point."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from immersivaudio.engine.errors import NotFoundError


def names(kind: str) -> tuple[str, ...]:
    """Names of every plug-in of ``kind`` (``watchers`` or ``performers``), own files first; imports none of them."""
    folder = Path(__file__).with_name(kind)
    own = sorted(module.name for module in pkgutil.iter_modules([str(folder)]) if not module.name.startswith("_"))
    foreign = sorted(point.name for point in entry_points(group=f"immersivaudio.{kind}"))
    return (*own, *(name for name in foreign if name not in own))


def own(kind: str, name: str) -> bool:
    """Whether the plug-in is one of this package's own files."""
    return (Path(__file__).with_name(kind) / f"{name}.py").is_file()


def create(kind: str, name: str) -> Any:
    """A new plug-in object, made by its module's ``create()``.

    Raises:
        NotFoundError: no plug-in of that name is installed.
    """
    return _factory(kind, name)()


def _factory(kind: str, name: str) -> Callable[[], Any]:
    if own(kind, name):
        module = importlib.import_module(f"immersivaudio.engine.{kind}.{name}")
        return module.create  # type: ignore[no-any-return]
    for point in entry_points(group=f"immersivaudio.{kind}", name=name):
        return point.load()  # type: ignore[no-any-return]
    known = ", ".join(names(kind))
    raise NotFoundError(f"No {kind[:-1]} is called {name}.", f"Choose one of: {known}.")
