"""Cluster images: references, the store, building, and the rootfs stream. What other rooms use is named here."""

from __future__ import annotations

from provisioner.image.build import BuildRequest, build_image
from provisioner.image.kubefile import parse_kubefile
from provisioner.image.reference import parse_reference
from provisioner.image.store import ImageDetail, ImageRow, ImageStore, Removed

__all__ = [
    "BuildRequest",
    "ImageDetail",
    "ImageRow",
    "ImageStore",
    "Removed",
    "build_image",
    "parse_kubefile",
    "parse_reference",
]
