#!/bin/sh
# install.sh [FOLDER]: installs mcrisk from this bundle into a new Python environment, FOLDER (venv beside this file).
# Needs no network and no compiler. MCRISK_PYTHON names the interpreter.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
made=''

fail() { # fail WHAT EXPECTED GOT REMEDY
    echo "mcrisk: $1: expected $2, got $3; $4" >&2
    exit 4
}

finish() {
    code=$?
    rm -rf "${scratch:-}"
    [ $code = 0 ] || [ -z "$made" ] || rm -rf "$made" # nothing half-made is left
    exit $code
}
trap finish EXIT
trap 'exit 130' HUP INT TERM

[ -f "$here/bundle.conf" ] || fail "$here/bundle.conf" "a whole bundle" "none" "unpack the tar file again"
. "$here/bundle.conf" # version, python, extras, cuda, machine, glibc
case ${1:-$here/venv} in /*) venv=${1:-$here/venv} ;; *) venv=$PWD/$1 ;; esac

# The machine
[ "$(uname -s) $(uname -m)" = "Linux $machine" ] ||
    fail "machine" "Linux $machine" "$(uname -s) $(uname -m)" "make the bundle on such a machine"
libc=$(getconf GNU_LIBC_VERSION 2>/dev/null || true)
case $libc in
"glibc "*)
    oldest=$(printf '%s\n%s\n' "${libc#glibc }" "$glibc" | sort -t. -k1,1n -k2,2n | head -n 1)
    [ "$oldest" = "$glibc" ] || fail "C library" "glibc $glibc or newer" "$libc" "a newer system is needed"
    ;;
*) fail "C library" "glibc $glibc or newer" "${libc:-another one}" "the wheels are for glibc" ;;
esac

# The bundle
command -v sha256sum >/dev/null || fail "sha256sum" "the command" "none" "install coreutils"
(cd "$here" && sha256sum --quiet -c SHA256SUMS >&2) ||
    fail "$here" "the files of SHA256SUMS" "those above changed or missing" "copy and unpack the tar file again"

# Python
version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true
}
base=''
for name in ${MCRISK_PYTHON:+"$MCRISK_PYTHON"} "python$python" python3 python "$HOME"/.pyenv/versions/"$python".*/bin/python; do
    if [ "$(version_of "$name")" = "$python" ]; then
        base=$("$name" -c 'import sys; print(sys.executable)')
        break
    fi
    if [ -n "${MCRISK_PYTHON:-}" ]; then
        got=$(version_of "$name")
        fail "MCRISK_PYTHON=$name" "Python $python" "${got:-none}" "name another, or make the bundle with --python ${got:-X.Y}"
    fi
done
if [ -z "$base" ]; then
    got=$(version_of python3)
    fail "Python" "$python" "${got:-none}" \
        "install it, name it with MCRISK_PYTHON=/path/to/python$python, or make the bundle with --python ${got:-X.Y}"
fi

# The environment
[ ! -e "$venv" ] || fail "$venv" "a new folder" "one that exists" "remove it, or name another: install.sh FOLDER"
made=$venv
scratch=$(mktemp -d)
unset PYTHONPATH PYTHONHOME PIP_CONSTRAINT PIP_TARGET PIP_PREFIX PIP_USER
export PIP_CONFIG_FILE=/dev/null PIP_DISABLE_PIP_VERSION_CHECK=1
echo "mcrisk: installing mcrisk $version for Python $python into $venv" >&2
"$base" -m venv "$venv" >"$scratch/log" 2>&1 || {
    cat "$scratch/log" >&2
    fail "$base -m venv" "an environment" "none" "install its venv module (Debian: python3-venv)"
}
"$venv/bin/python" -m pip install --quiet --no-index --find-links "$here/wheels" "mcrisk[$extras]==$version" >"$scratch/log" 2>&1 || {
    cat "$scratch/log" >&2
    ! grep -q "No space left" "$scratch/log" || fail "$venv" "room for 3 GB" "a full disk" "make room, or name another folder"
    fail "pip" "an installation from $here/wheels" "the error above" "report it"
}
(cd "$scratch" && "$venv/bin/mcrisk" run generic_small --runs 64 --backend cpu --out run) >"$scratch/log" 2>&1 || {
    cat "$scratch/log" >&2
    fail "mcrisk" "64 descents" "the error above" "report it"
}

# What to type next
cd "$scratch"
obstacle=$("$venv/bin/python" -c 'from mcrisk.backends import gpu_obstacle; print(gpu_obstacle() or "")')
tell() {
    printf '  %s\n' "$1"
}
echo "mcrisk $version works (64 descents flown on the CPU). Next:"
tell "'$venv/bin/mcrisk' run hakuto_r_m2 --runs 10000"
if [ "$cuda" != none ]; then
    tell "'$venv/bin/mcrisk' run hakuto_r_m2 --runs 1e6 --backend gpu${obstacle:+   # not yet: $obstacle}"
    tell "MCRISK_PYTHON='$venv/bin/python' '$here/source/scripts/gpu_check'"
fi
compiler=$("$venv/bin/python" -P "$here/source/mcrisk/backends/build.py" --compiler "$scratch" 2>/dev/null || true)
tell "MCRISK_PYTHON='$base' '$here/source/scripts/test'   # builds with ${compiler:-the ziglang wheel of this bundle: minutes}"
