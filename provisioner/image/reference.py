"""Image references. The grammar lies in the model: files and flags are held to it before an image is looked at."""

from __future__ import annotations

from provisioner.model.imageref import DEFAULT_TAG, NAME_LIMIT, parse_reference

__all__ = ["DEFAULT_TAG", "NAME_LIMIT", "parse_reference"]
