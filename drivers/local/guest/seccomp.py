"""A filter for calls that would change the whole machine: they answer "done" and do nothing. Pure but for `install`.

A Kubernetes install script's `swapoff -a` or `modprobe` then succeeds, and this machine keeps its swap and its modules.
"""

from __future__ import annotations

import os
import struct

from drivers.local.kernel import set_seccomp_filter

ANSWERED: dict[str, tuple[int, tuple[int, ...]]] = {
    # machine: (AUDIT_ARCH, numbers of swapon swapoff init_module finit_module delete_module settimeofday
    #           clock_settime adjtimex clock_adjtime kexec_load kexec_file_load acct)
    "x86_64": (0xC000003E, (167, 168, 175, 313, 176, 164, 227, 159, 305, 246, 320, 163)),
    "aarch64": (0xC00000B7, (224, 225, 105, 273, 106, 170, 112, 171, 266, 104, 294, 89)),
}
IOCTL = {"x86_64": 16, "aarch64": 29}
LOOP_COMMANDS = (0x4C00, 0x4C0A)
"""LOOP_SET_FD, LOOP_CONFIGURE: loop devices are the machine's, and one that a host leaves attached would stay for ever."""

_ALLOW, _DONE, _REFUSE = 0x7FFF0000, 0x00050000, 0x00050001
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER, _ARCH, _ARG1 = 0, 4, 24


def build_filter(machine: str) -> tuple[bytes, int] | None:
    """The program and its length in instructions; None on a machine whose call numbers we do not know."""
    if machine not in ANSWERED:
        return None
    arch, numbers = ANSWERED[machine]
    count = len(numbers)
    ioctl = [
        (_EQUAL, 0, 1 + len(LOOP_COMMANDS), IOCTL[machine]),
        (_LOAD, 0, 0, _ARG1),
        *((_EQUAL, 1 + len(LOOP_COMMANDS) - i, 0, command) for i, command in enumerate(LOOP_COMMANDS)),
    ]
    checks = [(_EQUAL, count + len(ioctl) - i, 0, number) for i, number in enumerate(numbers)]
    program = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, arch),
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, _NUMBER),
        *checks,
        *ioctl,
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _DONE),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("HBBI", *step) for step in program), len(program)


def install() -> bool:
    """Filter this process and all its children; False where the machine's call numbers are not known."""
    built = build_filter(os.uname().machine)
    if built is None:
        return False
    set_seccomp_filter(*built)
    return True
