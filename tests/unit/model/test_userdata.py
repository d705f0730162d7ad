"""User-data: what it leaves below a root, however often it runs, under every shell. A real host: tests/contract/identity."""

import os
import shutil
import subprocess

import pytest

from provisioner.errors import UsageError
from provisioner.model.userdata import LIMIT, REPLACED, power_off_script, user_data
from provisioner.plugin.keys import make_keys
from tests.fakes.hosts import busybox_path

BOOTSTRAP, LOGIN = make_keys("boot-abcdef"), make_keys("login-abcdef")
PUBLIC = " ".join(BOOTSTRAP.login_public.split()[:2])
CONFIG = """\
# the image's own
Include /etc/ssh/sshd_config.d/*.conf
Port 22
PasswordAuthentication yes
  hostkey /etc/ssh/ssh_host_rsa_key
HostbasedAuthentication no
"""


def script(**changed):
    values = {
        "host": "m1",
        "bootstrap_private": BOOTSTRAP.login_private,
        "bootstrap_public": BOOTSTRAP.login_public,
        "login_public": LOGIN.login_public,
        "user": "root",
        "power_off_at": None,
    }
    return user_data(**{**values, **changed})


@pytest.fixture(scope="session")
def applets(tmp_path_factory):
    with busybox_path(tmp_path_factory.mktemp("userdata") / "busybox") as path:
        yield path


@pytest.fixture(params=["dash", pytest.param("busybox", marks=pytest.mark.slow)])
def boot(request, tmp_path):
    """Run a script as a machine's boot does; the machine's root is a folder."""
    path = request.getfixturevalue("applets") if request.param == "busybox" else os.environ["PATH"]
    shell = shutil.which("dash" if request.param == "dash" else "sh", path=path) or "/bin/sh"
    root = tmp_path / "root"
    (root / "etc/ssh/sshd_config.d").mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nops:x:1000:1000::/home/ops:/bin/sh\n")
    (root / "etc/ssh/sshd_config").write_text(CONFIG)
    (root / "etc/ssh/sshd_config.d/50-cloud.conf").write_text("HostKey /x\nPasswordAuthentication yes\n")
    for name in ("ssh_host_rsa_key", "ssh_host_rsa_key.pub", "ssh_host_ed25519_key"):
        (root / "etc/ssh" / name).write_text("the image's own")

    def run(text):
        assert text.startswith("#!/bin/sh\n")
        env = {"PATH": path, "SEALER_ROOT": str(root)}
        done = subprocess.run([shell], input=text, text=True, env=env, capture_output=True, timeout=60, check=False)
        errors = [line for line in done.stderr.splitlines() if "chown" not in line]  # who is not root may not
        assert (done.stdout, errors) == ("", [])
        return root

    return run


def files(root):
    return {str(p.relative_to(root)): p.read_text() for p in sorted(root.rglob("*")) if p.is_file()}


def mode(path):
    return oct(path.stat().st_mode & 0o777)


def test_one_host_key_one_login_key_no_password(boot):
    root = boot(script())
    ssh = root / "etc/ssh"
    assert (ssh / "ssh_host_ed25519_key").read_text() == BOOTSTRAP.login_private
    assert mode(ssh / "ssh_host_ed25519_key") == "0o600"
    assert (ssh / "ssh_host_ed25519_key.pub").read_text() == f"{PUBLIC}\n"
    assert not (ssh / "ssh_host_rsa_key").exists()
    assert (root / "root/.ssh/authorized_keys").read_text() == f"{LOGIN.login_public}\n"
    assert mode(root / "root/.ssh/authorized_keys") == "0o600"
    lines = (ssh / "sshd_config").read_text().splitlines()
    assert lines.index("PasswordAuthentication no") < lines.index("PasswordAuthentication yes"), "the first one counts"
    assert [line for line in lines if line.lower().startswith("hostkey")] == ["HostKey /etc/ssh/ssh_host_ed25519_key"]
    assert "HostbasedAuthentication no" in lines
    assert "PermitRootLogin without-password" in lines
    assert (ssh / "sshd_config.d/50-cloud.conf").read_text() == "#HostKey /x\nPasswordAuthentication yes\n"
    assert not (root / "etc/sudoers.d").exists()


