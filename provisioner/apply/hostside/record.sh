# Writing down without running, sharing outputs, removing what is ours.

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
