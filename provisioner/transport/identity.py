"""The first login on a machine that a cloud made: its lasting host key takes the place of the one from user-data.

User-data can be read by every process on the machine, so the key in it is good for one thing only: to know that this
session leads to our machine. Whatever is interrupted here is done again from the start: each part is safe to repeat.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from provisioner.errors import DeadlineError, HostError, HostKeyError, InterruptedRunError
from provisioner.model.clock import Clock
from provisioner.model.hosts import ClusterKeys, InventoryHost
from provisioner.model.secret import Secret
from provisioner.model.userdata import HOST_KEY, RELOAD_SSHD, REPLACED
from provisioner.transport.connection import CommandResult, Connect, Connection

SWAP_SECONDS = 60.0
SWAPS = 5
"""A machine that takes the key this often and does not show it never will."""
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
SILENT = "`up` again waits once more, and makes another machine where you deleted this one"
COMPLAINT = 300
"""Characters of what the host says that an error shows."""

# `sh -c SWAP sh LENGTH BOOTSTRAP_PUBLIC LASTING_PUBLIC`, the lasting private key as standard input. An empty
# BOOTSTRAP_PUBLIC leaves the note of what user-data brought as it is.
_SWAP = (
    """\
set -eu
umask 077
R=${SEALER_ROOT-}
key=$R@KEY@
lay() { # FILE: standard input, on the disk before it has its name
  dd of="$1.sealer" conv=fsync 2>/dev/null
}
lay "$key"
if [ "$(wc -c <"$key.sealer")" -ne "$1" ]; then
  echo 'the key came only in part' >&2
  exit 74
fi
if [ -n "$2" ]; then
  echo "$2" | lay "$R@REPLACED@"
  mv -f "$R@REPLACED@.sealer" "$R@REPLACED@"
fi
mv -f "$key.sealer" "$key"
echo "$3" | lay "$key.pub"
chmod 644 "$key.pub.sealer"
mv -f "$key.pub.sealer" "$key.pub"
for file in "$R"/etc/ssh/ssh_host_*; do
  case $file in "$key" | "$key.pub") ;; *) rm -f "$file" ;; esac
done
sync
! command -v restorecon >/dev/null 2>&1 || [ -n "$R" ] || restorecon /etc/ssh/* || :
""".replace("@KEY@", HOST_KEY).replace("@REPLACED@", REPLACED)
    + RELOAD_SSHD
    + "reload_sshd\n"
)
# The public half gets its name last of all, so it says that the private one was replaced.
_CHECK = """\
key=${SEALER_ROOT-}@KEY@
[ -z "$1" ] || [ "$(cat "${SEALER_ROOT-}@REPLACED@")" = "$1" ] || exit 1
[ "$(cat "$key.pub")" = "$2" ] || exit 1
for file in "${SEALER_ROOT-}"/etc/ssh/ssh_host_*; do
  case $file in "$key" | "$key.pub") ;; *) exit 1 ;; esac
done
""".replace("@KEY@", HOST_KEY).replace("@REPLACED@", REPLACED)


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A machine that was just made. `machine` is how to reach it; its pins are not looked at."""

    machine: InventoryHost
    bootstrap_public: str
    lasting_public: str
    lasting_private: Secret
    login_private: Secret
    presented: str = ""
    """The key that it shows until then, where it was not just made but stands already: accepted in place of the bootstrap."""

    @property
    def bootstrap(self) -> str:
        """The bootstrap key of its user-data, "" where nobody knows that any more."""
        return "" if self.presented else self.bootstrap_public


Stopping = Callable[[], bool]
"""True once the run shall end."""


@dataclass(slots=True)
class _Progress:
    """What was seen so far: what a deadline's error says."""

    last: HostError | None = None
    swaps: int = 0


async def establish(new: Newcomer, connect: Connect, clock: Clock, *, wait: float, stopping: Stopping) -> None:
    """Wait at most `wait` seconds for the machine's SSH, then have it show the lasting key alone; idempotent.

    Only the two keys are accepted: another one may be the image's own, from before user-data ran, so it is waited for too.
    Raises HostError (7) saying what was seen last, HostKeyError where that was another key, InterruptedRunError once
    `stopping()` is true.
    """
    progress, pause = _Progress(), FIRST_PAUSE
    until = clock.monotonic() + wait
    while not await _try_once(new, connect, progress):
        if stopping():
            raise InterruptedRunError(f"interrupted while the SSH of {new.machine.name} was waited for")
        if clock.monotonic() >= until or progress.swaps >= SWAPS:
            raise _gave_up(new, progress, wait)
        await clock.sleep(pause)
        pause = min(LONGEST_PAUSE, pause * 1.5)


async def _try_once(new: Newcomer, connect: Connect, progress: _Progress) -> bool:
    """True once the machine shows the lasting key on a fresh connection and holds no other."""
    pinned = replace(new.machine, host_keys=(new.presented or new.bootstrap_public, new.lasting_public))
    try:
        link = await connect(pinned, ClusterKeys(new.login_private, "", Secret("")))
        try:
            if link.host_key == _bare(new.lasting_public) and await _holds_it_alone(new, link):
                return True
            progress.swaps += 1
            _judge(new, await _swap(new, link))
        finally:
            await link.close()
    except HostError as error:
        progress.last = error
    except DeadlineError as error:
        progress.last = HostError(error.message, host=new.machine.name)
    return False


async def _holds_it_alone(new: Newcomer, link: Connection) -> bool:
    words = ("sh", "-c", _CHECK, "sh", _bare(new.bootstrap), _bare(new.lasting_public))
    return (await link.run(words, timeout=SWAP_SECONDS)).ok


async def _swap(new: Newcomer, link: Connection) -> CommandResult:
    key = new.lasting_private.reveal().encode()
    words = ("sh", "-c", _SWAP, "sh", str(len(key)), _bare(new.bootstrap), _bare(new.lasting_public))
    return await link.run(words, stdin=key, timeout=SWAP_SECONDS)


def _judge(new: Newcomer, result: CommandResult) -> None:
    """Raise HostError where the machine did not take the key; where it did, the next connection shows it."""
    name = new.machine.name
    if result.rc is None:
        raise HostError(
            f"{name}: the link died while its host key changed",
            host=name,
            hint="run the same command again: it goes on",
        )
    if not result.ok:
        raise HostError(
            f"{name} did not take its host key: {_shown(result.stderr)}",
            host=name,
            hint="look at that machine's disk and sshd; then run the same command again",
        )
    raise HostError(
        f"{name} still shows the host key of its first boot", host=name, hint="does its sshd use another file?"
    )


def _gave_up(new: Newcomer, progress: _Progress, wait: float) -> HostError:
    name, last = new.machine.name, progress.last
    seen = last.message if last else "nothing answered"
    if progress.swaps >= SWAPS:
        return HostError(seen, hint=last.hint if last else "", host=name)
    kind = HostKeyError if isinstance(last, HostKeyError) else HostError
    hint = f"its user-data did not run to its end, or another machine answers there; {SILENT}"
    hint = hint if kind is HostKeyError else f"{last.hint}; {SILENT}" if last and last.hint else SILENT
    return kind(f"{name} was not reached by SSH within {wait:g} s: {seen}", hint=hint, host=name)


def _shown(output: bytes) -> str:
    text = " ".join(output.decode("utf-8", "replace").split())
    return "".join(c for c in text if c.isprintable())[:COMPLAINT] or "it said nothing"


def _bare(public: str) -> str:
    return " ".join(public.split()[:2])