def test_running_it_again_changes_nothing(boot):
    text = script(user="ops", power_off_at="2026-11-24T19:00:00Z")
    once = files(boot(text))
    assert files(boot(text)) == once
    assert not [name for name in once if name.endswith(".sealer")]


def test_another_user_has_sudo_without_a_password(boot):
    root = boot(script(user="ops"))
    assert (root / "home/ops/.ssh/authorized_keys").read_text() == f"{LOGIN.login_public}\n"
    assert (root / "etc/sudoers.d/sealer-cloud").read_text() == "ops ALL=(ALL) NOPASSWD:ALL\n"
    assert mode(root / "etc/sudoers.d/sealer-cloud") == "0o440"
    assert "PermitRootLogin no" in (root / "etc/ssh/sshd_config").read_text()


def test_a_key_that_was_replaced_never_comes_back(boot):
    root = boot(script())
    (root / REPLACED[1:]).write_text(f"{PUBLIC}\n")
    (root / "etc/ssh/ssh_host_ed25519_key").write_text("the lasting one")
    assert (boot(script()) / "etc/ssh/ssh_host_ed25519_key").read_text() == "the lasting one"


def test_a_machine_from_another_ones_disk_takes_its_own_key(boot):
    root = boot(script())
    (root / REPLACED[1:]).write_text("ssh-ed25519 AAAAother\n")
    (root / "etc/ssh/ssh_host_ed25519_key").write_text("another machine's")
    assert (boot(script()) / "etc/ssh/ssh_host_ed25519_key").read_text() == BOOTSTRAP.login_private
    assert not (root / REPLACED[1:]).exists()


def test_the_deadline_is_moved_and_taken_away(boot):
    at = boot(script(power_off_at="2026-11-24T19:00:00+01:00")) / "etc/sealer-cloud/power-off-at"
    assert at.read_text() == "1795543200\n"
    boot(power_off_script("2026-11-24T19:00:00Z"))
    assert at.read_text() == "1795546800\n"
    boot(power_off_script(None))
    assert not at.exists()


def test_a_deadline_that_is_past_ends_the_machine(boot, tmp_path):
    root = boot(power_off_script("2020-01-01T00:00:00Z"))
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "systemctl").write_text("#!/bin/sh\nexit 1\n")
    (tools / "poweroff").write_text(f"#!/bin/sh\n: >'{tmp_path}/off'\n")
    for tool in tools.iterdir():
        tool.chmod(0o755)
    timer = root / "etc/sealer-cloud/power-off.sh"
    subprocess.run(["sh", str(timer)], env={"PATH": f"{tools}:{os.environ['PATH']}"}, timeout=20, check=True)
    assert (tmp_path / "off").exists()


def test_it_is_small():
    assert len(script(user="ops", power_off_at="2026-11-24T19:00:00Z").encode()) < LIMIT * 3 / 4
    with pytest.raises(UsageError, match="larger than 8 KiB"):
        script(login_public="ssh-rsa AAAA" + "A" * LIMIT)


@pytest.mark.parametrize(
    "changed",
    [
        {"user": "a b"},
        {"user": "$(id)"},
        {"login_public": "ssh-ed25519 AAAA\nevil"},
        {"login_public": "no key at all!"},
        {"bootstrap_public": "ssh-ed25519 'x'"},
        {"bootstrap_private": "canary"},
        {"bootstrap_private": f"{BOOTSTRAP.login_private}END\nevil"},
    ],
)
def test_what_is_no_key_or_user_is_refused(changed):
    with pytest.raises(UsageError) as caught:
        script(**changed)
    assert "canary" not in str(caught.value)


def test_a_comment_and_a_name_are_only_text(boot):
    root = boot(
        script(host="m1\n$(touch /x)", login_public=f"{' '.join(LOGIN.login_public.split()[:2])} $(id) `id` it's")
    )
    assert (root / "root/.ssh/authorized_keys").read_text().endswith("$(id) `id` its\n")


def test_times_need_a_zone():
    with pytest.raises(ValueError, match="no time zone"):
        power_off_script("2026-11-24T19:00:00")
