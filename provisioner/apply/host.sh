# The host's side of sealer-cloud, whole: POSIX sh (dash, busybox ash, bash), nothing is installed on the host.
# Sent with every call as: sh -c 'eval "$1"' sealer-host SCRIPT VERB DATA_ROOT NAME STATE_ROOT TMPFS_ROOT CID ARGS...
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

# ---- replies -------------------------------------------------------------------------------------------------------

die() {
  printf '%s\n' "$2" >&2
  exit "$1"
}

# A reply stands behind a marker, as a login shell's start-up files may print too, and ends with @end, so that a cut
# reply is never taken for a whole one.
begin() { printf '\n@@sealer-1\n'; }
emit() { printf '@%s %d\n%s\n' "$1" "${#2}" "$2"; }
emit_file() {
  emit_size=0
  if [ -f "$2" ] && [ ! -L "$2" ]; then
    emit_size=$(wc -c <"$2")
    emit_size=$((emit_size))
    [ "$emit_size" -le "$3" ] || emit_size=$3
  fi
  printf '@%s %d\n' "$1" "$emit_size"
  [ "$emit_size" -eq 0 ] || head -c "$emit_size" "$2"
  printf '\n'
}
finish() { printf '@end 0\n\n'; }

# ---- small tools ---------------------------------------------------------------------------------------------------

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
}

# Copies exactly $1 bytes of stdin to file $2; nothing more is read, as a stream may follow.
take() {
  true >"$2" || return 1
  [ "$1" -gt 0 ] || return 0
  dd bs="$1" count=1 iflag=fullblock 2>/dev/null >"$2"
  [ "$(($(wc -c <"$2")))" -eq "$1" ]
}

# ---- ledger --------------------------------------------------------------------------------------------------------

# EVENT RC FIELDS: one line, one write, on disk before this returns. FIELDS come as JSON from the operator.
ledger_append() {
  make_state
  if has flock; then
    (
      flock 9
      append_line "$@"
    ) 9>>"$state/ledger.lock"
  else
    append_line "$@"
  fi
}

append_line() {
  if [ ! -e "$ledger" ]; then
    true >>"$ledger" || return 1
    sync_paths "$state"
  fi
  seq=$(($(wc -l <"$ledger")))
  # A power loss may have cut the last line: it never counted, so it goes before the next one is written.
  if [ -n "$(tail -c 1 "$ledger" | tr '\000' x)" ]; then
    head -n "$seq" "$ledger" >"$ledger.cut" && sync_paths "$ledger.cut" && mv -f "$ledger.cut" "$ledger" || return 1
  fi
  prev=
  if [ "$seq" -gt 0 ]; then
    prev=$(tail -n 1 "$ledger" | tr -d '\n' | sha256sum)
    prev=${prev%% *}
  fi
  printf '{"v":1,"seq":%d,"prev":"%s","time":"%s",%s,"event":"%s","boot_id":"%s","rc":%s}\n' "$((seq + 1))" "$prev" \
    "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$3" "$1" "$boot_id" "$2" >>"$ledger" || return 1
  sync_paths "$ledger"
}

# KIND: true if the last result of that kind is a success; of this boot, with a second argument.
last_was_ok() {
  [ -f "$ledger" ] || return 1
  found=$(grep -F "\"kind\":\"$1\"" "$ledger" | grep -F '"event":"result"' | tail -n 1)
  case $found in *'"rc":0}') ;; *) return 1 ;; esac
  [ $# -eq 1 ] && return 0
  case $found in *"\"boot_id\":\"$boot_id\""*) return 0 ;; esac
  return 1
}

