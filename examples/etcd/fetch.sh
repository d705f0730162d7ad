#!/bin/sh
# Bring etcd and etcdctl from Debian's packages into ./context, unpacked, never installed on this machine.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
context=${1:-$here/context}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"   # apt's download user must enter it
cd "$work"
if ! apt-get download etcd-server etcd-client >apt.log 2>&1; then
  apt-get update >apt.log 2>&1 && apt-get download etcd-server etcd-client >apt.log 2>&1 || {
    cat apt.log >&2
    echo "fetch.sh: cannot download etcd-server and etcd-client; is a Debian package source configured?" >&2
    exit 1
  }
fi
for package in *.deb; do dpkg-deb -x "$package" tree; done
rm -rf "$context.new"
mkdir -p "$context.new/bin"
cp tree/usr/bin/etcd tree/usr/bin/etcdctl "$context.new/bin/"
cp -r "$here/etc" "$here/scripts" "$context.new/"
rm -rf "$context"
mv "$context.new" "$context"
