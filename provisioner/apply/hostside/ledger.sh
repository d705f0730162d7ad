# The ledger and the outputs: what lasts on the host.

# EVENT RC FIELDS: one line, one write, on disk before this returns. FIELDS come as JSON from the operator.
ledger_append() {
  make_state
  alone append_one "$@"
}

# COMMAND...: while no other process of ours writes to the ledger. The lock ends with the subshell: nothing inherits it.
alone() {
  if has flock; then
    (
      flock 9
      "$@"
    ) 9>>"$state/ledger.lock"
  else
    ("$@")
  fi
}

append_one() {
  begin_lines && add_line "$@" && sync_paths "$ledger"
}

# Finds the end of the ledger: seq, and what `prev` of the next line is made of.
begin_lines() {
  if [ ! -e "$ledger" ]; then
    true >>"$ledger" || return 1
    sync_paths "$state"
  fi
  now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
  seq=$(($(wc -l <"$ledger")))
  # A power loss may have cut the last line: it never counted, so it goes before the next one is written.
  if [ -n "$(tail -c 1 "$ledger" | tr '\000' x)" ]; then
    head -n "$seq" "$ledger" >"$ledger.cut" && sync_paths "$ledger.cut" && mv -f "$ledger.cut" "$ledger" || return 1
  fi
  before=$(tail -n 1 "$ledger")
}

# EVENT RC FIELDS: one line, one write; it is on disk after the next sync.
add_line() {
  prev=
  if [ "$seq" -gt 0 ]; then
    prev=$(printf '%s' "$before" | sha256sum)
    prev=${prev%% *}
  fi
  seq=$((seq + 1))
  before="{\"v\":1,\"seq\":$seq,\"prev\":\"$prev\",\"time\":\"$now\",$3,\"event\":\"$1\",\"boot_id\":\"$boot_id\",\"rc\":$2}"
  printf '%s\n' "$before" >>"$ledger"
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
