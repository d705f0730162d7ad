# Putting one rendered file below the rootfs.

# PATH MODE LENGTH RUN FIELDS. stdin: the content. 78: the path leads out of the rootfs.
verb_put() {
  [ -d "$rootfs/" ] || die 77 "no rootfs is laid at $rootfs"
  ledger_append intent null "$5" || die 71 'the ledger cannot be written'
  put "$@"
  rc=$?
  ledger_append result "$rc" "$5" || die 71 'the ledger cannot be written'
  exit "$rc"
}

put() {
  put_mode=$2 put_length=$3 put_run=$4
  file=${1##*/}
  folder=
  case $1 in */*) folder=${1%/*} ;; esac
  case $file in '' | . | ..) put_out "$1" || return ;; esac
  enter "$folder" || put_out "$1" || return
  if [ -d "./$file" ] && [ ! -L "./$file" ]; then
    echo "$1 is a folder" >&2
    return 78
  fi
  temporary=./.$file.$put_run.tmp
  # What calls that were killed left, of any run: it may hold a secret.
  set +f
  rm -f "$temporary" "./.$file."????????T??????Z-??????.tmp
  set -f
  (
    set -C
    cat >"$temporary"
  ) && chmod "$put_mode" "$temporary" && [ "$(($(wc -c <"$temporary")))" -eq "$put_length" ] &&
    sync_paths "$temporary" && replace "$temporary" "./$file" && sync_paths . && return 0
  rm -f "$temporary"
  echo "cannot write $1" >&2
  return 71
}

put_out() {
  echo "$1: its folder leads out of the rootfs or cannot be entered" >&2
  return 78
}

# FOLDER below the rootfs: goes there step by step, making what is missing, never leaving the rootfs.
enter() {
  cd -P "$rootfs/" || return 1
  root=$(pwd -P)
  rest=$1
  while [ -n "$rest" ]; do
    part=${rest%%/*}
    case $rest in */*) rest=${rest#*/} ;; *) rest= ;; esac
    case $part in '' | . | ..) return 1 ;; esac
    [ -d "./$part" ] || (
      umask 022
      mkdir "./$part"
    ) || return 1
    cd -P "./$part" || return 1
    case $(pwd -P)/ in "$root"/*) ;; *) return 1 ;; esac
  done
}
