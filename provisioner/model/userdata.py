"""What a machine that a cloud makes runs at its first boot: who may log in, and which host key it shows. Pure.

POSIX sh and the tools that every distribution has; safe to repeat, also at each boot. `SEALER_ROOT` (tests) puts another
folder in front of all paths and leaves the running system alone.
"""

from __future__ import annotations

import re
import shlex
from datetime import datetime

from provisioner.errors import UsageError

LIMIT = 8 << 10
"""Bytes: half of what the stricter cloud takes, so that a driver may wrap it."""

HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"
REPLACED = "/etc/ssh/sealer-cloud-replaced"
"""Holds the bootstrap key that a lasting one has replaced: then user-data never lays that one again."""

_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_LINE = re.compile(r"[a-z0-9@.-]+ AAAA[A-Za-z0-9+/=]+( [\x20-\x7e]*)?")
_PEM = re.compile(r"-----BEGIN OPENSSH PRIVATE KEY-----\n[A-Za-z0-9+/=\n]+-----END OPENSSH PRIVATE KEY-----\n?")

RELOAD_SSHD = """\
reload_sshd() {
  [ -z "$R" ] || return 0
  if [ -d /run/systemd/system ]; then
    for unit in ssh sshd; do
      case $(systemctl is-active "$unit" 2>/dev/null) in
        active | reloading) systemctl reload "$unit" || systemctl restart "$unit" ;;
        activating | failed) systemctl restart "$unit" ;;
      esac
    done
    return 0
  fi
  # Without systemd the signal is what every start script would send; sessions of one login are passed over.
  for proc in /proc/[0-9]*; do
    [ "$(cat "$proc/comm" 2>/dev/null)" = sshd ] || continue
    case $(tr '\\0' ' ' <"$proc/cmdline" 2>/dev/null) in
      'sshd: '*'[listener]'*) kill -HUP "${proc#/proc/}" ;;
      'sshd: '* | *' -R '* | '') ;;
      *) kill -HUP "${proc#/proc/}" ;;
    esac
  done
}
"""
"""A shell function: the listening sshd reads its configuration and keys anew, open sessions live on. `$R` as below."""

_HEAD = """\
#!/bin/sh
# sealer-cloud: @ABOUT@
umask 077
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
R=${SEALER_ROOT-}
lay() { # MODE FILE: standard input, whole or not at all
  cat >"$2.sealer" && chmod "$1" "$2.sealer" && mv -f "$2.sealer" "$2"
}
"""

_HOST_KEY = """\
mkdir -p "$R/etc/ssh"
if [ "$(cat "$R@REPLACED@" 2>/dev/null)" != '@BOOTSTRAP_PUBLIC@' ]; then
  rm -f "$R@REPLACED@"
  lay 600 "$R@KEY@" <<'END'
@BOOTSTRAP_PRIVATE@
END
  echo '@BOOTSTRAP_PUBLIC@' | lay 644 "$R@KEY@.pub"
fi
for key in "$R"/etc/ssh/ssh_host_*; do
  case $key in "$R@KEY@" | "$R@KEY@.pub") ;; *) rm -f "$key" ;; esac
done
"""

# The first value of an option wins, so ours stand at the top; a sshd before 8.2 knows no Include. Host keys add up
# instead, so other lines for them go. The old names of two options are understood by every sshd.
_SSHD = """\
conf=$R/etc/ssh/sshd_config
[ -s "$conf" ] || cat "$R/usr/etc/ssh/sshd_config" 2>/dev/null | lay 644 "$conf"
ours='/^# sealer-cloud begin/,/^# sealer-cloud end/d'
keys='s/^[[:blank:]]*[Hh][Oo][Ss][Tt][KkCc][Ee][YyRr]/#&/'
for file in "$conf" "$R"/etc/ssh/sshd_config.d/*.conf; do
  [ -f "$file" ] || continue
  {
    [ "$file" != "$conf" ] || cat <<'END'
# sealer-cloud begin
HostKey @KEY@
PubkeyAuthentication yes
PasswordAuthentication no
ChallengeResponseAuthentication no
PermitRootLogin @ROOT_LOGIN@
AuthorizedKeysFile .ssh/authorized_keys
# sealer-cloud end
END
    sed -e "$ours" -e "$keys" "$file"
  } >"$file.sealer" && chmod 644 "$file.sealer" && mv -f "$file.sealer" "$file"
done
"""

_LOGIN = """\
user=@USER@
home_of() { sed -n "s/^$user:[^:]*:[^:]*:[^:]*:[^:]*:\\([^:]*\\):.*/\\1/p" "$R/etc/passwd"; }
if [ -z "$(home_of)" ] && [ -z "$R" ]; then
  useradd -m -s /bin/sh "$user" || adduser -D -s /bin/sh "$user"
  sed -i "s/^$user:!*:/$user:*:/" /etc/shadow # a locked account may not log in by key either
fi
home=$R$(home_of)
mkdir -p "$home/.ssh"
echo '@LOGIN@' | lay 600 "$home/.ssh/authorized_keys"
chown -R "$user:" "$home/.ssh"
"""