# FILE with key=value lines (secret: before the key hides one): later ones win over earlier ones.
merge_outputs() {
  [ -s "$1" ] || return 0
  all=$state/outputs
  head -c "$OUTPUT_LIMIT" "$1" | while IFS= read -r line || [ -n "$line" ]; do
    key=${line#secret:}
    case $key in *=*) key=${key%%=*} ;; *) continue ;; esac
    case $key in '' | *[!A-Za-z0-9_.-]*) continue ;; esac
    pattern=$(printf '%s' "$key" | sed 's/\./\\./g')
    {
      [ ! -f "$all" ] || grep -v -e "^$pattern=" -e "^secret:$pattern=" "$all"
      printf '%s\n' "$line"
    } >"$all.new"
    [ "$(($(wc -c <"$all.new")))" -le "$OUTPUT_LIMIT" ] || break
    sync_paths "$all.new" && mv -f "$all.new" "$all"
  done
  rm -f "$all.new"
}

# ---- scripts -------------------------------------------------------------------------------------------------------

# Runs in its own process. $1 where its pid goes, $2 where its output lines go, $3 folder, $4 script|command, then words.
# The env text comes in SEALER_ENV or, with SEALER_ENV_FILE, from a file that is gone before anything else happens.
# After the eval only positional parameters are used: a user's variable may have any name.
launch='
if [ -n "${SEALER_ENV_FILE-}" ]; then
  SEALER_ENV=$(cat "$SEALER_ENV_FILE") || exit 120
  rm -f "$SEALER_ENV_FILE"
fi
[ -z "$1" ] || printf "%s\n" "$$" >"$1" || exit 120
cd "$3" || exit 120
if [ "$4" = script ] && [ ! -x "$5" ]; then set -- "$1" "$2" "$3" "$4" sh "$5"; fi
unset LC_ALL SEALER_ENV_FILE SSH_CLIENT SSH_CONNECTION SSH_TTY
umask 022
eval "${SEALER_ENV-}"
unset SEALER_ENV
SEALER_OUTPUT=$2
export SEALER_OUTPUT
shift 4
exec "$@"
'

# SECONDS FOLDER SCRIPT with the env text in $env_text: its stdout passes. What it leaves behind is killed.
bounded() {
  SEALER_ENV=$env_text setsid sh -c "$launch" sealer-step '' /dev/null "$2" script "$3" </dev/null 2>/dev/null &
  child=$!
  setsid sh -c 'sleep "$1"; kill -KILL "-$2"' sealer-watch "$1" "$child" </dev/null >/dev/null 2>&1 &
  watcher=$!
  wait "$child" 2>/dev/null
  bounded_rc=$?
  kill -KILL "-$watcher" 2>/dev/null || kill -KILL "$watcher" 2>/dev/null
  kill -KILL "-$child" 2>/dev/null
  return "$bounded_rc"
}

ask_health() {
  [ -f "$rootfs/scripts/health.sh" ] || return 0
  if [ -e "$rootfs/scripts/start.sh" ]; then last_was_ok start boot || return 0; else last_was_ok rootfs || return 0; fi
  emit_look "$1" "$rootfs" ./scripts/health.sh
}

# SECONDS FOLDER SCRIPT: emits its exit status and the end of its stdout. The status passes the pipe as the last line.
emit_look() {
  look=$({
    bounded "$@"
    printf '\n%d' "$?"
  } | tail -c 4096 | tr -d '\000')
  emit health_rc "${look##*"$nl"}"
  emit health_tail "${look%"$nl"*}"
}

# ---- read ----------------------------------------------------------------------------------------------------------

