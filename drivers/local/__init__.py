"""Hosts on this machine, from kernel namespaces, an overlay of `/`, and a real sshd."""
