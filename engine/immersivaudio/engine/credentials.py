# SPDX-License-Identifier: AGPL-3.0-or-later
"""Content credentials (C2PA 2): a signed note inside a delivered file that says what was generated, and by what.

Needs the [credentials] extra and a certificate that the operator names: ``IMMERSIVAUDIO_CREDENTIALS_CERTIFICATE`` (PEM, the
whole chain), ``IMMERSIVAUDIO_CREDENTIALS_KEY`` (PEM, no password) and, to have the moment vouched for,
``IMMERSIVAUDIO_CREDENTIALS_TIME`` (the URL of a time-stamping authority; nobody is asked without it).
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from immersivaudio.engine import plugins
from immersivaudio.engine.cue import Stem
from immersivaudio.engine.errors import EngineError, OutputError, UnavailableError
from immersivaudio.engine.request import Made

_CERTIFICATE, _KEY, _TIME = (f"IMMERSIVAUDIO_CREDENTIALS_{what}" for what in ("CERTIFICATE", "KEY", "TIME"))
_SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_SIGNED = ("video", "mix", "stem", "take")
_FORMATS = {".wav": "audio/wav", ".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime",
            ".m4a": "audio/mp4", ".mp3": "audio/mpeg", ".flac": "audio/flac", ".avi": "video/avi"}  # fmt: skip
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


def check() -> None:
    """Refuse before any work what could not be signed after it.

    Raises:
        UnavailableError: the library, the certificate or its key is missing or of no use.
    """
    _signer().close()


def sign(made: Iterable[Made], rows: Mapping[str, Any], warn: Callable[[str], None]) -> None:
    """Sign every picture and sound of ``made`` in place; ``rows`` are the manifest's. ``warn`` hears what cannot hold it.

    Raises:
        UnavailableError: as of :func:`check`. OutputError: a file could not be signed; it stays as it was.
    """
    c2pa = importlib.import_module("c2pa")
    with contextlib.closing(_signer()) as signer:
        for one in made:
            # The dialogue is what was recorded: nothing of it was made here.
            if one.kind not in _SIGNED or one.stem is Stem.DIALOGUE:
                continue
            if one.path.suffix not in _FORMATS:
                warn(f"{one.name} cannot hold content credentials: choose wav, flac, mp3, m4a, mp4 or mov.")
                continue
            _sign(c2pa, signer, one.path, _told(one, rows))


def source_type(performers: Iterable[str], composed: bool) -> str:
    """IPTC's word for how it came about: by a trained model (``generates``) or not, and whether it is ``composed`` with
    what was recorded."""
    trained = any(_generates(name) for name in set(performers))
    if composed:
        return _SOURCE + ("compositeWithTrainedAlgorithmicMedia" if trained else "compositeSynthetic")
    return _SOURCE + ("trainedAlgorithmicMedia" if trained else "algorithmicMedia")


def _generates(name: str) -> bool:
    known = name in plugins.names("performers")
    return known and bool(getattr(plugins.create("performers", name), "generates", False))


def _told(made: Made, rows: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest that is signed: made by whom, out of what, under which licence."""
    heard = [row for row in rows["cues"] if made.stem is None or row.get("stem") in (None, made.stem.value)]
    kind = source_type((row["performer"] for row in heard), made.kind in ("video", "mix"))
    made_by = {"name": "immersivaudio", "version": rows["engine"]["version"]}
    action = {"action": "c2pa.created", "digitalSourceType": kind, "softwareAgent": made_by}
    provenance = {name: rows[name] for name in ("models", "attribution", "licence")}
    return {
        "claim_generator_info": [made_by],
        "title": made.name,
        "format": _FORMATS[made.path.suffix],
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [action]}},
            {"label": "org.immersivaudio.provenance", "data": provenance},
        ],
    }


def _sign(c2pa: Any, signer: Any, path: Path, told: Mapping[str, Any]) -> None:
    partial = path.with_name(f".{path.stem}.signed{path.suffix}")
    try:
        builder = c2pa.Builder(json.dumps(told))
        with contextlib.closing(builder), path.open("rb") as source, partial.open("w+b") as out:
            builder.sign(signer, _FORMATS[path.suffix], source, out)
        partial.replace(path)
    except (c2pa.C2paError, OSError) as error:
        raise OutputError(
            f"{path.name} could not be signed ({type(error).__name__}).",
            "Look at the certificate and its key, or deliver without credentials.",
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _signer() -> Any:
    if importlib.util.find_spec("c2pa") is None:
        raise UnavailableError(
            "c2pa-python is not installed, and content credentials need it.", "pip install 'immersivaudio[credentials]'"
        )
    c2pa = importlib.import_module("c2pa")
    chain, key = (_named(variable) for variable in (_CERTIFICATE, _KEY))
    try:
        algorithm = getattr(c2pa.C2paSigningAlg, _algorithm(key))
        told = c2pa.C2paSignerInfo(algorithm, chain, key, os.environ.get(_TIME, "").encode() or None)
        return c2pa.Signer.from_info(told)
    except EngineError:
        raise
    except Exception as error:
        raise UnavailableError(
            f"The certificate and key for content credentials do not fit ({type(error).__name__}).",
            f"Look at {_CERTIFICATE} and {_KEY}: PEM, the whole chain, the key without a password.",
        ) from error


def _named(variable: str) -> bytes:
    said = os.environ.get(variable, "").strip()
    if not said:
        raise UnavailableError(
            "Content credentials need a certificate, and none is named.",
            f"Set {_CERTIFICATE} and {_KEY} to PEM files where the engine runs.",
        )
    try:
        return Path(said).expanduser().read_bytes()
    except OSError as error:
        raise UnavailableError(f"{said} cannot be read: {error.strerror}.", f"Look at {variable}.") from error


def _algorithm(key: bytes) -> str:
    """C2PA's name for how this private key signs; ``cryptography`` comes with c2pa-python."""
    serialization = importlib.import_module("cryptography.hazmat.primitives.serialization")
    found = serialization.load_pem_private_key(key, None)
    curve = getattr(getattr(found, "curve", None), "name", "")
    return _CURVES[curve] if curve else "PS256" if hasattr(found, "key_size") else "ED25519"


def read(path: Path) -> dict[str, Any]:
    """What a file's credentials say: the active manifest and ``validation_state``; empty where it holds none.

    Raises:
        UnavailableError: c2pa-python is not installed.
    """
    if importlib.util.find_spec("c2pa") is None:
        raise UnavailableError("c2pa-python is not installed.", "pip install 'immersivaudio[credentials]'")
    c2pa = importlib.import_module("c2pa")
    try:
        with path.open("rb") as stream, contextlib.closing(c2pa.Reader(_FORMATS[path.suffix], stream)) as reader:
            store = json.loads(reader.json())
    except c2pa.C2paError:
        return {}
    found: dict[str, Any] = dict(store["manifests"][store["active_manifest"]])
    return {**found, "validation_state": store.get("validation_state", "")}