facts() {
  mem=0
  while read -r label number _; do
    [ "$label" != MemTotal: ] || mem=$number
  done </proc/meminfo
  near=$data_root
  while [ ! -d "$near" ]; do
    near=${near%/*}
    [ -n "$near" ] || near=/
  done
  free=$(df -Pk "$near" 2>/dev/null | tail -n 1 | sed -n 's/.* \([0-9][0-9]*\)  *[0-9-][0-9]*%* .*/\1/p')
  printf 'arch=%s\ncpus=%s\nmemory_kib=%s\ndisk_free_kib=%s\nboot_id=%s\nuid=%s\n' \
    "$(uname -m)" "$(nproc 2>/dev/null || grep -c '^processor' /proc/cpuinfo)" "$mem" "${free:-0}" "$boot_id" "$(id -u)"
}

listening() {
  for table in /proc/net/tcp /proc/net/tcp6; do
    [ -r "$table" ] || continue
    while read -r _ address _ st _; do
      [ "$st" != 0A ] || printf '%d\n' "$((0x${address##*:}))"
    done <"$table"
  done
}

others() {
  set +f
  for folder in "$state_root"/*; do
    [ "$folder" = "$state" ] || [ ! -f "$folder/ledger.jsonl" ] || printf '%s\n' "${folder##*/}"
  done
  set -f
}

laid() {
  set +f
  for folder in "$base"/rootfs.d/*; do
    short=${folder##*/}
    [ "${#short}" -ne 64 ] || [ ! -d "$folder" ] || [ -L "$folder" ] || printf '%s\n' "$short"
  done
  set -f
}

open_runs() {
  set +f
  for folder in "$state"/runs/*/*; do
    [ -e "$folder/pid" ] && [ ! -e "$folder/recorded" ] || continue
    life=dead
    ! alive "$folder" || life=alive
    run_of=${folder%/*}
    printf '%s %s %s %s\n' "$life" "$(cat "$folder/status" 2>/dev/null || echo -)" "${run_of##*/}" \
      "$(cat "$folder/step")"
  done
  set -f
}

# SECONDS COMMANDS...: SECONDS 0 leaves health out. stdin: env text for health.sh. Writes nothing anywhere.
verb_read() {
  env_text=$(cat)
  seconds=$1
  shift
  begin
  emit facts "$(facts)"
  tools=
  for tool in "$@"; do
    ! has "$tool" || tools="$tools$tool$nl"
  done
  # `mv -T` is a tool of its own: without it the switch of the link has a gap.
  ! mv --help 2>&1 | grep -q -e '-T' || tools="${tools}mv-T$nl"
  emit tools "$tools"
  emit ports "$(listening)"
  emit others "$(others)"
  if [ -e "$base" ] && [ ! -d "$state" ]; then emit taken yes; else emit taken no; fi
  emit laid "$(laid)"
  emit current "$(readlink "$rootfs" 2>/dev/null)"
  emit open_runs "$(open_runs)"
  emit_file ledger "$ledger" "$LEDGER_LIMIT"
  emit_file outputs "$state/outputs" "$OUTPUT_LIMIT"
  [ "$seconds" -eq 0 ] || ask_health "$seconds"
  finish
}

# SECONDS: one look. stdin: env text.
verb_health() {
  env_text=$(cat)
  begin
  if [ -f "$rootfs/scripts/health.sh" ]; then emit_look "$1" "$rootfs" ./scripts/health.sh; fi
  finish
}

# SECONDS ENVLEN: stdin is the env text of that length, then a script; it runs from tmpfs and is removed.
verb_probe() {
  # The folder is made only if it must be, and goes again: a refused host is left as it was.
  mkdir -p "$tmpfs_root" && work=$(mktemp -d "$tmpfs_root/probe.XXXXXX") || die 75 "cannot make a folder in $tmpfs_root"
  trap 'rm -rf "$work"; rmdir "$tmpfs_root" 2>/dev/null' EXIT
  take "$2" "$work/env" || die 74 'the stream was cut'
  env_text=$(cat "$work/env")
  cat >"$work/body"
  # tmpfs is often mounted noexec, so the interpreter is called by hand.
  { IFS= read -r first <"$work/body"; } 2>/dev/null
  case ${first-} in '#!'*) first=${first#??} ;; *) first=/bin/sh ;; esac
  printf '#!/bin/sh\nexec %s "%s"\n' "$first" "$work/body" >"$work/start"
  begin
  emit_look "$1" "$work" ./start
  finish
}

# ---- rootfs --------------------------------------------------------------------------------------------------------

