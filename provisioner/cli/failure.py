"""Every way a command can fail, mapped once: to words, to the JSON answer, and to the exit code."""

from __future__ import annotations

import os
import platform
import re
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from provisioner import __version__
from provisioner.cli.screen import Screen
from provisioner.cli.text import Line, Lines, escape, escape_lines, plain
from provisioner.errors import InterruptedRunError, InvalidFileError, SealerError, UsageError, worst_of
from provisioner.files import atomic_write, private_folder
from provisioner.settings import PREFIX, Settings

TAIL = 20
"""Lines of a step's output that the screen shows; the whole log's path stands below them."""

TRACE = 2
"""`-v` given this often: tracebacks on the screen."""
_FLAG = re.compile(
    r"(?P<lead>Invalid value for )?(?P<quote>'?)--(?P<name>[a-z][a-z-]+)(?P=quote)(?P<short> / '-[a-zA-Z]')?"
)
"""The flag that a message begins with; after the lead it is the parser's own, which quotes it and its short form."""


def to_sealer(error: BaseException) -> SealerError | None:
    """The error of our tree that `error` is, or stands for; None for a bug of ours."""
    if isinstance(error, SealerError):
        return None if type(error) is SealerError else error
    if isinstance(error, KeyboardInterrupt):
        return InterruptedRunError("interrupted")
    if isinstance(error, BaseExceptionGroup):
        return _worst(error)
    words = getattr(error, "format_message", None)  # the command-line parser's own errors, whatever its name is today
    return _usage(error, str(words())) if callable(words) else None


def report_failure(error: BaseException, screen: Screen, settings: Settings | None) -> int:
    """Say what went wrong, in the form that was asked for. Returns the exit code."""
    known = to_sealer(error)
    if known is None:
        known = _bug(error, settings)
        if screen.look.verbose >= TRACE:
            screen.insist("".join(traceback.format_exception(error)))
    for line in failure_lines(known):
        screen.insist(line)
    if screen.look.machine:
        screen.document(error_document(known))
    return known.exit_code


def by_variable(error: BaseException, words: Sequence[str], environ: Mapping[str, str]) -> BaseException:
    """The error, naming the variable where it names a flag that nobody wrote: its value came from there."""
    known = to_sealer(error)
    found = _FLAG.match(known.message) if isinstance(known, UsageError) else None
    if known is None or found is None:
        return error
    name = found["name"]
    flag, variable = f"--{name}", PREFIX + name.replace("-", "_").upper()
    short = f"-{name[0]}"  # its value may be glued to it
    if not environ.get(variable) or any(w == flag or w.startswith((f"{flag}=", short)) for w in words):
        return error
    known.message = (found["lead"] or "") + variable + known.message[found.end() :]
    known.hint = known.hint.replace(f"{flag} ", f"{variable}=")
    return known


def error_document(error: SealerError) -> dict[str, object]:
    """The JSON answer of a command that failed; see docs/schema/error.schema.json."""
    return {"schemaVersion": 1, "error": error.to_dict()}


def failure_lines(error: SealerError) -> Lines:
    """The screen of a failure: what, its evidence, what is done and what is not, and what to do."""
    if isinstance(error, InvalidFileError):
        lines: list[Line] = [plain(escape(str(p))) for p in error.problems]
        lines.append(_cross(error.message.split("\n", 1)[0]))
    else:
        first, *rest = escape_lines(error.message) or ("",)
        lines = [_cross(_placed(first, error)), *(plain(f"  {line}") for line in rest)]
    lines += [(("  │ ", "dim"), (line, "")) for line in escape_lines(error.evidence, limit=TAIL)]
    lines += [plain(f"  {escape(note)}") for note in getattr(error, "__notes__", ())]
    notes = " ".join(getattr(error, "__notes__", ()))
    if error.hint and error.hint not in notes:
        first, *rest = escape_lines(error.hint)
        lines.append((("  → ", "cyan"), (first, "")))
        lines += [plain(f"    {line}") for line in rest]
    return tuple(lines)


def _cross(text: str) -> Line:
    return (("✘ ", "red"), (text, "bold"))


def _placed(message: str, error: SealerError) -> str:
    """The message, with host and phase where it does not name them itself."""
    where = [word for word in (error.phase, error.host) if word and word not in message]
    return f"{' on '.join(map(escape, where))}: {message}" if where else message


def _worst(group: BaseExceptionGroup[BaseException]) -> SealerError | None:
    """Of several causes the lowest code wins; one bug among them makes the whole a bug."""
    found = [_worst(e) if isinstance(e, BaseExceptionGroup) else to_sealer(e) for e in group.exceptions]
    known = [e for e in found if e is not None]
    return worst_of(known) if len(known) == len(found) else None


def _usage(error: BaseException, words: str) -> UsageError:
    context = getattr(error, "ctx", None)
    path = getattr(context, "command_path", None) or "sealer-cloud"
    return UsageError(escape(words).rstrip("."), hint=f"see `{path} --help`")


def _bug(error: BaseException, settings: Settings | None) -> SealerError:
    """A bug of ours: a sentence, and a file with the places it passed through."""
    kind = type(_culprit(error)).__name__
    path = _write_report(error, settings)
    hint = f"please report it with {path}" if path else "please report it; -vv shows where it happened"
    return SealerError(f"a bug of ours: {kind}", hint=hint)


def _culprit(error: BaseException) -> BaseException:
    """The bug itself: of tasks that failed together the first one that failed by no error of our tree."""
    while isinstance(error, BaseExceptionGroup):
        error = next((e for e in error.exceptions if to_sealer(e) is None), error.exceptions[0])
    return error


def _write_report(error: BaseException, settings: Settings | None) -> Path | None:
    if settings is None:
        return None
    path = settings.state_dir / "reports" / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}.txt"
    try:
        private_folder(path.parent)
        atomic_write(path, bug_report(error).encode(errors="backslashreplace"))
    except SealerError:
        return None
    return path


def bug_report(error: BaseException) -> str:
    """Types and code places of all exceptions involved: no messages, locals or arguments, as those may hold secrets."""
    head = f"sealer-cloud {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
    return head + "\ncaused by:\n".join(_places(e) for e in _involved(error))


def _involved(error: BaseException) -> Iterator[BaseException]:
    """The exception, then what it holds and what caused it, each once."""
    waiting = [error]
    seen: set[int] = set()
    while waiting:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        held = current.exceptions if isinstance(current, BaseExceptionGroup) else ()
        waiting += [*held, *filter(None, [current.__cause__ or current.__context__])]


def _places(error: BaseException) -> str:
    frames = "".join(traceback.format_list(traceback.extract_tb(error.__traceback__)))
    return f"{type(error).__module__}.{type(error).__qualname__}\n{frames}"
