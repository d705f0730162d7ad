# Shared by the scripts of this image; sourced with the rootfs as working folder.
ETCDCTL_API=3
export ETCDCTL_API
PID_FILE=/run/etcd.pid
RUN_LOG=$SEALER_DATA/etcd.log

# The client URLs of all hosts but this one (SEALER_PEERS is "m1=10.0.0.1 m2=10.0.0.2 ...").
other_endpoints() {
  for peer in $SEALER_PEERS; do
    [ "${peer%%=*}" = "$SEALER_HOST" ] || printf 'http://%s:2379,' "${peer#*=}"
  done | sed 's/,$//'
}

# "name=http://address:2380,..." of all hosts.
initial_members() {
  for peer in $SEALER_PEERS; do
    printf '%s=http://%s:2380,' "${peer%%=*}" "${peer#*=}"
  done | sed 's/,$//'
}

# True if the process of the pid file is our etcd: a pid alone may have been given to somebody else.
running() {
  [ -s "$PID_FILE" ] && [ "$(readlink "/proc/$(cat "$PID_FILE")/exe" 2>/dev/null | sed 's/ (deleted)$//;s|.*/||')" = etcd ]
}

stop_etcd() {
  running || return 0
  pid=$(cat "$PID_FILE")
  kill "$pid" 2>/dev/null || :   # it may end by itself in between
  tries=0
  while running; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || kill -9 "$pid" 2>/dev/null || :
    sleep 0.1
  done
  rm -f "$PID_FILE"
}
