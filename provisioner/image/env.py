"""What an image may put into the environment of its scripts: known where it is built or pinned, before any host. Pure."""

from __future__ import annotations

from provisioner.model.grammar import MAX_VALUE, check_env_key, check_text


def env_complaint(key: str, value: str) -> str:
    """What is wrong with one ENV of an image, or nothing. Values are data: a `${env:…}` in one stays as it is."""
    if complaint := check_env_key(key):
        return complaint
    if "\0" in value or check_text(value):
        return f"the value of {key} holds what no environment can"
    if len(value.encode()) > MAX_VALUE:
        return f"the value of {key} is longer than {MAX_VALUE >> 10} KiB; put it into a file of the image"
    return ""
