"""The host key that a machine shows at its first boot, as anybody reads it who may read its user-data."""

import base64
import re

_LAID = re.compile(r"echo '(ssh-ed25519 AAAA\S+)' \| lay 644")


def boot_key(user_data: str) -> str:
    """The bootstrap key's public half in user-data (base64)."""
    (found,) = _LAID.findall(base64.b64decode(user_data).decode())
    return found
