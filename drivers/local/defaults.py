"""The provider's folders on this machine; the sshd copy lies in the user's cache folder."""

from __future__ import annotations

from drivers.local.names import LocalPaths
from provisioner.settings import load_settings


def default_paths() -> LocalPaths:
    """Fixed folders for records and run time; `<cache_dir>/openssh` of the settings for the unpacked sshd."""
    return LocalPaths(sshd=load_settings().cache_dir / "openssh")