_SUDO = """\
mkdir -p "$R/etc/sudoers.d"
echo "$user ALL=(ALL) NOPASSWD:ALL" | lay 440 "$R/etc/sudoers.d/sealer-cloud"
"""

_END = """\
! command -v restorecon >/dev/null 2>&1 || [ -n "$R" ] || restorecon -R /etc/ssh "$home/.ssh"
reload_sshd
"""

_NO_TIMER = """\
rm -f "$R/etc/sealer-cloud/power-off-at"
"""

# A timer of systemd-run would not outlive a reboot; the deadline is read anew each time, as it may be moved.
_TIMER = """\
folder=$R/etc/sealer-cloud
mkdir -p "$folder"
echo @AT@ | lay 644 "$folder/power-off-at"
lay 755 "$folder/power-off.sh" <<'END'
#!/bin/sh
while at=$(cat "${0%/*}/power-off-at" 2>/dev/null) && [ -n "$at" ]; do
  left=$((at - $(date +%s)))
  if [ "$left" -le 0 ]; then
    systemctl poweroff 2>/dev/null || poweroff || shutdown -h now
    exit
  fi
  [ "$left" -le 30 ] || left=30
  sleep "$left"
done
END
if [ -z "$R" ] && [ -d /run/systemd/system ]; then
  lay 644 /etc/systemd/system/sealer-cloud-power-off.service <<'END'
[Unit]
Description=Ends this machine at the deadline of its cluster
[Service]
ExecStart=/bin/sh /etc/sealer-cloud/power-off.sh
[Install]
WantedBy=multi-user.target
END
  systemctl daemon-reload
  systemctl enable sealer-cloud-power-off.service
  systemctl --no-block restart sealer-cloud-power-off.service
elif [ -z "$R" ] && ! kill -0 "$(cat /run/sealer-cloud-power-off.pid 2>/dev/null)" 2>/dev/null; then
  nohup sh "$folder/power-off.sh" </dev/null >/dev/null 2>&1 &
  echo $! >/run/sealer-cloud-power-off.pid
fi
"""


def user_data(
    *, host: str, bootstrap_private: str, bootstrap_public: str, login_public: str, user: str, power_off_at: str | None
) -> str:
    """The script, run as root at boot: shows the bootstrap host key alone, lets `login_public` alone in, as `user`.

    No password is set and none is accepted; a user other than root may use sudo without one. `power_off_at` (RFC 3339) is
    when the machine turns itself off. Raises UsageError for a value that is not what its name says, ValueError for a time.
    """
    public = " ".join(_line(bootstrap_public, "the host key").split()[:2])
    values = {
        "ABOUT": f"the first boot of {re.sub(r'[^A-Za-z0-9.-]', '-', host)}; its host key is replaced at the first login",
        "KEY": HOST_KEY,
        "REPLACED": REPLACED,
        "BOOTSTRAP_PRIVATE": _private(bootstrap_private),
        "BOOTSTRAP_PUBLIC": public,
        "LOGIN": _line(login_public, "the login key").replace("'", ""),
        "USER": _user(user),
        "ROOT_LOGIN": "without-password" if user == "root" else "no",
    }
    sudo = "" if user == "root" else _SUDO
    script = _filled(_HEAD + RELOAD_SSHD + _HOST_KEY + _SSHD + _LOGIN + sudo + _END, values) + _timer(power_off_at)
    if len(script.encode()) > LIMIT:
        raise UsageError(f"the user-data of {host} is larger than {LIMIT >> 10} KiB", hint="use an ed25519 login key")
    return script


def power_off_script(power_off_at: str | None) -> str:
    """A script that moves the deadline of a machine that runs already, or (None) takes it away. Run as root."""
    return _filled(_HEAD, {"ABOUT": "the deadline of this machine"}) + (
        _NO_TIMER if power_off_at is None else _timer(power_off_at)
    )


def _timer(power_off_at: str | None) -> str:
    if power_off_at is None:
        return ""
    at = datetime.fromisoformat(power_off_at)
    if at.tzinfo is None:
        raise ValueError(f"{power_off_at!r} has no time zone")
    return _filled(_TIMER, {"AT": str(int(at.timestamp()))})


def _filled(text: str, values: dict[str, str]) -> str:
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text


def _user(user: str) -> str:
    if not _USER.fullmatch(user):
        raise UsageError(f"{user!r} is no user name", hint="use lower-case letters, digits, dashes, underscores")
    return shlex.quote(user)


def _line(text: str, what: str) -> str:
    line = text.strip()
    if not _LINE.fullmatch(line):
        raise UsageError(f"{what} is no OpenSSH public key line")
    return line


def _private(text: str) -> str:
    if not _PEM.fullmatch(text):
        raise UsageError("the host's private key is not in OpenSSH form")  # and never says what it is
    return text.strip()
