"""`make bench` and `make bench-clouds`: each figure beside its peer, measured in turn in the same run.

Prints a table and writes JSON to benchmarks/out/; exit 1 when a goal is missed. Times are wall seconds of whole
processes unless a figure says otherwise; README.md beside this says what each one holds.
"""

from __future__ import annotations

import sys

from benchmarks.report import publish


def main() -> int:
    """`python -m benchmarks [local|clouds [alicloud|aws]]`: measure, print, write."""
    which = sys.argv[1] if len(sys.argv) > 1 else "local"
    if which == "local":
        from benchmarks import local

        return publish(local.figures(), "bench")
    if which == "clouds":
        from benchmarks import clouds  # needs what `make setup-clouds` brings

        return publish(clouds.figures(tuple(sys.argv[2:])), "-".join(sys.argv[1:]))
    sys.exit(f"{which}: local or clouds")


if __name__ == "__main__":
    sys.exit(main())
