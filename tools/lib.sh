# What the scripts in tools/ share. Sourced, not run.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
deps="${ATTUNE_DEPS_DIR:-$root/.deps}"

step() { printf '==> %s\n' "$*"; }

# fail WHAT [FIX]
fail() {
  printf 'error: %s\n' "$1" >&2
  [ $# -lt 2 ] || printf 'fix:   %s\n' "$2" >&2
  exit 1
}

# The comment at the top of a script is its help.
help_of() { sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$1"; }

# Lines of a package list without comments.
list_of() { grep -v -e '^#' -e '^$' "$root/tools/packages/$1"; }

# Parallel compilers: one a core, and 2 GiB of memory for each (torch's headers take 1.4).
build_jobs() {
  local cores memory_gib
  cores="$(nproc)"
  memory_gib=$(($(awk '/^MemAvailable/ {print $2}' /proc/meminfo) / 1024 / 1024))
  local jobs=$((memory_gib / 2 < cores ? memory_gib / 2 : cores))
  echo $((jobs > 0 ? jobs : 1))
}

# ccache shares compilations between checkouts: paths relative to this one, and the precompiled torch headers.
export CCACHE_BASEDIR="$root"
export CCACHE_SLOPPINESS="pch_defines,time_macros,include_file_mtime,include_file_ctime"
export CCACHE_MAXSIZE="${CCACHE_MAXSIZE:-5G}"
