"""A host's disk before its first boot: what cloud-init would write, straight into the overlay's upper layer."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from drivers.local.names import Place
from drivers.local.sshd import SshServer
from drivers.local.state import HostInputs, HostRecord, disk_of, write_host_record
from provisioner.errors import PreconditionError, UsageError
from provisioner.model.secret import Secret

SSHD_CONFIG = """\
Port 22
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PidFile none
PrintMotd no
LogLevel ERROR
AcceptEnv LANG LC_*
MaxStartups 200
MaxSessions 200
SetEnv PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
Subsystem sftp internal-sftp
"""
NO_PENALTIES = "PerSourcePenalties no\n"
"""All logins come from one address, and a look whether the port answers is no attack (OpenSSH 9.8 and newer)."""

RESOLV_CONF = """\
# No name server: this network ends at this machine. A look-up fails at once instead of after seconds.
options timeout:1 attempts:1
"""
HOSTS = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
SHADOW = "root:*:20000:0:99999:7:::\n"
"""One line: `root:!` would be a locked account for a sshd without PAM."""

SSHD_USER = "sshd:x:{uid}:65534::/run/sshd:/usr/sbin/nologin"
SIGNALS = {"reboot": "USR1", "poweroff": "USR2", "halt": "USR2", "shutdown": "USR2"}
SHUTDOWN = """\
#!/bin/sh
# Tells the first process of this host; `shutdown -r` starts it again. With -f it never comes back, as the real one:
# who waits for an answer always sees the link die, and not now and then a success.
signal={signal} forced=
for word in "$@"; do
  case $word in
  -r | --reboot) signal=USR1 ;;
  -f | --force) forced=yes ;;
  esac
done
kill -s "$signal" 1
if [ -n "$forced" ]; then exec sleep 60; fi
"""


@dataclass(frozen=True, slots=True)
class HostKey:
    """A host's own key pair: the private half in OpenSSH's file format, the public half as one line."""

    private: Secret
    public: str


def new_host_key() -> HostKey:
    """A fresh ed25519 key pair."""
    # Here, as a run that changes nothing makes no key and need not wait for this import.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return HostKey(Secret(private.decode()), public.decode())


def make_disk(place: Place, inputs: HostInputs, address: str, machine_id: str, server: SshServer) -> HostRecord:
    """Make a disk and its record; the disk gets its name last, so that it is whole or absent, after a power loss too.

    Raises PreconditionError when the folder cannot be written.
    """
    disk = disk_of(place, inputs.name)
    half_made = disk.with_name("disk.new")
    key = new_host_key()
    record = HostRecord(inputs.name, inputs.slot, address, key.public, machine_id, inputs.login_public)
    try:
        shutil.rmtree(half_made, ignore_errors=True)
        for folder in (half_made, half_made / "upper", half_made / "work", half_made / "real"):
            _folder(folder, 0o755)
        _seed(half_made / "upper", record, key, server)
        write_host_record(place, record)
        _sync_tree(half_made)
        half_made.rename(disk)
        _sync(disk.parent)
    except OSError as error:
        raise PreconditionError(
            f"cannot write the disk of {inputs.name}: {error}", hint="is there space left?"
        ) from error
    return record


def checked_login(line: str) -> str:
    """A public key line. Raises UsageError for anything else: it becomes a line of authorized_keys."""
    text = line.strip()
    if "\n" in text or not text.startswith(("ssh-", "ecdsa-", "sk-")):
        raise UsageError("the login key is no OpenSSH public key line")
    return text


def _seed(upper: Path, record: HostRecord, key: HostKey, server: SshServer) -> None:
    for folder in ("etc", "etc/ssh", "usr", "usr/local", "usr/local/sbin"):
        _folder(upper / folder, 0o755)
    _folder(upper / "root", 0o700)
    _folder(upper / "root/.ssh", 0o700)
    _file(upper / "root/.ssh/authorized_keys", record.login_public + "\n", 0o600)
    _file(upper / "etc/hostname", record.name + "\n")
    _file(upper / "etc/hosts", HOSTS)
    _file(upper / "etc/resolv.conf", RESOLV_CONF)
    _file(upper / "etc/machine-id", record.machine_id + "\n", 0o444)
    _file(upper / "etc/shadow", SHADOW, 0o640)
    _file(upper / "etc/passwd", own_passwd(Path("/etc/passwd").read_text("utf-8", "replace")))
    _file(upper / "etc/ssh/ssh_host_ed25519_key", key.private.reveal(), 0o600)
    _file(upper / "etc/ssh/ssh_host_ed25519_key.pub", f"{key.public} {record.name}\n")
    _file(upper / "etc/ssh/sshd_config", SSHD_CONFIG + (NO_PENALTIES if server.has_penalties else ""))
    for name, signal in SIGNALS.items():
        _file(upper / "usr/local/sbin" / name, SHUTDOWN.format(signal=signal), 0o755)
    for source, target in server.files:
        _copy(source, upper, target)


def own_passwd(machine: str) -> str:
    """A host's /etc/passwd: the machine's system accounts, a plain root, and sshd's own user."""
    lines = [line.split(":") for line in machine.splitlines() if line.count(":") == 6]  # noqa: PLR2004 - passwd(5)
    system = [f for f in lines if f[2].isdigit() and (0 < int(f[2]) < 1000 or f[0] == "nobody")]  # noqa: PLR2004
    kept = [":".join(f) for f in system]
    if not any(f[0] == "sshd" for f in system):
        used = {int(f[2]) for f in system}
        kept.append(SSHD_USER.format(uid=next(uid for uid in range(990, 0, -1) if uid not in used)))
    shell = "/bin/bash" if Path("/bin/bash").exists() else "/bin/sh"
    return "\n".join((f"root:x:0:0:root:/root:{shell}", *kept)) + "\n"


def _sync_tree(folder: Path) -> None:
    for at, _, names in os.walk(folder):
        for path in (*(Path(at, name) for name in names), Path(at)):
            _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy(source: Path, upper: Path, target: str) -> None:
    folder = upper
    for part in Path(target).parent.parts:
        folder /= part
        _folder(folder, 0o755)
    shutil.copyfile(source, upper / target)
    (upper / target).chmod(0o755)


def _folder(path: Path, mode: int) -> None:
    path.mkdir(exist_ok=True)
    path.chmod(mode)  # whatever our caller's umask is


def _file(path: Path, text: str, mode: int = 0o644) -> None:
    path.touch(0o600)
    path.chmod(mode)
    path.write_text(text, "utf-8")