# HEX RUN: points the link at a laid rootfs by one rename, then drops what is older than the one before.
switch() {
  target=rootfs.d/$1
  if [ -e "$rootfs" ] && [ ! -L "$rootfs" ]; then
    echo "$rootfs is no link of ours" >&2
    return 76
  fi
  before=$(readlink "$rootfs" 2>/dev/null)
  [ "$before" != "$target" ] || return 0
  rm -f "$base/.rootfs.$2"
  ln -s "$target" "$base/.rootfs.$2" && replace "$base/.rootfs.$2" "$rootfs" || return 71
  sync_paths "$base"
  set +f
  for folder in "$base"/rootfs.d/*; do
    case ${folder##*/} in "$1" | "${before##*/}") ;; *) rm -rf "$folder" ;; esac
  done
  set -f
}

ready_base() {
  (
    umask 022
    mkdir -p "$base/rootfs.d" "$base/data"
  ) || die 71 "cannot make $base"
}

# HEX RUN FIELDS: the digest lies whole on this host; only the link moves. 77: it does not lie here.
verb_switch() {
  [ -d "$base/rootfs.d/$1" ] || die 77 "$1 is not laid here"
  ledger_append intent null "$3" || die 71 'the ledger cannot be written'
  switch "$1" "$2"
  rc=$?
  ledger_append result "$rc" "$3" || die 71 'the ledger cannot be written'
  exit "$rc"
}

# HEX RUN CODEC MANIFEST_LENGTH FILES LINKS FIELDS. stdin: manifest, then a tar stream.
verb_lay() {
  hex=$1 run=$2
  ready_base
  ledger_append intent null "$7" || die 71 'the ledger cannot be written'
  # Life signs on stdout: verifying and syncing may take longer than a silent link is trusted.
  (while :; do
    sleep 5 >/dev/null 2>&1
    printf .
  done) </dev/null 2>/dev/null &
  beat=$!
  lay "$@"
  rc=$?
  kill "$beat" 2>/dev/null
  [ "$rc" -eq 0 ] || rm -rf "$base/rootfs.d/$hex.new-$run" "$state/manifest.new"
  ledger_append result "$rc" "$7" || die 71 'the ledger cannot be written'
  exit "$rc"
}

