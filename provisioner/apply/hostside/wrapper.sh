# The wrapper: runs a step once, keeps its end whatever happens to the link, and tells it to whoever asks.

# RUN KEY STEP TIMEOUT FIELDS ENVLEN MODE WORDS... stdin: env text. Runs once for this run and key, whoever asks how often.
verb_run() {
  make_state
  dir=$state/runs/$1/$2
  received=$tmpfs/$2.$$.env
  # Whole before anything is claimed: an operator who died while it came has started nothing.
  take "$6" "$received" || {
    rm -f "$received"
    die 74 'the stream was cut'
  }
  claim "$1" || {
    rm -f "$received"
    attach 0
    report
    return
  }
  set +f
  for folder in "$state"/runs/*/"$2"; do
    [ "$folder" != "$dir" ] || continue
    [ ! -e "$folder/recorded" ] || continue
    ! alive "$folder" || {
      rm -rf "$dir" "$received"
      die 79 "an earlier run of $3 is still alive on this host"
    }
    [ ! -d "$folder" ] || true >"$folder/recorded"
  done
  set -f
  printf '%s\n' "$3" >"$dir/step"
  printf '%s\n' "$5" >"$dir/fields"
  mv -f "$received" "$tmpfs/$2.env" || die 75 "cannot write to $tmpfs"
  # In the foreground of this shell, in a session of its own: an `&` would make scripts and daemons ignore INT and QUIT.
  # If the link dies, this shell dies of it or not; the wrapper holds no descriptor of it and goes on.
  setsid sh -c 'eval "$1"' sealer-host "$self" wrap "$data_root" "$name" "$state_root" "$tmpfs_root" "$cid" \
    "$dir" "$2" "$4" "$5" "$7" "$@" </dev/null >/dev/null 2>"$dir/errors"
  report
}

# Makes the folder of a run; fails if somebody else began. One who died before the wrapper lived began nothing.
claim() {
  mkdir -p "$state/runs/$1"
  tries=0
  until mkdir "$dir" 2>/dev/null; do
    [ -d "$dir" ] || die 75 "cannot make $dir"
    [ ! -e "$dir/pid" ] || return 1
    # The other one may not have said yet who he is.
    starting "$dir" || tries=$((tries + 1))
    [ "$tries" -lt 10 ] || rm -rf "$dir"
    nap
  done
  printf '%s %s %s\n' "$$" "$(start_of $$)" "$boot_id" >"$dir/starter"
}

# DIR KEY TIMEOUT FIELDS MODE, then the arguments of run again, of which the eighth and later are the words.
verb_wrap() {
  dir=$1 key=$2 limit=$3 fields=$4 mode=$5
  shift 12
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
  # Those of calls that died while they received theirs go too.
  set +f
  rm -f "$tmpfs/$key.env" "$tmpfs/$key".*.env
  set -f
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

# What is larger than the limit is left out as a whole, and that is told.
settle_outputs() {
  if [ "$rc" -eq 0 ] && [ -s "$out" ]; then
    if [ "$(($(wc -c <"$out")))" -le "$OUTPUT_LIMIT" ] && alone merge_outputs "$out"; then
      cat "$out" >"$dir/outputs"
    else
      true >"$dir/outputs_lost"
    fi
  fi
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
  while [ ! -e "$dir/recorded" ] && { alive "$dir" || starting "$dir"; }; do
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
  elif alive "$dir" || starting "$dir"; then
    end=running
  elif [ ! -e "$dir/pid" ]; then
    end=unstarted
  fi
  emit ended "$end"
  [ ! -e "$dir/timeout" ] || emit timeout yes
  [ ! -e "$dir/recorded" ] || emit recorded yes
  emit log "$dir/log"
  emit tail "$(tail -c "$TAIL_LIMIT" "$dir/log" 2>/dev/null | tr -d '\000')"
  emit errors "$(tail -c 2000 "$dir/errors" 2>/dev/null | tr -d '\000')"
  [ ! -e "$dir/outputs_lost" ] || emit outputs_lost yes
  emit_file outputs "$dir/outputs" "$OUTPUT_LIMIT"
  finish
}

# RUN KEY SECONDS: the end of a run that somebody began.
verb_wait() {
  dir=$state/runs/$1/$2
  [ ! -d "$dir" ] || attach "$3"
  report
}
