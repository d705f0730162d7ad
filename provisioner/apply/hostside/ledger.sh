# The ledger and the outputs: what lasts on the host.

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
