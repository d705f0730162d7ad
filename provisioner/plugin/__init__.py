"""The provider plugin `pulumi-resource-sealer`: Intent and local machines as resources of the real engine.

`service.py` speaks the protocol, `kinds.py` says what a resource type is, `intent.py`, `network.py` and `host.py` are
the three. Nothing here decides about clusters: it makes what it is told, adopts what lies there, tells what it sees.
"""