lay() {
  new=$base/rootfs.d/$1.new-$2
  # What a dead run left is never built upon.
  set +f
  rm -rf "$base"/rootfs.d/*.new-* "$base"/.rootfs.*
  set -f
  take "$4" "$state/manifest.new" || {
    echo 'the stream was cut in the manifest' >&2
    return 74
  }
  mkdir "$new" && mkdir -m 755 "$new/rootfs" || return 71
  unpack "$3" "$new" || return
  verify "$5" "$6" || return
  sync_tree "$new"
  [ -d "$base/rootfs.d/$1" ] || mv "$new/rootfs" "$base/rootfs.d/$1" || return 71
  sync_paths "$base/rootfs.d"
  rm -rf "$new"
  mv -f "$state/manifest.new" "$state/manifest" || return 71
  switch "$1" "$2"
}

# CODEC FOLDER: 71 no space, 73 the stream is no good archive.
unpack() {
  errors=$(
    umask 022
    {
      case $1 in
      zstd) zstd -dcq 2>&3 || echo 'zstd failed' >&3 ;;
      *) cat ;;
      esac | tar -x -p -o -f - -C "$2/rootfs" 2>&3 || echo 'tar failed' >&3
    } 3>&1 >/dev/null | tail -n 6
  )
  case $errors in
  '') return 0 ;;
  *'No space left'*) unpack_rc=71 ;;
  *failed*) unpack_rc=73 ;;
  *) return 0 ;;
  esac
  printf '%s\n' "$errors" >&2
  return "$unpack_rc"
}

# FILES LINKS: every file has the digest that the manifest says, and nothing is missing or extra. 72 if not.
verify() {
  counts="$(($(find "$new/rootfs" -type f | wc -l))) $(($(find "$new/rootfs" -type l | wc -l)))"
  if [ "$counts" != "$1 $2" ]; then
    echo "files and links: $counts laid, $1 $2 wanted" >&2
    return 72
  fi
  [ "$1" -gt 0 ] || return 0
  wrong=$(
    cd "$new/rootfs" || { echo 'digests differ'; exit; }
    { sha256sum -c "$state/manifest.new" 2>&1 || echo 'digests differ'; } | grep -v ': OK$' | tail -n 6
  )
  case $wrong in
  *'digests differ'*)
    printf '%s\n' "$wrong" >&2
    return 72
    ;;
  esac
}

# ---- files ---------------------------------------------------------------------------------------------------------

# PATH MODE LENGTH RUN FIELDS. stdin: the content. 78: the path leads out of the rootfs.
verb_put() {
  [ -d "$rootfs/" ] || die 77 "no rootfs is laid at $rootfs"
  ledger_append intent null "$5" || die 71 'the ledger cannot be written'
  put "$@"
  rc=$?
  ledger_append result "$rc" "$5" || die 71 'the ledger cannot be written'
  exit "$rc"
}

put() {
  put_mode=$2 put_length=$3 put_run=$4
  file=${1##*/}
  folder=
  case $1 in */*) folder=${1%/*} ;; esac
  case $file in '' | . | ..) put_out "$1" || return ;; esac
  enter "$folder" || put_out "$1" || return
  if [ -d "./$file" ] && [ ! -L "./$file" ]; then
    echo "$1 is a folder" >&2
    return 78
  fi
  temporary=./.$file.$put_run.tmp
  rm -f "$temporary"
  (
    set -C
    cat >"$temporary"
  ) && chmod "$put_mode" "$temporary" && [ "$(($(wc -c <"$temporary")))" -eq "$put_length" ] &&
    sync_paths "$temporary" && replace "$temporary" "./$file" && sync_paths . && return 0
  rm -f "$temporary"
  echo "cannot write $1" >&2
  return 71
}

put_out() {
  echo "$1: its folder leads out of the rootfs or cannot be entered" >&2
  return 78
}

# FOLDER below the rootfs: goes there step by step, making what is missing, never leaving the rootfs.
enter() {
  cd -P "$rootfs/" || return 1
  root=$(pwd -P)
  rest=$1
  while [ -n "$rest" ]; do
    part=${rest%%/*}
    case $rest in */*) rest=${rest#*/} ;; *) rest= ;; esac
    case $part in '' | . | ..) return 1 ;; esac
    [ -d "./$part" ] || (
      umask 022
      mkdir "./$part"
    ) || return 1
    cd -P "./$part" || return 1
    case $(pwd -P)/ in "$root"/*) ;; *) return 1 ;; esac
  done
}

# ---- the wrapper ---------------------------------------------------------------------------------------------------

# FOLDER of a run: is its wrapper alive, or, if that was killed, the script itself?
alive() {
  [ -e "$1/pid" ] || return 1
  read -r a_pid a_start a_boot <"$1/pid"
  [ "$a_boot" = "$boot_id" ] || return 1
  [ "$(start_of "$a_pid")" != "$a_start" ] || return 0
  [ ! -e "$1/status" ] && [ -e "$1/child" ] || return 1
  read -r a_pid <"$1/child"
  in_session "$a_pid" "$a_pid"
}

# RUN KEY STEP TIMEOUT FIELDS MODE WORDS... stdin: env text. Runs once for this run and key, whoever asks how often.
verb_run() {
  make_state
  dir=$state/runs/$1/$2
  claim "$1" || {
    attach 0
    report
    return
  }
  set +f
  for folder in "$state"/runs/*/"$2"; do
    [ "$folder" != "$dir" ] || continue
    [ ! -e "$folder/recorded" ] || continue
    ! alive "$folder" || {
      rm -rf "$dir"
      die 79 "an earlier run of $3 is still alive on this host"
    }
    [ ! -d "$folder" ] || true >"$folder/recorded"
  done
  set -f
  printf '%s\n' "$3" >"$dir/step"
  printf '%s\n' "$5" >"$dir/fields"
  cat >"$tmpfs/$2.env" || die 75 "cannot write to $tmpfs"
  # In the foreground of this shell, in a session of its own: an `&` would make scripts and daemons ignore INT and QUIT.
  # If the link dies, this shell dies of it or not; the wrapper holds no descriptor of it and goes on.
  setsid sh -c 'eval "$1"' sealer-host "$self" wrap "$data_root" "$name" "$state_root" "$tmpfs_root" "$cid" \
    "$dir" "$2" "$4" "$5" "$6" "$@" </dev/null >/dev/null 2>"$dir/errors"
  report
}

