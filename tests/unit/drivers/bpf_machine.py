"""A classic BPF machine, small: enough to run the driver's call filter on a made-up call."""

from __future__ import annotations

import struct

LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06


def run(program: bytes, data: bytes) -> int:
    """The action that the filter answers for one `struct seccomp_data`."""
    steps = list(struct.iter_unpack("HBBI", program))
    at = value = 0
    while True:
        code, yes, no, operand = steps[at]
        at += 1
        if code == LOAD:
            (value,) = struct.unpack_from("I", data, operand)
        elif code == EQUAL:
            at += yes if value == operand else no
        elif code == RETURN:
            return int(operand)
        else:
            raise AssertionError(f"unknown instruction {code:#x}")


def call(number: int, arch: int, *arguments: int) -> bytes:
    """A `struct seccomp_data`: number, architecture, instruction pointer, six arguments."""
    six = (*arguments, *([0] * (6 - len(arguments))))
    return struct.pack("iIQ6Q", number, arch, 0, *six)
