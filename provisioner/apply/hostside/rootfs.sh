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
    short=${folder##*/}
    case $short in "$1" | "${before##*/}") ;; *) rm -rf "$folder" "$state/manifest.$short" "$state/links.$short" ;; esac
  done
  set -f
}

# The folders that are made are noted before: those alone go again when a machine that stays is left.
ready_base() {
  lacks=
  folder=$base
  while [ -n "$folder" ] && [ ! -d "$folder" ]; do
    lacks=$folder$nl$lacks
    folder=${folder%/*}
  done
  printf '%s' "$lacks" >>"$state/made" || return 1
  (
    umask 022
    mkdir -p "$base/rootfs.d" "$base/data"
  )
}

# HEX RUN FIELDS: the digest lies on this host, whole as when it was laid; only the link moves. 77: it does not lie here,
# 72: not as it was.
verb_switch() {
  [ -d "$base/rootfs.d/$1" ] || die 77 "$1 is not laid here"
  ledger_append intent null "$3" || die 71 'the ledger cannot be written'
  beat
  compare "$base/rootfs.d/$1" "$state/manifest.$1" "$state/links.$1" && switch "$1" "$2"
  rc=$?
  kill "$beat" 2>/dev/null
  ledger_append result "$rc" "$3" || die 71 'the ledger cannot be written'
  exit "$rc"
}

# HEX RUN CODEC MANIFEST_LENGTH LINKS_LENGTH FILES LINKS FIELDS. stdin: manifest, links (a line for the path, one for the
# target), then a tar stream.
verb_lay() {
  # Our state lasts before anything has the cluster's name: a name without state is somebody's.
  ledger_append intent null "$8" || die 71 'the ledger cannot be written'
  new=$base/rootfs.d/$1.new-$2-$$
  manifest=$state/manifest.new-$$
  links=$state/links.new-$$
  beat
  lay "$@"
  rc=$?
  kill "$beat" 2>/dev/null
  [ "$rc" -eq 0 ] || rm -rf "$new" "$manifest" "$links"
  ledger_append result "$rc" "$8" || die 71 'the ledger cannot be written'
  exit "$rc"
}

# Life signs on stdout: verifying and syncing may take longer than a silent link is trusted.
beat() {
  (while [ -e "/proc/$$" ]; do
    sleep 5 >/dev/null 2>&1
    printf .
  done) </dev/null 2>/dev/null &
  beat=$!
}

lay() {
  if ! ready_base; then
    echo "cannot make $base" >&2
    return 71
  fi
  # What a dead run left is never built upon.
  set +f
  rm -rf "$base"/rootfs.d/*.new-* "$base"/rootfs.d/*.old-* "$base"/.rootfs.* \
    "$state"/manifest.new-* "$state"/links.new-*
  set -f
  take "$4" "$manifest" && take "$5" "$links" || {
    echo 'the stream was cut in the manifest' >&2
    return 74
  }
  mkdir "$new" && mkdir -m 755 "$new/rootfs" || return 71
  unpack "$3" "$new" || return
  count "$6" "$7" && compare "$new/rootfs" "$manifest" "$links" || return
  sync_tree "$new"
  settle_at "$1" "$2" || return 71
  switch "$1" "$2"
}

# HEX RUN: gives the new rootfs its name. What lay there under that name was not as it should be.
settle_at() {
  old=$base/rootfs.d/$1.old-$2
  mv -f "$manifest" "$state/manifest.$1" && mv -f "$links" "$state/links.$1" && sync_paths "$state" || return
  [ ! -d "$base/rootfs.d/$1" ] || mv "$base/rootfs.d/$1" "$old" || return
  mv "$new/rootfs" "$base/rootfs.d/$1" && sync_paths "$base/rootfs.d" || return
  rm -rf "$new" "$old"
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

# FILES LINKS: nothing is missing in what arrived, and nothing extra is there. 72 if not.
count() {
  counts="$(($(find "$new/rootfs" -type f | wc -l))) $(($(find "$new/rootfs" -type l | wc -l)))"
  [ "$counts" != "$1 $2" ] || return 0
  echo "files and links: $counts laid, $1 $2 wanted" >&2
  return 72
}

# FOLDER MANIFEST LINKS: every file has the digest, every link the target that they say. 72 if not.
compare() {
  wrong=$(
    cd "$1" && [ -f "$2" ] && [ -f "$3" ] || { echo 'digests differ'; exit; }
    [ ! -s "$2" ] || { sha256sum -c "$2" 2>&1 || echo 'digests differ'; } | grep -v ': OK$' | tail -n 6
    while IFS= read -r path && IFS= read -r target; do
      [ "$(readlink "./$path")" = "$target" ] || { echo "$path: targets differ"; exit; }
    done <"$3"
  )
  case $wrong in
  *' differ'*)
    printf '%s\n' "$wrong" >&2
    return 72
    ;;
  esac
}
