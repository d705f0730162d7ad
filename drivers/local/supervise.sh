# Starts a host and stays with it: args are cgroup.procs files, "--", and the words of the host's first process.
# The caller waits only for this shell, so that no zombie of a supervisor is left in it; the supervisor goes to init.
while [ "$1" != -- ]; do
  echo $$ > "$1" || exit 1
  shift
done
shift
supervise() {
  while :; do
    unshare --fork --kill-child --pid --uts --ipc -- "$@"
    status=$?
    echo "host ended, status $status"
    # 129: reboot(2) ends the first process of a pid namespace with SIGHUP, and our init exits with the same.
    [ "$status" = 129 ] || exit "$status"
  done
}
supervise "$@" &
