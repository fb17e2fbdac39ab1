# SPDX-License-Identifier: AGPL-3.0-or-later
"""LitServe holding a plain pipeline of diffusers, as its users write it: ``python _litserve_plain.py MODEL FOLDER PORT``.
Requests that come within 20 ms go into one call, at most eight, as long as the longest of them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import litserve

sys.path.insert(0, str(Path(__file__).parent))
import neural


class Plain(litserve.LitAPI):  # type: ignore[misc]
    """``held``: the model's name and the folder of its weights."""

    held: tuple[str, str]

    def setup(self, device: str) -> None:
        # The very device: LitServe may count them otherwise than the engine would choose.
        os.environ["IMMERSIVAUDIO_DEVICE"] = device
        neural.one_thread_on_the_cpu()
        self.plain = neural.Plain(self.held[0], neural.held(self.held[0], Path(self.held[1]))[1])

    def decode_request(self, request):  # type: ignore[no-untyped-def]
        # LitServe reads this annotation: with one it would look for the request among the query's words.
        return neural.Job(request["prompt"], request["seconds"], request["seed"])

    def batch(self, inputs: Any) -> Any:
        return inputs

    def predict(self, jobs: Any) -> Any:
        return [one.shape for one in self.plain.jobs(jobs)]

    def unbatch(self, output: Any) -> Any:
        return output

    def encode_response(self, output: Any) -> Any:
        return {"shape": list(output)}


if __name__ == "__main__":
    api = Plain(max_batch_size=8, batch_timeout=0.02)
    api.held = (sys.argv[1], sys.argv[2])
    kind, _, index = neural.one_thread_on_the_cpu().partition(":")
    server = litserve.LitServer(api, accelerator=kind, devices=[int(index or 0)], timeout=600)
    server.run(host="127.0.0.1", port=int(sys.argv[3]), generate_client_file=False, log_level="error")
