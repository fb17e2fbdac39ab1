# SPDX-License-Identifier: Apache-2.0
"""What can go wrong between an editor and the engine, and the one table gRPC status -> error. Imports no gRPC.

BridgeError
├── EngineGoneError      the engine cannot be reached, or did not answer in time
├── RefusedError         the request makes no sense; ``fields`` say where
├── NotThereError        a job, blob or model that is not there
├── NotAllowedError      no token, or a path outside the allowed folders
├── BusyError            the queue or the disk is full; ``retry_after_s`` says when to try again
├── UnsupportedError     the engine cannot do that
├── StoppedError         somebody cancelled it
├── JobFailedError       the job ended with an error
├── TransferError        bytes that arrived are not those that were announced
└── EngineBrokeError     the engine broke
"""

from __future__ import annotations

from collections.abc import Mapping

from google.rpc import error_details_pb2, status_pb2


class BridgeError(Exception):
    """An error that a person reads: ``message`` says what is wrong, ``hint`` what to try.

    ``reason`` is stable and names the engine's own error where there is one. ``fields`` maps fields of the request to
    what is wrong with them. ``retry_after_s`` is 0 when the engine says nothing about trying again.
    """

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        reason: str = "",
        fields: Mapping[str, str] | None = None,
        retry_after_s: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.message, self.hint, self.reason = message, hint, reason
        self.fields = dict(fields or {})
        self.retry_after_s = retry_after_s


class EngineGoneError(BridgeError, ConnectionError):
    """The engine cannot be reached, or did not answer in time."""


class RefusedError(BridgeError, ValueError):
    """The request makes no sense to the engine."""


class NotThereError(BridgeError, LookupError):
    """A job, blob or model that is not there."""


class NotAllowedError(BridgeError, PermissionError):
    """No token, or a path outside the allowed folders."""


class BusyError(BridgeError):
    """The engine's queue or disk is full."""


class UnsupportedError(BridgeError):
    """The engine cannot do that."""


class StoppedError(BridgeError):
    """Somebody cancelled it."""


class JobFailedError(BridgeError):
    """The job ended with an error."""


class TransferError(BridgeError, OSError):
    """Bytes that arrived are not those that were announced, or cannot be written."""


class EngineBrokeError(BridgeError, RuntimeError):
    """The engine broke."""


_BY_CODE: dict[str, type[BridgeError]] = {
    "CANCELLED": StoppedError,
    "UNKNOWN": EngineBrokeError,
    "INVALID_ARGUMENT": RefusedError,
    "DEADLINE_EXCEEDED": EngineGoneError,
    "NOT_FOUND": NotThereError,
    "ALREADY_EXISTS": RefusedError,
    "PERMISSION_DENIED": NotAllowedError,
    "RESOURCE_EXHAUSTED": BusyError,
    "FAILED_PRECONDITION": RefusedError,
    "ABORTED": BusyError,
    "OUT_OF_RANGE": RefusedError,
    "UNIMPLEMENTED": UnsupportedError,
    "INTERNAL": EngineBrokeError,
    "UNAVAILABLE": EngineGoneError,
    "DATA_LOSS": EngineBrokeError,
    "UNAUTHENTICATED": NotAllowedError,
}


def error_of(code: str, message: str, status: status_pb2.Status | None) -> BridgeError:
    """The error for a gRPC status: its code's name, its words, and the engine's rich status where it sent one."""
    kind = _BY_CODE.get(code, EngineBrokeError)
    if status is None:
        return _plain(kind, code, message)
    reason, hint, retry_after_s = "", "", 0.0
    fields: dict[str, str] = {}
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    for detail in status.details:
        if detail.Unpack(info):
            reason, hint = info.reason, info.metadata.get("hint", "")
        elif detail.Unpack(bad):
            fields = {one.field: one.description for one in bad.field_violations}
        elif detail.Unpack(retry):
            retry_after_s = retry.retry_delay.ToTimedelta().total_seconds()
    return kind(status.message, hint, reason=reason, fields=fields, retry_after_s=retry_after_s)


def _plain(kind: type[BridgeError], code: str, message: str) -> BridgeError:
    """What the transport itself said, without a word of the engine."""
    if code == "UNAVAILABLE":
        return kind("The engine cannot be reached.", "Start it with: immersivaudio serve.", reason=code)
    if code == "DEADLINE_EXCEEDED":
        return kind("The engine did not answer in time.", "Try again; it may be busy.", reason=code)
    if code == "UNIMPLEMENTED":
        # A service without a status of its own did not even find the method.
        return kind(
            "What answers there does not know this call: it is an engine of another version, or none of ours.",
            "Install bridge and engine of the same version, and check the address.",
            reason=code,
        )
    return kind(message or code, "", reason=code)
