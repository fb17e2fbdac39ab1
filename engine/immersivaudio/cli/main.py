# SPDX-License-Identifier: AGPL-3.0-or-later
"""``immersivaudio``: each command is a file that is imported only when it is called, so that --help is instant."""

from __future__ import annotations

import importlib
import sys

import click

# command: (module, function, line in --help)
_COMMANDS = {
    "score": ("score", "score", "Give a video or a timeline the sound that it lacks."),
    "spot": ("score", "spot", "Write the cue sheet only: what should be heard, when and why."),
    "watch": ("modules", "watch", "Only watch: print what is seen and heard in a video."),
    "perform": ("perform", "perform", "Only perform: one named sound, or a cue sheet, as WAV files."),
    "mix": ("modules", "mix", "Only mix: performed cues to stems and a bounce."),
    "deliver": ("modules", "deliver", "Only deliver: lay a finished mix under a picture."),
    "sounds": ("modules", "sounds", "List every sound that a cue may ask for."),
    "models": ("models", "models", "Fetch, list, check and remove the weights of neural performers."),
    "library": ("library", "library", "Index folders of your own sounds, to perform cues from."),
    "serve": ("serving", "serve", "Run the engine for editors on this machine."),
    "jobs": ("serving", "jobs", "List the jobs of a running engine."),
    "doctor": ("doctor", "doctor", "Say what is installed, what is missing, and what to do about it."),
    "install": ("install", "install", "Put Immersivaudio into DaVinci Resolve's menu or into Blender."),
    "demo": ("demo", "demo", "Draw a short silent clip and score it."),
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, function, _ = _COMMANDS[cmd_name]
        command = getattr(importlib.import_module(f"immersivaudio.cli.{module}"), function)
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in _COMMANDS.items()])


_EPILOG = """\b
Start here:
  immersivaudio score clip.mp4                  a scored video beside the clip
  immersivaudio score cut.otio                  a timeline with new audio lanes
  immersivaudio spot cut.otio -o cues.json      what would be heard, and why
  immersivaudio score cut.otio --cues cues.json the same after you edited it
"""


@click.group(cls=_LazyGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="immersivaudio", message="immersivaudio %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Sound for a picture that has none.

    Watches a cut, decides what should be heard and why, performs it, and gives back mixed lanes that stay editable.
    Runs on a plain CPU, with no model to download.
    """
    ctx.obj = {"debug": debug}


def main(arguments: list[str] | None = None) -> None:
    """The console script. Exit codes: 0 well, 2 wrong use, 3 unusable input, 4 output not written, 5 something is not
    installed or not reached, 6 no usable result, 130 cancelled, 1 anything else."""
    words = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in words
    try:
        _check_utf8(words)
        cli.main(args=arguments, prog_name="immersivaudio", standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.Abort:
        _say("Cancelled; nothing was written.")
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        raise
    except Exception as error:
        if debug:
            raise
        sys.exit(_explain(error))
    except KeyboardInterrupt:
        _say("Cancelled; nothing was written.")
        sys.exit(130)


def _check_utf8(words: list[str]) -> None:
    """Raises: RequestError where a word cannot be sent on or written into a result as text."""
    for word in words:
        readable = word.encode("utf-8", "replace").decode()
        if readable != word:
            from immersivaudio.engine.errors import RequestError

            raise RequestError(f"The name {readable} is not UTF-8.", "Rename the file or folder.")


def _explain(error: Exception) -> int:
    message = getattr(error, "message", "")
    if isinstance(error, OSError) and error.filename is not None:
        _say(f"{error.filename}: {error.strerror}.", "Check that it exists, that you may, and that there is space.")
        return 4
    if isinstance(error, FileNotFoundError) and error.filename is None:
        _say("The folder that this was called in is gone.", "Go to a folder that is there.")
        return 3
    if not message:
        _say(
            f"Something in Immersivaudio broke ({type(error).__name__}: {error}).",
            "Run it again with --debug and report it.",
        )
        return 1
    _say(message, getattr(error, "hint", ""))
    return _exit_code(error)


# What the bridge reports, by the names in bridge/errors.py; an engine's own reason counts before them.
_CODES = {"EngineGoneError": 5, "BusyError": 5, "UnsupportedError": 5, "RefusedError": 2, "NotThereError": 3,
          "NotAllowedError": 3, "StoppedError": 130, "TransferError": 4}  # fmt: skip


def _exit_code(error: Exception) -> int:
    from immersivaudio.engine import errors

    reason = getattr(error, "reason", "")
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.EngineError) and kind.reason == reason:
            return kind.exit_code
    return _CODES.get(type(error).__name__, 1)


def _say(message: str, hint: str = "") -> None:
    click.echo(click.style("immersivaudio: ", fg="red") + message, err=True)
    if hint:
        click.echo(f"  Try: {hint}" if not hint.startswith("Try") else f"  {hint}", err=True)


if __name__ == "__main__":
    main()
