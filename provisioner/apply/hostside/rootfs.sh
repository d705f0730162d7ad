# Laying the rootfs: beside, verified, switched by one rename.

# HEX RUN: points the link at a laid rootfs by one rename, then drops what is older than the one before.
switch() {
  target=rootfs.d/$1
  if [ -e "$rootfs" ] && [ ! -L "$rootfs" ]; then
    echo "$rootfs is no link of ours" >&2
    return 76
  fi
  before=$(readlink "$rootfs" 2>/dev/null)
  [ "$before" != "$target" ] || return 0
  rm -f "$base/.rootfs.$2"
  ln -s "$target" "$base/.rootfs.$2" && replace "$base/.rootfs.$2" "$rootfs" || return 71
  sync_paths "$base"
  set +f
  for folder in "$base"/rootfs.d/*; do
    case ${folder##*/} in "$1" | "${before##*/}") ;; *) rm -rf "$folder" ;; esac
  done
  set -f
}

ready_base() {
  (
    umask 022
    mkdir -p "$base/rootfs.d" "$base/data"
  ) || die 71 "cannot make $base"
}

# HEX RUN FIELDS: the digest lies whole on this host; only the link moves. 77: it does not lie here.
verb_switch() {
  [ -d "$base/rootfs.d/$1" ] || die 77 "$1 is not laid here"
  ledger_append intent null "$3" || die 71 'the ledger cannot be written'
  switch "$1" "$2"
  rc=$?
  ledger_append result "$rc" "$3" || die 71 'the ledger cannot be written'
  exit "$rc"
}

# HEX RUN CODEC MANIFEST_LENGTH FILES LINKS FIELDS. stdin: manifest, then a tar stream.
verb_lay() {
  hex=$1 run=$2
  ready_base
  ledger_append intent null "$7" || die 71 'the ledger cannot be written'
  # Life signs on stdout: verifying and syncing may take longer than a silent link is trusted.
  (while :; do
    sleep 5 >/dev/null 2>&1
    printf .
  done) </dev/null 2>/dev/null &
  beat=$!
  lay "$@"
  rc=$?
  kill "$beat" 2>/dev/null
  [ "$rc" -eq 0 ] || rm -rf "$base/rootfs.d/$hex.new-$run" "$state/manifest.new"
  ledger_append result "$rc" "$7" || die 71 'the ledger cannot be written'
  exit "$rc"
}

lay() {
  new=$base/rootfs.d/$1.new-$2
  # What a dead run left is never built upon.
  set +f
  rm -rf "$base"/rootfs.d/*.new-* "$base"/.rootfs.*
  set -f
  take "$4" "$state/manifest.new" || {
    echo 'the stream was cut in the manifest' >&2
    return 74
  }
  mkdir "$new" && mkdir -m 755 "$new/rootfs" || return 71
  unpack "$3" "$new" || return
  verify "$5" "$6" || return
  sync_tree "$new"
  [ -d "$base/rootfs.d/$1" ] || mv "$new/rootfs" "$base/rootfs.d/$1" || return 71
  sync_paths "$base/rootfs.d"
  rm -rf "$new"
  mv -f "$state/manifest.new" "$state/manifest" || return 71
  switch "$1" "$2"
}

# CODEC FOLDER: 71 no space, 73 the stream is no good archive.
unpack() {
  errors=$(
    umask 022
    {
      case $1 in
      zstd) zstd -dcq 2>&3 || echo 'zstd failed' >&3 ;;
      *) cat ;;
      esac | tar -x -p -o -f - -C "$2/rootfs" 2>&3 || echo 'tar failed' >&3
    } 3>&1 >/dev/null | tail -n 6
  )
  case $errors in
  '') return 0 ;;
  *'No space left'*) unpack_rc=71 ;;
  *failed*) unpack_rc=73 ;;
  *) return 0 ;;
  esac
  printf '%s\n' "$errors" >&2
  return "$unpack_rc"
}

# FILES LINKS: every file has the digest that the manifest says, and nothing is missing or extra. 72 if not.
verify() {
  counts="$(($(find "$new/rootfs" -type f | wc -l))) $(($(find "$new/rootfs" -type l | wc -l)))"
  if [ "$counts" != "$1 $2" ]; then
    echo "files and links: $counts laid, $1 $2 wanted" >&2
    return 72
  fi
  [ "$1" -gt 0 ] || return 0
  wrong=$(
    cd "$new/rootfs" || { echo 'digests differ'; exit; }
    { sha256sum -c "$state/manifest.new" 2>&1 || echo 'digests differ'; } | grep -v ': OK$' | tail -n 6
  )
  case $wrong in
  *'digests differ'*)
    printf '%s\n' "$wrong" >&2
    return 72
    ;;
  esac
}
