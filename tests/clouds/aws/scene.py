"""The product on the simulated AWS: a user of it, what it says and leaves, and how it is killed."""

import os
import signal
from pathlib import Path

from tests.clouds.processes import family, slay
from tests.e2e.product import Product

POOL = "    - {{roles: [{role}], count: {count}, instanceType: {type}, systemDisk: 10{more}}}\n"
IMAGE = "app:v1"
LOGIN_KEYS = ("login_key", "keys.json")


def make_user(cloud, home, data, cluster):
    """A user whose cloud is the simulator; `data` holds app:v1."""
    home.mkdir(parents=True, exist_ok=True)
    blank = {key: "" for key in os.environ if key.startswith(("AWS_PROFILE", "AWS_SESSION", "AWS_ROLE", "CI"))}
    return Product(home, {**blank, **cloud.environ, "XDG_DATA_HOME": str(data)}, cluster=cluster)


def write_infra(user, cloud, *, nodes=1, more="", head="", node="t3.medium"):
    """Infra.yaml of a master and nodes; `more` goes into their pool, `head` before the pools."""
    pools = POOL.format(role="master", count=1, type="t3.medium", more="")
    pools += POOL.format(role="node", count=nodes, type=node, more=more) if nodes else ""
    (user.home / "Infra.yaml").write_text(
        "apiVersion: sealer.io/v2\nkind: Infra\nspec:\n  provider: aws\n"
        f"  osImage: {{id: {cloud.image()}}}\n{head}  hosts:\n{pools}"
    )


def up_words(cluster):
    """The main job."""
    return ("up", IMAGE, "-n", cluster, "-f", "Infra.yaml", "--yes")


def down_words(cluster):
    """Removing it."""
    return ("down", cluster, "--provider", "aws", "--yes")


def ids(cloud, cluster=""):
    """Living machines (of a cluster) by host."""
    return {name: machine["InstanceId"] for name, machine in cloud.machines(cluster=cluster).items()}


def living(user):
    """Processes that belong to this user's runs, as their environment says."""
    mark = f"XDG_STATE_HOME={user.home / 'state'}".encode()
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:120]
        except OSError:
            continue
    return found


def killed_at(user, gate, words, where, *, whole=True, sights=None):
    """Run a command and kill it right after the cloud did the call that `where` names, before its answer goes out.

    Killed is all of it, or the command alone. False where there was no such call: it has then ended well. `sights` is
    given what lived then; that may be little, as a call of the run that was killed before may be served late.
    """
    process = user.start(*words)

    def kill():
        if sights is not None:
            sights.extend(living(user).values())
        slay(family(process.pid) if whole else [process.pid])

    rule = gate.fault("", times=1, where=where, drop=True, acted=True, then=kill)
    out, err = process.communicate(timeout=400)
    gate.faults.remove(rule)
    assert process.returncode == (-signal.SIGKILL if rule.hits else 0), f"{words}: {out}\n{err}"
    return bool(rule.hits)


def in_clear(user, *needles):
    """Files of the user in which one of these stands, but for the private cache of the login key."""
    found = []
    for path in user.home.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.name not in LOGIN_KEYS:
            text = path.read_bytes().decode(errors="replace")
            found += [(str(path.relative_to(user.home)), needle[:20]) for needle in needles if needle in text]
    return found
