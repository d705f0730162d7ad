#!/bin/sh
# Owns the disk: the data folder, and how this member enters the cluster. Safe to repeat: an existing member keeps both.
# sealer:env
set -eu
. scripts/lib.sh
mkdir -p "$SEALER_DATA/etcd"
chmod 700 "$SEALER_DATA/etcd"
if [ -d "$SEALER_DATA/etcd/member" ]; then
  echo "kept the member that lives here"
  exit 0
fi
case $SEALER_PHASE in
join | replace)
  # The joining member must name exactly those who are members now; itself it finds by its address, without a name yet.
  list=$(bin/etcdctl --endpoints="$(other_endpoints)" --command-timeout=5s member list)
  members=$(printf '%s\n' "$list" | awk -F', ' -v me="$SEALER_HOST" -v url="http://$HostIP:2380" '
    { name = $3 != "" ? $3 : ($4 == url ? me : "unstarted" NR); printf "%s%s=%s", (NR > 1 ? "," : ""), name, $4 }')
  case ,$members in
  *",$SEALER_HOST=http://$HostIP:2380"*) ;;
  *)
    echo "the cluster does not have $SEALER_HOST at $HostIP as a member: ${list:-it names no members}"
    exit 1
    ;;
  esac
  state=existing
  ;;
*)
  members=$(initial_members)
  state=new
  ;;
esac
{
  echo "initial-cluster: $members"
  echo "initial-cluster-state: $state"
  echo "initial-cluster-token: $SEALER_CID"
} >"$SEALER_DATA/bootstrap.yml.new"
mv "$SEALER_DATA/bootstrap.yml.new" "$SEALER_DATA/bootstrap.yml"
echo "member $SEALER_HOST of a $state cluster"