# Makes the folder of a run; fails if somebody else began. One who died before the wrapper lived began nothing.
claim() {
  mkdir -p "$state/runs/$1"
  mkdir "$dir" 2>/dev/null && return 0
  [ -d "$dir" ] || die 75 "cannot make $dir"
  tries=0
  while [ ! -e "$dir/pid" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 10 ] || {
      rm -rf "$dir"
      mkdir "$dir"
      return
    }
    nap
  done
  return 1
}

# DIR KEY TIMEOUT FIELDS MODE, then the arguments of run again, of which the seventh and later are the words.
verb_wrap() {
  dir=$1 key=$2 limit=$3 fields=$4 mode=$5
  shift 11
  out=$tmpfs/$key.out
  printf '%s %s %s\n' "$$" "$(start_of $$)" "$boot_id" >"$dir/pid.new"
  true >"$out"
  true >"$dir/log"
  ledger_append intent null "$fields" || die 71 'the ledger cannot be written'
  mv "$dir/pid.new" "$dir/pid"
  watch &
  watcher=$!
  SEALER_ENV_FILE=$tmpfs/$key.env setsid sh -c "$launch" sealer-step "$dir/child" "$out" "$rootfs" "$mode" "$@" \
    </dev/null >>"$dir/log" 2>&1
  rc=$?
  kill -KILL "$watcher" 2>/dev/null
  rm -f "$tmpfs/$key.env"
  if [ -e "$dir/timeout" ]; then
    rc=124
    read -r session <"$dir/child" && signal_session KILL "$session"
  fi
  cut_log
  settle_outputs
  printf '%s\n' "$rc" >"$dir/status.new" && sync_paths "$dir/status.new" && mv "$dir/status.new" "$dir/status" || exit 71
  record_end
  prune_runs
}

settle_outputs() {
  [ "$rc" -ne 0 ] || {
    head -c "$OUTPUT_LIMIT" "$out" >"$dir/outputs"
    merge_outputs "$dir/outputs"
  }
  rm -f "$out"
}

# The status is there; its line in the ledger is written once, by whoever comes first.
record_end() {
  [ ! -e "$dir/recorded" ] || return 0
  read -r end_rc <"$dir/status"
  ledger_append result "$end_rc" "$(cat "$dir/fields")" && true >"$dir/recorded"
}

# Beside the script: keeps its log small and its time bounded. Half seconds, as far as `sleep` knows them.
watch() {
  ticks=0
  while sleep 0.5 2>/dev/null || sleep 1; do
    cut_log
    # Where the wrapper was killed nobody ends this loop.
    ! read -r session 2>/dev/null <"$dir/child" || in_session "$session" "$session" || exit
    ticks=$((ticks + 1))
    [ "$ticks" -ge "$((limit * 2))" ] || continue
    true >"$dir/timeout"
    read -r session <"$dir/child" || exit
    signal_session TERM "$session"
    for _ in 1 2 3 4 5 6 7 8 9 10; do sleep 0.5 2>/dev/null || sleep 1; done
    signal_session KILL "$session"
    exit
  done
}

