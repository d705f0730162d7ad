# Undoing on a machine that stays: looking at what is left of us, and removing it.

# FOLDER...: what is mounted at one of them or below. Paths of ours hold no blanks, so the kernel escapes none of them.
mounted() {
  for place in "$@"; do
    [ -d "$place" ] && place=$(cd -P "$place" && pwd -P) || continue
    while read -r _ _ _ _ point _; do
      case $point/ in "$place"/*) printf '%s\n' "$point" ;; esac
    done </proc/self/mountinfo
  done
}

# The data in KiB; nothing where there is none. Where it is a link, of what lies behind it: that is what is kept.
data_size() {
  [ -d "$base/data" ] && [ -n "$(ls -A "$base/data" 2>/dev/null)" ] || return 0
  kib=$(cd -P "$base/data" && du -sk . 2>/dev/null)
  kib=${kib%%[!0-9]*}
  printf '%s' "${kib:-unknown}"
}

# Where the data is a link: the folder behind it, which is not ours to remove.
data_link() {
  [ -L "$base/data" ] && [ -d "$base/data" ] || return 0
  (cd -P "$base/data" && pwd -P)
}

yes_if() { if "$@"; then echo yes; else echo no; fi; }

# Reads only. What has the cluster's name but lies here without our state is somebody's, and not told of.
verb_remains() {
  begin
  emit ours "$(yes_if [ -d "$state" ])"
  emit clean "$(yes_if [ -f "$rootfs/scripts/clean.sh" ])"
  emit starts "$(yes_if [ -f "$rootfs/scripts/start.sh" ])"
  if [ -d "$state" ]; then emit data "$(data_size)"; else emit data ''; fi
  if [ -d "$state" ]; then emit link "$(data_link)"; else emit link ''; fi
  emit open_runs "$(open_runs)"
  finish
}

# yes|no: with the data or without. Removes what we made, and nothing that we did not name; a link goes as a link, what is
# behind it stays. Our state goes last, so that whoever is cut goes on. 80: something of others is mounted in it, 81: it does not go.
verb_erase() {
  [ -d "$state" ] || exit 0
  others=$(mounted "$base/rootfs.d" "$state" "$tmpfs")
  [ "$1" != yes ] || [ -L "$base/data" ] || others=$others$(mounted "$base/data")
  [ -z "$others" ] || die 80 "still mounted: $others"
  [ ! -L "$rootfs" ] || rm -f "$rootfs"
  set +f
  rm -rf "$base/rootfs.d" "$tmpfs" "$base"/.rootfs.*
  set -f
  [ "$1" != yes ] || rm -rf "$base/data"
  rmdir "$base/data" "$base" 2>/dev/null
  [ ! -e "$base/rootfs.d" ] && [ ! -e "$tmpfs" ] || die 81 "$base or $tmpfs is still there"
  [ "$1" != yes ] || { [ ! -e "$base/data" ] && [ ! -L "$base/data" ]; } || die 81 "$base/data is still there"
  remove_made
  rm -rf "$state"
  [ ! -e "$state" ] || die 81 "$state is still there"
  rmdir "$state_root" "$tmpfs_root" 2>/dev/null
  :
}

# The folders above ours that `ready_base` made, the innermost first, where nobody put anything into them.
remove_made() {
  [ -f "$state/made" ] || return 0
  backwards=
  while IFS= read -r folder; do backwards=$folder$nl$backwards; done <"$state/made"
  printf '%s' "$backwards" | while IFS= read -r folder; do rmdir "$folder" 2>/dev/null; done
}
