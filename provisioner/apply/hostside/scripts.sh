# Running a script of the image that only looks, and what every script is started with.

# Runs in its own process. $1 where its pid goes, $2 where its output lines go, $3 folder, $4 script|command, then words.
# The env text comes from the file SEALER_ENV_FILE, gone before anything else happens, or from stdin: never as one word of
# env, of which Linux takes 128 KiB only.
# After the eval only positional parameters are used: a user's variable may have any name.
launch='
if [ -n "${SEALER_ENV_FILE-}" ]; then
  SEALER_ENV=$(cat "$SEALER_ENV_FILE") || exit 120
  rm -f "$SEALER_ENV_FILE"
else
  SEALER_ENV=$(cat)
  exec </dev/null
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
  printf '%s' "$env_text" | setsid sh -c "$launch" sealer-step '' /dev/null "$2" script "$3" 2>/dev/null &
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

# SECONDS FOLDER SCRIPT: emits its exit status and the end of its stdout. The status goes around the pipe (3), and comes
# after the output (4), as its last line.
emit_look() {
  look=$({
    look_rc=$({ {
      sh -c 'echo "$PPID"'
      bounded "$@" 3>&- 4>&-
      printf '%d' "$?" >&3
    } | relay | tail -c 4096 | tr -d '\000' >&4; } 3>&1)
    printf '\n%d' "$look_rc"
  } 4>&1)
  emit health_rc "${look##*"$nl"}"
  emit health_tail "${look%"$nl"*}"
}

# Passes stdin on until it ends, or until a moment after the process has ended that its first line names: what a script
# started in a session of its own may hold the pipe for ever.
relay() {
  read -r teller
  exec 3<&0
  cat <&3 3<&- &
  passing=$!
  {
    while start_of "$teller"; do nap; done
    nap
    nap
    kill "$passing"
  } </dev/null >/dev/null 2>&1 3<&- &
  waiting=$!
  wait "$passing" 2>/dev/null
  kill "$waiting" 2>/dev/null
}
