"""The words of a command line that carry values: counts, `K=V`, secrets by reference, providers.

A secret's own text never gets into a message: where one may stand, the message names the flag and the key alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from provisioner.errors import UsageError
from provisioner.model.grammar import (
    BUILT_PROVIDERS,
    DEFAULT_PROVIDER,
    MAX_COUNT,
    PROVIDERS,
    check_address,
    check_env_key,
    check_env_value,
    did_you_mean,
    to_provider,
)
from provisioner.model.refs import parse_ref

_COUNT = re.compile(r"[0-9]{1,6}")
_ADDRESSES = re.compile(r"[0-9A-Fa-f.:,/ -]*[.:,][0-9A-Fa-f.:,/ -]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def is_count(text: str) -> bool:
    """True for a number; anything else in its place means addresses."""
    return bool(_COUNT.fullmatch(text))


def is_addresses(text: str) -> bool:
    """True for what only a list of addresses can be meant by."""
    return bool(_ADDRESSES.fullmatch(text))


def parse_count(flag: str, text: str) -> int:
    """`--masters 3`. Raises UsageError, also for addresses: they name machines that exist."""
    if is_count(text) and int(text) <= MAX_COUNT:
        return int(text)
    if is_addresses(text):
        raise UsageError(
            f"--{flag} {text}: addresses name machines that exist, and this provider makes its own",
            hint=f"give a number, like --{flag} 3, or --provider baremetal",
        )
    raise UsageError(f"--{flag} {text!r} is no count", hint=f"give a number from 0 to {MAX_COUNT}, like --{flag} 3")


def parse_addresses(flag: str, text: str) -> tuple[str, ...]:
    """`10.1.2.3,10.1.2.5-10.1.2.9` one by one; an address may carry a port for SSH (`10.1.2.3:2222`).

    Raises UsageError for what is no address, and for more than a pool may have.
    """
    import ipaddress

    if not is_addresses(text):
        hint = f"give a number, like --{flag} 3, or addresses, like --{flag} 10.1.2.3,10.1.2.4"
        raise UsageError(f"--{flag} {text!r} is no count and no list of addresses", hint=hint)
    found: list[str] = []
    for word in (part.strip() for part in text.split(",")):
        if complaint := check_address(word):
            raise UsageError(f"--{flag}: {complaint}", hint=f"write --{flag} 10.1.2.3,10.1.2.5-10.1.2.9")
        first, dash, last = word.partition("-")
        if not dash:
            found.append(first)
            continue
        low, high = int(ipaddress.ip_address(first)), int(ipaddress.ip_address(last))
        if high - low >= MAX_COUNT:
            raise UsageError(f"--{flag} {word}: more than {MAX_COUNT} machines", hint="name fewer")
        found += [str(ipaddress.ip_address(number)) for number in range(low, high + 1)]
    return tuple(found)


def parse_env_words(words: Iterable[str]) -> dict[str, str]:
    """`-e K=V` words; the last of a key wins; a value may be one whole reference. Raises UsageError naming the word."""
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"-e {word!r} has no '='", hint="write -e KEY=VALUE; for a secret, --env-secret NAME")
        complaint = check_env_key(key)
        if complaint:
            raise UsageError(f"-e {key!r}: {complaint}", hint=_key_hint(complaint))
        if complaint := check_env_value(value):
            raise UsageError(f"-e {key}: {complaint}", hint="put the whole text into the variable or the file")
        found[key] = value
    return found


def parse_secret_words(words: Iterable[str]) -> dict[str, str]:
    """`--env-secret NAME`, `--env-secret K=${env:X}`, `--env-secret K=${file:P}`, as references.

    Raises UsageError; a literal is refused, as every process on the machine could read it.
    """
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals and not _VARIABLE.fullmatch(key):
            raise UsageError(
                "--env-secret takes the NAME of a variable, or KEY=${env:NAME}, or KEY=${file:PATH}",
                hint="name the variable: --env-secret TOKEN",
            )
        if complaint := check_env_key(key):
            raise UsageError(f"--env-secret: {complaint}", hint=_key_hint(complaint))
        if equals and parse_ref(value) is None:
            raise UsageError(
                f"--env-secret {key}: a secret on the command line is seen by every process",
                hint=f"export it and write --env-secret {key}, or --env-secret '{key}=${{file:PATH}}'",
            )
        found[key] = value if equals else f"${{env:{key}}}"
    return found


def parse_provider(text: str) -> str:
    """A provider by our name or upstream's. Raises UsageError for an unknown one and for one not built yet."""
    provider = to_provider(text)
    if provider not in PROVIDERS:
        hint = did_you_mean(text, PROVIDERS) or f"known are {', '.join(PROVIDERS)}"
        raise UsageError(f"{text!r} is no provider", hint=hint)
    if provider not in BUILT_PROVIDERS:
        raise UsageError(f"provider {provider} is not built yet", hint=f"use --provider {DEFAULT_PROVIDER}")
    return provider


def merge_env(*layers: Mapping[str, str]) -> dict[str, str]:
    """Env from layers, later ones over earlier ones."""
    return {key: value for layer in layers for key, value in layer.items()}


def _key_hint(complaint: str) -> str:
    return "choose another name" if "itself" in complaint else "write KEY=VALUE, with a KEY like LOG_LEVEL"
