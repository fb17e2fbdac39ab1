# SPDX-License-Identifier: AGPL-3.0-or-later
"""What can go wrong, said in one sentence, with what to try.

EngineError
├── MediaError           a file that cannot be read, is empty, is no media
├── TimelineError        an edit that cannot be understood
├── CueSheetError        a cue sheet that cannot be understood
├── RequestError         a request or option that makes no sense
├── NotFoundError        a job, blob or model that is not there
├── AccessError          a path outside the allowed roots
├── OutputError          exists already, cannot be written, no space left
├── UnavailableError     a plug-in, model or program that is not installed
├── ResultError          a result that is silent, short or clipped: never delivered
├── CancelledError       somebody stopped it
└── WorkerError          a worker process died and could not be brought back
"""

from __future__ import annotations


class EngineError(Exception):
    """An error that a person reads: ``message`` says what is wrong, ``hint`` what to try; both one sentence."""

    reason = "ENGINE_ERROR"
    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class MediaError(EngineError):
    reason = "MEDIA_UNREADABLE"
    exit_code = 3


class TimelineError(EngineError):
    reason = "TIMELINE_UNREADABLE"
    exit_code = 3


class CueSheetError(EngineError):
    reason = "CUE_SHEET_INVALID"
    exit_code = 3


class RequestError(EngineError):
    reason = "REQUEST_INVALID"
    exit_code = 2


class NotFoundError(EngineError):
    reason = "NOT_FOUND"
    exit_code = 3


class AccessError(EngineError):
    reason = "PATH_NOT_ALLOWED"
    exit_code = 3


class OutputError(EngineError):
    reason = "OUTPUT_NOT_WRITTEN"
    exit_code = 4


class UnavailableError(EngineError):
    reason = "NOT_INSTALLED"
    exit_code = 5


class ResultError(EngineError):
    reason = "RESULT_REFUSED"
    exit_code = 6


class CancelledError(EngineError):
    reason = "CANCELLED"
    exit_code = 130


class WorkerError(EngineError):
    reason = "WORKER_DIED"
    exit_code = 1
