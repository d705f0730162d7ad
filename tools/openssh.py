"""Give this machine a sshd for local hosts: unpacked into the cache folder, never installed, never started here."""

from drivers.local.defaults import default_paths
from drivers.local.sshd import MACHINE_SSHD, find_sshd, unpack_sshd

unpacked = unpack_sshd(default_paths().sshd)
print(f"sshd for local hosts: {unpacked if find_sshd(unpacked).files else MACHINE_SSHD}")
