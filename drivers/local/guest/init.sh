# pid 1 of a host: keeps sshd running, reaps orphans, and ends with a status that the supervisor understands:
# 129 start again, 130 stay off (what reboot(2) makes of a pid namespace's first process, too).
leave() {
  trap '' USR1 USR2 TERM INT
  kill -TERM -1 2>/dev/null
  n=0
  while kill -0 -1 2>/dev/null && [ "$n" -lt 30 ]; do
    n=$((n + 1))
    sleep 0.1
  done
  exit "$1"
}
trap 'leave 129' USR1
trap 'leave 130' USR2 TERM INT
while :; do
  /usr/sbin/sshd -D -e &
  wait $!
  echo "sshd ended, status $?"
  sleep 0.2
done