# A log is cut in place: a daemon may hold it open, and writes at its end whatever the length.
cut_log() {
  [ "$(($(wc -c <"$dir/log")))" -gt "$LOG_LIMIT" ] || return 0
  tail -c 1048576 "$dir/log" >"$dir/log.cut"
  {
    echo '[sealer-cloud: the log was too long, its beginning is left out]'
    cat "$dir/log.cut"
  } >"$dir/log.new"
  true >"$dir/log"
  cat "$dir/log.new" >>"$dir/log"
  rm -f "$dir/log.cut" "$dir/log.new"
}

prune_runs() {
  set +f
  set -- "$state"/runs/*
  while [ $# -gt 30 ]; do
    for folder in "$1"/*; do
      [ ! -e "$folder/recorded" ] || rm -rf "$folder"
    done
    rmdir "$1" 2>/dev/null
    shift
  done
  set -f
}

# SECONDS (0: as long as it takes) until the run in $dir has ended.
attach() {
  waited=0
  while [ ! -e "$dir/recorded" ] && alive "$dir"; do
    nap
    waited=$((waited + 1))
    [ "$1" -eq 0 ] || [ "$waited" -lt "$(($1 * 5))" ] || return 0
  done
  # Its wrapper was killed between the status and the ledger.
  [ ! -e "$dir/status" ] || record_end
}

report() {
  begin
  end=lost
  if [ -e "$dir/status" ]; then
    end=done
    emit rc "$(cat "$dir/status")"
  elif [ ! -d "$dir" ] || [ ! -e "$dir/pid" ]; then
    end=unstarted
  elif alive "$dir"; then
    end=running
  fi
  emit ended "$end"
  [ ! -e "$dir/timeout" ] || emit timeout yes
  [ ! -e "$dir/recorded" ] || emit recorded yes
  emit log "$dir/log"
  emit tail "$(tail -c "$TAIL_LIMIT" "$dir/log" 2>/dev/null | tr -d '\000')"
  emit errors "$(tail -c 2000 "$dir/errors" 2>/dev/null | tr -d '\000')"
  emit_file outputs "$dir/outputs" "$OUTPUT_LIMIT"
  finish
}

# RUN KEY SECONDS: the end of a run that somebody began.
verb_wait() {
  dir=$state/runs/$1/$2
  [ ! -d "$dir" ] || attach "$3"
  report
}

# ---- writing down --------------------------------------------------------------------------------------------------

# stdin: lines `pair|result RC KEY FIELDS`. A run of that key that died without an end is settled by it.
verb_record() {
  while IFS=' ' read -r what rc key fields; do
    [ "$what" = result ] || ledger_append intent null "$fields" || die 71 'the ledger cannot be written'
    ledger_append result "$rc" "$fields" || die 71 'the ledger cannot be written'
    set +f
    for folder in "$state"/runs/*/"$key"; do
      [ ! -d "$folder" ] || [ -e "$folder/recorded" ] || alive "$folder" || true >"$folder/recorded"
    done
    set -f
  done
}

# stdin: output lines of a cluster step that ran on another master.
verb_outputs() {
  make_state
  cat >"$tmpfs/outputs.in" && merge_outputs "$tmpfs/outputs.in"
  rm -f "$tmpfs/outputs.in"
}

# yes|no: with the data or without. Removes what we made, and nothing that we did not name.
verb_erase() {
  [ ! -L "$rootfs" ] || rm -f "$rootfs"
  rm -rf "$base/rootfs.d" "$tmpfs"
  [ "$1" != yes ] || rm -rf "$base/data"
  rmdir "$base/data" "$base" 2>/dev/null
  rm -rf "$state"
  rmdir "$state_root" "$tmpfs_root" 2>/dev/null
  :
}

case $verb in
read | health | probe | switch | lay | put | run | wrap | wait | record | outputs | erase) "verb_$verb" "$@" ;;
*) die 64 "unknown verb $verb" ;;
esac
