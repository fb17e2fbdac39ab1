# SPDX-License-Identifier: AGPL-3.0-or-later
"""Build hook: compiles ``protos/`` into ``build/gen`` and packs the result; generated code is never committed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompileProtos(BuildHookInterface):
    """Runs protoc for every proto below ``protos/`` (an old generator on purpose: see docs/decisions)."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        out = root / "build" / "gen"
        compile_protos(root / "protos", out)
        if version != "editable":
            build_data["force_include"][str(out / "immersivaudio" / "v1")] = "immersivaudio/v1"


def compile_protos(source: Path, out: Path) -> None:
    """Compile every ``*.proto`` below ``source`` to Python, stubs and gRPC classes below ``out``."""
    import grpc_tools
    from grpc_tools import protoc

    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    files = sorted(str(path) for path in source.rglob("*.proto"))
    include = Path(grpc_tools.__file__).parent / "_proto"
    arguments = ["protoc", f"-I{source}", f"-I{include}"]
    arguments += [f"--{kind}_out={out}" for kind in ("python", "pyi", "grpc_python")]
    if protoc.main([*arguments, *files]) != 0:
        raise RuntimeError("protoc could not compile protos/: see its message above")
    (out / "immersivaudio" / "v1" / "__init__.py").write_text("# SPDX-License-Identifier: Apache-2.0\n")
