# Shell functions shared by the scripts of this folder; sourced, with the repository as the current folder.

# Debian keeps ip, tcpdump and nft where an ordinary user's PATH does not look.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
export PATH

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "error: $*"
  exit 1
}

is_root() { [ "$(id -u)" -eq 0 ]; }

# Runs a command as the owner of the clone, so that under sudo the files it makes are the user's. Where that user cannot
# run node (or is unknown), as root: give_back() then mends the ownership.
as_owner() {
  owner=$(stat -c %u .)
  home=$(getent passwd "$owner" | cut -d: -f6)
  if is_root && [ "$owner" -ne 0 ] && [ -n "$home" ] && run_as_owner node -e 0 2>/dev/null; then
    run_as_owner "$@"
  else
    "$@"
  fi
}

run_as_owner() {
  setpriv --reuid "$owner" --regid "$(stat -c %g .)" --init-groups env HOME="$home" "$@"
}

# Whatever root made inside a user's clone becomes the user's.
give_back() {
  owner=$(stat -c %u .)
  if is_root && [ "$owner" -ne 0 ]; then
    find . -xdev -user 0 -exec chown -h "$owner:$(stat -c %g .)" {} +
  fi
}

# Whether FILE is missing, or older than any file of the folders and files that follow.
is_stale() {
  target=$1
  shift
  [ ! -e "$target" ] || [ -n "$(find "$@" -type f -newer "$target" 2>/dev/null | head -n 1)" ]
}
