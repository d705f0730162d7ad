"""Every bound on what an image may ask of us, in one place. Each has a test on both sides.

Sizes in bytes. An honest image is far below all of them; a hostile one meets them before it meets memory or disk.
"""

from __future__ import annotations

from provisioner.errors import ImageError

MANIFEST = 4 << 20
"""A manifest or an index."""
CONFIG = 8 << 20
"""An image config."""
HEADER = 1 << 20
"""The body of one PAX or GNU long-name header: it is held in memory."""
ENTRIES = 1_000_000
"""Tar members of all layers together, and the directories that only their names imply."""
NAME = 4096
"""A path, and a link target, encoded."""
NAMES = 256 << 20
"""All paths and link targets together, in characters: a small archive can spell millions of long ones."""
COMPONENT = 255
"""One part of a path, encoded: what ext4 and xfs can hold."""
DEPTH = 512
"""Parts of one path."""
RATIO = 200
"""Uncompressed over compressed size of one layer, looked at beyond RATIO_FLOOR."""
RATIO_FLOOR = 16 << 20
"""Below this many uncompressed bytes of one layer any ratio is fine: small trees of zeros are honest."""
TOTAL = 64 << 30
"""Uncompressed bytes of all layers together."""
OWNER = (1 << 31) - 1
"""Highest uid and gid: above it, ids wrap to root in 32-bit code (CVE-2024-40635)."""
LAYERS = 512
"""Layers of one image."""
TEXT = 1 << 20
"""One template or script that planning reads."""
TEXTS = 64 << 20
"""All of them together."""
WINDOW = 128 << 20
"""Memory a zstd frame may ask of its decoder."""
KUBEFILE = 1 << 20
"""A Kubefile or an ignore file."""


def check(value: int, limit: int, what: str) -> None:
    """Raise ImageError when `value` is above `limit`; exactly the limit is fine."""
    if value > limit:
        raise ImageError(f"{what}: {value} is above the limit of {limit}", hint="this image is refused; build it anew")


def check_ratio(uncompressed: int, compressed: int, what: str) -> None:
    """Raise ImageError for a layer that unpacks to more than RATIO times its size (a bomb)."""
    if uncompressed > RATIO_FLOOR and uncompressed > RATIO * compressed:
        raise ImageError(
            f"{what} unpacks to more than {RATIO} times its size: refused as a decompression bomb",
            hint="leave files of zeros out of the image and make them in scripts/init.sh",
        )
