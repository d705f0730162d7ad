"""Resource classes of the Pulumi package `sealer`, for programs of anybody: this package depends on pulumi alone.

`Intent` is a cluster's accepted request and its keys; `HostKey` and `HostIdentity` are the host key of a machine that a
cloud makes; `pulumi_sealer.local` makes isolated Linux hosts on this machine; `pulumi_sealer.baremetal` takes machines
that exist.
The plugin `pulumi-resource-sealer` comes with sealer-cloud.
"""

from pulumi_sealer import baremetal, local
from pulumi_sealer._package import VERSION
from pulumi_sealer.hostidentity import HostIdentity, HostKey
from pulumi_sealer.intent import Intent

__version__ = VERSION
__all__ = ["HostIdentity", "HostKey", "Intent", "baremetal", "local"]
