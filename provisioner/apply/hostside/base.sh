# The host's side of sealer-cloud: POSIX sh (dash, busybox ash, bash), nothing is installed on the host. A call carries
# this part, those that its verb needs, and `main.sh`, as: sh -c 'eval "$1"' sealer-host SCRIPT VERB DATA_ROOT NAME STATE_ROOT TMPFS_ROOT CID ARGS...
# Lines that start with a hash are left out on the wire, so they may say why. Nothing a host says is ever evaluated;
# the only text that is evaluated is env lines that the operator quoted.

set -u
set -f
umask 077
# Messages of tools are matched, and lengths are counted in bytes.
LC_ALL=C
export LC_ALL
PATH=${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}
export PATH

self=$1 verb=$2 data_root=$3 name=$4 state_root=$5 tmpfs_root=$6 cid=$7
shift 7
base=$data_root/$name
state=$state_root/$cid
tmpfs=$tmpfs_root/$cid
ledger=$state/ledger.jsonl
rootfs=$base/rootfs
nl='
'
boot_id=unknown
{ read -r boot_id </proc/sys/kernel/random/boot_id; } 2>/dev/null

LOG_LIMIT=67108864
TAIL_LIMIT=65536
OUTPUT_LIMIT=65536
LEDGER_LIMIT=8388608
KEPT_LIMIT=4194304

die() {
  printf '%s\n' "$2" >&2
  exit "$1"
}

# A reply stands behind a marker, as a login shell's start-up files may print too, and ends with @end, so that a cut
# reply is never taken for a whole one.
begin() { printf '\n@@sealer-1\n'; }
emit() { printf '@%s %d\n%s\n' "$1" "${#2}" "$2"; }
# NAME FILE LIMIT: nothing of a file that is larger; a part of it would look like the whole.
emit_file() {
  emit_size=0
  if [ -f "$2" ] && [ ! -L "$2" ]; then
    emit_size=$(wc -c <"$2")
    emit_size=$((emit_size))
    [ "$emit_size" -le "$3" ] || emit_size=0
  fi
  printf '@%s %d\n' "$1" "$emit_size"
  [ "$emit_size" -eq 0 ] || head -c "$emit_size" "$2"
  printf '\n'
}
finish() { printf '@end 0\n\n'; }

has() { command -v "$1" >/dev/null 2>&1; }
sync_paths() { sync "$@" 2>/dev/null || sync; }
sync_tree() { sync -f "$1" 2>/dev/null || sync; }
nap() { sleep 0.2 2>/dev/null || sleep 1; }

# Renames over a symlink without following it. Without -T a gap of microseconds stays where the name is missing.
replace() {
  mv -fT "$1" "$2" 2>/dev/null && return
  [ ! -L "$2" ] || rm -f "$2"
  mv -f "$1" "$2"
}

# First argument: a pid. Prints its start time in ticks, so that a pid used again is not taken for the old process.
start_of() {
  { IFS= read -r stat_line <"/proc/$1/stat"; } 2>/dev/null || return 1
  # shellcheck disable=SC2086
  set -- ${stat_line##*") "}
  case $1 in Z | X) return 1 ;; esac
  printf '%s' "${20}"
}

# PID SESSION
in_session() {
  { IFS= read -r stat_line <"/proc/$1/stat"; } 2>/dev/null || return 1
  # shellcheck disable=SC2086
  set -- "$2" ${stat_line##*") "}
  case $2 in Z | X) return 1 ;; esac
  [ "$5" = "$1" ]
}

# SIGNAL SESSION: everything in a session, also what made groups of its own.
signal_session() {
  set +f
  for proc in /proc/[0-9]*; do
    ! in_session "${proc#/proc/}" "$2" || kill "-$1" "${proc#/proc/}" 2>/dev/null
  done
  set -f
}

make_state() {
  [ -d "$state" ] && [ -d "$tmpfs" ] && return
  mkdir -p "$state_root" "$state" "$tmpfs_root" "$tmpfs" || die 75 "cannot make $state"
  chmod 700 "$state_root" "$state" "$tmpfs_root" "$tmpfs"
  sync_paths "$state_root"
}

# Copies exactly $1 bytes of stdin to file $2; nothing more is read, as a stream may follow.
take() {
  true >"$2" || return 1
  [ "$1" -gt 0 ] || return 0
  dd bs="$1" count=1 iflag=fullblock 2>/dev/null >"$2"
  [ "$(($(wc -c <"$2")))" -eq "$1" ]
}

# FILE with "pid start boot": does that process still live?
still() {
  [ -e "$1" ] || return 1
  s_pid= s_start= s_boot=
  read -r s_pid s_start s_boot <"$1"
  [ "$s_boot" = "$boot_id" ] && [ "$(start_of "$s_pid")" = "$s_start" ]
}

# FOLDER of a run: is its wrapper alive, or, if that was killed, the script itself?
alive() {
  [ -e "$1/pid" ] || return 1
  ! still "$1/pid" || return 0
  [ "$s_boot" = "$boot_id" ] && [ ! -e "$1/status" ] && [ -e "$1/child" ] || return 1
  read -r s_pid <"$1/child"
  in_session "$s_pid" "$s_pid"
}

# FOLDER of a run: nothing has begun, but somebody is about to; a slow disk may hold him up for long.
starting() {
  [ ! -e "$1/pid" ] && { still "$1/starter" || still "$1/pid.new"; }
}
