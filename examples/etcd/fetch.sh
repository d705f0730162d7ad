#!/bin/sh
# Bring etcd and etcdctl from Debian's packages into ./context, unpacked, never installed on this machine.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
context=${1:-$here/context}
case $context in /*) ;; *) context=$PWD/$context ;; esac
if [ -e "$context" ] && { [ ! -d "$context" ] || [ -n "$(ls -A "$context" | grep -vxE 'bin|etc|scripts')" ]; }; then
  echo "fetch.sh: $context is no folder that this script made; it would be replaced, so remove it yourself" >&2
  exit 1
fi
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
mkdir -p "$(dirname "$context")"
new=$(mktemp -d "$context.XXXXXX")
trap 'rm -rf "$work" "$new"' EXIT
chmod 755 "$new"
mkdir "$new/bin"
cp tree/usr/bin/etcd tree/usr/bin/etcdctl "$new/bin/"
cp -r "$here/etc" "$here/scripts" "$new/"
rm -rf "$context"
mv "$new" "$context"
