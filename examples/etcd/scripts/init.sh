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
  # The joining member must name exactly those who are members now; itself it finds as the one without a name.
  members=$(bin/etcdctl --endpoints="$(other_endpoints)" --command-timeout=5s member list |
    awk -F', ' -v me="$SEALER_HOST" '{ printf "%s%s=%s", (NR > 1 ? "," : ""), ($3 == "" ? me : $3), $4 }')
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
