# Writing down without running, sharing outputs.

# stdin: lines `pair|result RC KEY FIELDS`. A run of that key that died without an end is settled by it.
verb_record() {
  make_state
  alone record_lines || die 71 'the ledger cannot be written'
}

record_lines() {
  begin_lines || return 1
  keys=
  while IFS=' ' read -r what rc key fields; do
    [ "$what" = result ] || add_line intent null "$fields" || return 1
    add_line result "$rc" "$fields" || return 1
    keys="$keys $key"
  done
  sync_paths "$ledger"
  for key in $keys; do
    set +f
    for folder in "$state"/runs/*/"$key"; do
      [ ! -d "$folder" ] || [ -e "$folder/recorded" ] || alive "$folder" || true >"$folder/recorded"
    done
    set -f
  done
}

# LENGTH. stdin: output lines of that length, of a step that ran on another host.
verb_outputs() {
  make_state
  received=$tmpfs/outputs.$$
  take "$1" "$received" && alone merge_outputs "$received"
  rc=$?
  rm -f "$received"
  exit "$rc"
}
