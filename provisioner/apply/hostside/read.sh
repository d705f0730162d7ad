# Looking at the host: read, health, probe. Writes nothing that stays.

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
    [ -e "$folder/step" ] && [ ! -e "$folder/recorded" ] || continue
    life=dead
    if alive "$folder" || starting "$folder"; then life=alive; else [ -e "$folder/pid" ] || continue; fi
    run_of=${folder%/*}
    printf '%s %s %s %s\n' "$life" "$(cat "$folder/status" 2>/dev/null || echo -)" "${run_of##*/}" \
      "$(cat "$folder/step")"
  done
  set -f
}

# Only a digest: the record itself holds the key of the ledgers.
kept_sum() {
  [ -f "$state/cluster.json" ] && sum=$(sha256sum <"$state/cluster.json") && printf '%s' "${sum%% *}"
}

size_of() {
  if [ -f "$1" ]; then echo "$(($(wc -c <"$1")))"; else echo 0; fi
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
  emit kept "$(kept_sum)"
  emit ledger_size "$(size_of "$ledger")"
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
