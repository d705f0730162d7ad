"""Flags in groups: commands that mean the same thing take the same group. `taking` gives a command its groups' flags."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, get_type_hints

from provisioner.cli import options as o

Call = TypeVar("Call", bound=Callable[..., int])


class Wish:
    """What is wanted: `up`, `plan` and `with`."""

    file: o.Files = None
    name: o.Name = None
    provider: o.ProviderFlag = None
    region: o.Region = None
    zone: o.Zones = None
    masters: o.Masters = None
    nodes: o.Nodes = None
    user: o.User = None
    identity: o.Identity = None
    env: o.Env = None
    env_secret: o.EnvSecret = None
    cmd: o.Cmd = None
    data_root: o.DataRoot = None
    ttl: o.Ttl = None


class How:
    """How `up` and `plan` shall go about it."""

    max_price: o.MaxPrice = None
    only: o.Only = None
    replace: o.Replace = False
    expect_plan: o.ExpectPlan = None
    all_at_once: o.AllAtOnce = False
    redo: o.Redo = None
    assume_done: o.AssumeDone = None
    timeout: o.Timeout = "30m"


class Yes:
    """The answer before the question."""

    yes: o.Yes = False
    auto_approve: o.AutoApprove = False


class Talk:
    """How a command talks, but for the form of its data."""

    quiet: o.Quiet = False
    verbose: o.Verbose = 0
    color: o.Color = None


class Answer(Talk):
    """How a command with data talks."""

    output: o.Output = "table"


def taking(*groups: type) -> Callable[[Call], Call]:
    """Give a command the flags of these groups; it gets their values as `**given`, by name."""

    def decorate(call: Call) -> Call:
        own = inspect.signature(call, eval_str=True)
        kept = [p for p in own.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        words = [p for p in kept if p.kind is not inspect.Parameter.KEYWORD_ONLY]
        first, *rest = ([*_flags(group)] for group in groups)
        own_flags = [p for p in kept if p not in words]  # in the help they stand after what is wanted
        flags = [*first, *own_flags, *(flag for group in rest for flag in group)]
        call.__signature__ = own.replace(parameters=[*words, *flags])  # type: ignore[attr-defined]
        return call

    return decorate


def _flags(group: type) -> Iterator[inspect.Parameter]:
    """A group's flags in the order of its lines; inherited ones come last."""
    hints = get_type_hints(group, include_extras=True)
    own = dict.fromkeys(name for kind in group.__mro__ for name in vars(kind).get("__annotations__", ()))
    for name in own:
        yield inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=getattr(group, name), annotation=hints[name]
        )


def talk_of(given: dict[str, Any]) -> dict[str, Any]:
    """The words of `open_session` among the values of a command."""
    return {name: given[name] for name in ("quiet", "verbose", "color")}
