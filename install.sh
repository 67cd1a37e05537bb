#!/bin/sh
# Builds gov from this folder and puts binary, man pages and completions in place.
#
#   ./install.sh                 build and install
#   ./install.sh --demo          the same, then run `gov demo`: the main job on a private PostgreSQL
#   ./install.sh --prefix DIR    install below DIR (default: /usr/local as root, ~/.local otherwise)
#   ./install.sh --uninstall     remove what was installed
#   ./install.sh --prepare [PACKAGE…]
#                                install what building takes and these packages of the distribution, nothing else
#
# What is missing on a Debian-like machine is installed with apt-get, after saying so. Nothing else of the system is
# changed: no shell start-up file is edited, no service is started or enabled.
set -eu

cd "$(dirname "$0")"
demo=no action=install prefix= missing=
while [ $# -gt 0 ]; do
  case $1 in
    --demo) demo=yes ;;
    --prefix) prefix=${2:?--prefix needs a folder}; shift ;;
    --prefix=*) prefix=${1#--prefix=} ;;
    --uninstall) action=uninstall ;;
    --prepare) action=prepare; shift; missing=${*:+ $*}; break ;;
    -h | --help) sed -n '2,13s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "error: unknown option \`$1\`" >&2; echo "hint: run ./install.sh --help" >&2; exit 2 ;;
  esac
  shift
done
if [ -z "$prefix" ]; then
  if [ "$(id -u)" = 0 ]; then prefix=/usr/local; else prefix=$HOME/.local; fi
fi

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $1"; [ -z "${2-}" ] || say "hint: $2"; exit 1; }

installed="bin/gov share/bash-completion/completions/gov share/zsh/site-functions/_gov share/fish/vendor_completions.d/gov.fish"
for page in man/*.1; do installed="$installed share/man/man1/$(basename "$page")"; done

if [ "$action" = uninstall ]; then
  for file in $installed; do
    if [ -e "$prefix/$file" ]; then rm "$prefix/$file" && say "removed $prefix/$file"; fi
  done
  exit 0
fi

# --- what building takes -------------------------------------------------------------------------------------------
need() { missing="$missing $1"; }

command -v cargo >/dev/null 2>&1 || fail "Rust is not installed" "install it from https://rustup.rs, then run this again"
command -v cc >/dev/null 2>&1 || need gcc
# PostgreSQL's parser is C; its bindings are generated with libclang.
have_libclang() {
  [ -n "${LIBCLANG_PATH-}" ] || ls /usr/lib/llvm-*/lib/libclang*.so* /usr/lib/*/libclang*.so* >/dev/null 2>&1
}
have_clang_headers() { ls -d /usr/lib/llvm-*/lib/clang/*/include /usr/lib/clang/*/include >/dev/null 2>&1; }
if ! have_libclang || ! have_clang_headers; then need libclang; fi
if [ "$demo" = yes ]; then
  ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null 2>&1 || need postgresql
  command -v psql >/dev/null 2>&1 || need postgresql-client
fi

if [ -n "$missing" ]; then
  command -v apt-get >/dev/null 2>&1 ||
    fail "this machine lacks:$missing" "install them with your package manager, then run this again"
  as_root=
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null 2>&1 || fail "installing$missing takes root" "run: apt-get install$missing, as root"
    as_root=sudo
  fi
  say "Installing with apt-get:$missing"
  # A mirror that does not answer at once often does a moment later. What it says matters only when it never does.
  persist() {
    for pause in 2 10 30 0; do
      if said=$("$@" 2>&1); then return; fi
      [ "$pause" = 0 ] || { say "that failed; trying again in $pause s"; sleep "$pause"; }
    done
    say "$said"
    fail "apt-get failed" "see above; then run this again"
  }
  persist $as_root apt-get update -qq
  case $missing in
    *libclang*)
      # The newest libclang this distribution has; its package names carry the version.
      version=$(apt-cache search --names-only '^libclang1-[0-9]+$' | sed 's/^libclang1-\([0-9]*\).*/\1/' | sort -n | tail -n 1)
      [ -n "$version" ] || fail "this distribution has no libclang package" "install libclang, then run this again"
      missing=$(printf '%s' "$missing" | sed "s/libclang/libclang1-$version libclang-common-$version-dev/")
      ;;
  esac
  # Debian starts a cluster of its own when PostgreSQL is installed. The demo has a private one; none is wanted here.
  if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    case $missing in
      *postgresql*)
        $as_root mkdir -p /etc/postgresql-common
        echo 'create_main_cluster = false' | $as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
        ;;
    esac
  fi
  # shellcheck disable=SC2086 # the names are meant to be split
  persist $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
fi
if [ "$action" = prepare ]; then exit 0; fi

# --- build ---------------------------------------------------------------------------------------------------------
target=${CARGO_TARGET_DIR:-target}
say "Building gov (the first time takes several minutes)"
cargo build --release --locked --bin gov

# --- put in place --------------------------------------------------------------------------------------------------
put() { # put MODE FROM TO
  install -d "$(dirname "$prefix/$3")" && install -m "$1" "$2" "$prefix/$3" && say "installed $prefix/$3"
}
put 755 "$target/release/gov" bin/gov
put 644 completions/gov.bash share/bash-completion/completions/gov
put 644 completions/_gov share/zsh/site-functions/_gov
put 644 completions/gov.fish share/fish/vendor_completions.d/gov.fish
for page in man/*.1; do put 644 "$page" "share/man/man1/$(basename "$page")"; done
case :$PATH: in
  *:"$prefix/bin":*) ;;
  *) say "note: $prefix/bin is not on your PATH; add it, or call $prefix/bin/gov" ;;
esac

if [ "$demo" = yes ]; then
  exec "$prefix/bin/gov" demo
fi
say "Done. Try: gov demo"
