# What a master keeps of the whole cluster, for the day on which its state is lost.

# LENGTH. stdin: the record of that length. Whole or not at all.
verb_keep() {
  make_state
  kept_new=$state/cluster.json.$$
  if take "$1" "$kept_new" && sync_paths "$kept_new" && mv -f "$kept_new" "$state/cluster.json" && sync_paths "$state"; then
    exit 0
  fi
  rm -f "$kept_new"
  die 71 'the record of the cluster cannot be written'
}

verb_kept() {
  begin
  emit_file kept "$state/cluster.json" "$KEPT_LIMIT"
  finish
}
