"""Where things lie on a host. One place, so that tests can put a whole host below a folder."""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.model.ids import ClusterId, ClusterName, RemotePath

DEFAULT_DATA_ROOT = "/var/lib/sealer/data"
STATE_ROOT = "/var/lib/sealer-cloud"
TMPFS_ROOT = "/run/sealer-cloud"


@dataclass(frozen=True, slots=True)
class HostPaths:
    """The folders of one cluster on one host; `state_root` (0700) and `tmpfs_root` are ours alone."""

    cluster: ClusterName
    cid: ClusterId
    data_root: str = DEFAULT_DATA_ROOT
    state_root: str = STATE_ROOT
    tmpfs_root: str = TMPFS_ROOT

    @property
    def base(self) -> RemotePath:
        """`<dataRoot>/<name>`: rootfs, rootfs.d, data."""
        return RemotePath(f"{self.data_root}/{self.cluster}")

    @property
    def rootfs(self) -> RemotePath:
        """The link that scripts see; switched by rename."""
        return RemotePath(f"{self.base}/rootfs")

    @property
    def data(self) -> RemotePath:
        """SEALER_DATA: what must last."""
        return RemotePath(f"{self.base}/data")

    @property
    def state(self) -> RemotePath:
        """Ledger, manifest, outputs and step logs of this cluster (0700)."""
        return RemotePath(f"{self.state_root}/{self.cid}")

    @property
    def tmpfs(self) -> RemotePath:
        """Secrets on their way to a script (0700, on tmpfs)."""
        return RemotePath(f"{self.tmpfs_root}/{self.cid}")
