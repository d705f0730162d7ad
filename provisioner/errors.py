"""Every error a person can meet, as one tree with exit codes and hints.

    SealerError                       1   a bug of ours
    ├─ UsageError                     3   wrong flag, bad Clusterfile or Kubefile, refused by protection
    │   └─ InvalidFileError           3   the same, with all problems at once
    ├─ ImageError                     4   image missing, corrupt, refused
    ├─ AccessError                    5   credentials, permission, passphrase
    │   └─ RefusedKeyError            5   there are credentials, and they are refused or cannot be had
    ├─ ProviderError                  6   the cloud refused, or resources are left
    ├─ HostError                      7   a host cannot be reached
    │   └─ HostKeyError               7   a host showed another key than the pinned one
    ├─ StepError                      8   a script, hook or CMD failed, or its end is unknown
    ├─ PartialError                   9   only with --allow-partial
    ├─ LockedError                   10   locked by another run
    ├─ DeadlineError                 11   out of time, not healthy
    ├─ PreconditionError             12   state newer or broken, plan changed, something missing
    ├─ CapacityError                 13   no quota, stock or budget
    └─ InterruptedRunError          130   interrupted, or "no" at the question

Exit code 2 belongs to `plan --detailed-exitcode` alone and is no error. Of several causes the lowest code wins.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import ClassVar

NO_ACCOUNT = "set the credentials of the account that you mean, and name it with --provider"
"""The hint where nobody named a cloud and none could be looked at: which one is meant only the person knows."""

LOOK_THERE = "log in there and look at its shell and disk; then run the same command again"
"""The hint where a host answers, and nothing of it makes sense."""


def pip_install(extra: str) -> str:
    """The command that adds an optional part to this very installation; a bare `pip` is often another Python's."""
    return f"{sys.executable} -m pip install 'sealer-cloud[{extra}]'"


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding in a file: where (1-based line and column, dotted key), what, and what to do."""

    file: str
    line: int
    column: int
    key: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        """`file:line:column: key: message (hint)`, the form editors jump to."""
        where = f"{self.file}:{self.line}:{self.column}"
        key = f"{self.key}: " if self.key else ""
        return f"{where}: {key}{self.message}" + (f" ({self.hint})" if self.hint else "")


class SealerError(Exception):
    """The root: a message for a person, a hint for the next step, and evidence in fields."""

    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "", host: str = "", phase: str = "", evidence: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.host = host
        self.phase = phase
        self.evidence = evidence
        self.told = False
        """True once the hint says what is done, what is not, and how to go on; set by who knows the steps."""

    def to_dict(self) -> dict[str, object]:
        """The object that `-o json` prints under `error`."""
        return {
            "code": self.exit_code,
            "message": self.message,
            "hint": self.hint,
            "host": self.host,
            "phase": self.phase,
        }


class UsageError(SealerError):
    """Wrong use: the request itself cannot be served as written."""

    exit_code = 3


class InvalidFileError(UsageError):
    """A file with problems; carries all of them, in file order."""

    def __init__(self, problems: Iterable[Problem], *, hint: str = "") -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        head = f"{count} problem{'s' if count != 1 else ''}"
        super().__init__(head + "".join(f"\n  {p}" for p in self.problems), hint=hint)

    def to_dict(self) -> dict[str, object]:
        """As the base, and the problems as objects."""
        return {**super().to_dict(), "problems": [asdict(p) for p in self.problems]}


class ImageError(SealerError):
    """An image that is missing, corrupt, or refused."""

    exit_code = 4


class AccessError(SealerError):
    """Credentials, permission or passphrase."""

    exit_code = 5


class RefusedKeyError(AccessError):
    """There are credentials, and they are refused or cannot be had: an account that somebody uses, not one of nobody's."""


class ProviderError(SealerError):
    """Stage 1 failed, or resources are left after `down`."""

    exit_code = 6


class BusyError(ProviderError):
    """The provider is asked too often: nothing is wrong but the moment."""

    retryable = True


class HostError(SealerError):
    """A host cannot be reached or showed a key that is not pinned."""

    exit_code = 7
    retryable = True


class HostKeyError(HostError):
    """A host showed a key that is not pinned: trying again cannot help."""

    retryable = False


class StepError(SealerError):
    """A script, hook or CMD failed, or its end is unknown."""

    exit_code = 8


class PartialError(SealerError):
    """Some hosts failed and `--allow-partial` was given."""

    exit_code = 9


class LockedError(SealerError):
    """Another run holds the cluster."""

    exit_code = 10
    retryable = True


class DeadlineError(SealerError):
    """Out of time, or not healthy in time."""

    exit_code = 11
    retryable = True


class PreconditionError(SealerError):
    """State newer or broken, plan changed, or something missing on operator or host; no host was changed."""

    exit_code = 12


class CapacityError(SealerError):
    """No quota, stock or budget. `code` is the provider's own word, `hosts` the hosts that it was refused for."""

    exit_code = 13
    code: str = ""
    hosts: tuple[str, ...] = ()


class InterruptedRunError(SealerError):
    """Interrupted, or the answer was no."""

    exit_code = 130


def worst_of(errors: Iterable[SealerError]) -> SealerError:
    """The error that decides the exit code: of several causes the lowest code wins, but a bug of ours (1) never hides.

    Raises ValueError on an empty input.
    """
    return min(errors, key=lambda e: e.exit_code)


def no_account(failed: Iterable[tuple[str, SealerError]]) -> str:
    """`NO_ACCOUNT`, and below it what each provider lacks, a line each: a missing SDK is no matter of credentials."""
    lines = (f"{provider}: {error.hint}" for provider, error in failed if error.hint)
    return "\n".join(dict.fromkeys((NO_ACCOUNT, *lines)))
