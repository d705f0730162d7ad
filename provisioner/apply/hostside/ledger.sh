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

# FILE with key=value lines (secret: before the key hides one): they win over those of before, all or none. 70: no room.
merge_outputs() {
  [ -s "$1" ] || return 0
  all=$state/outputs
  new=$all.new.$$
  sift_outputs "$1" && {
    [ ! -f "$all" ] || grep -v -f "$new.keys" "$all"
    cat "$new.lines"
  } >"$new"
  merge_rc=0
  if [ "$(($(wc -c <"$new")))" -gt "$OUTPUT_LIMIT" ]; then
    merge_rc=70
  elif [ -s "$new.lines" ]; then
    sync_paths "$new" && mv -f "$new" "$all" || merge_rc=71
  fi
  rm -f "$new" "$new.keys" "$new.lines"
  return "$merge_rc"
}

# FILE: its good lines, and patterns of the lines that they replace.
sift_outputs() {
  while IFS= read -r line || [ -n "$line" ]; do
    key=${line#secret:}
    case $key in *=*) key=${key%%=*} ;; *) continue ;; esac
    case $key in '' | *[!A-Za-z0-9_.-]*) continue ;; esac
    pattern=
    while [ "${key#*.}" != "$key" ]; do
      pattern=$pattern${key%%.*}[.]
      key=${key#*.}
    done
    printf '%s\n' "$line" >&3
    printf '^%s=\n^secret:%s=\n' "$pattern$key" "$pattern$key" >&4
  done <"$1" 3>"$new.lines" 4>"$new.keys"
}
