"""Operating systems by a short name: who publishes the image, and what it is called. Pure.

Owners: 136693071363 is Debian's cloud team (wiki.debian.org/Cloud/AmazonEC2Image), 099720109477 is Canonical (Ubuntu's
"Find Ubuntu images on AWS"). The newest image of a name is taken, and then kept by its id.
"""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.errors import UsageError

DEFAULT = "debian-12"
DEBIAN, CANONICAL = "136693071363", "099720109477"
ARCHES = {"amd64": "x86_64", "arm64": "arm64"}
"""Our words (as in OCI images) and EC2's."""
_IMAGES = {
    "debian-12": (DEBIAN, "debian-12-{arch}-*"),
    "debian-13": (DEBIAN, "debian-13-{arch}-*"),
    "ubuntu-22.04": (CANONICAL, "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-{arch}-server-*"),
    "ubuntu-24.04": (CANONICAL, "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-{arch}-server-*"),
}


@dataclass(frozen=True, slots=True)
class ImageQuery:
    """An image by owner and name."""

    owner: str
    name: str
    arch: str


def query_of(name: str | None, arch: str | None) -> ImageQuery:
    """What to ask for. Raises UsageError for a name or architecture that the catalogue does not hold."""
    wanted, wanted_arch = name or DEFAULT, arch or "amd64"
    if wanted_arch not in ARCHES:
        raise UsageError(f"osImage.arch {wanted_arch!r} is not to be had on aws", hint=f"use {' or '.join(ARCHES)}")
    if wanted not in _IMAGES:
        hint = f"use one of {', '.join(_IMAGES)}, or osImage.id with the id of an AMI"
        raise UsageError(f"osImage {wanted!r} is not known for aws", hint=hint)
    owner, pattern = _IMAGES[wanted]
    return ImageQuery(owner, pattern.format(arch=wanted_arch), ARCHES[wanted_arch])
