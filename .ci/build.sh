# Sourced by .ci/run: what has to be there before a check can run. Each step looks first
# whether its result is there already, made of the same sources.

# interpreter VERSION: its path, if extension modules can be built for it. Debian's own is
# built with a profile, and runs the tests in three quarters of the time of pyenv's. A shim
# of pyenv may be there, and have nothing behind it.
interpreter() {
    local candidate
    for candidate in "/usr/bin/python$1" "python$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python; do
        "$candidate" - 2>/dev/null <<'PYTHON' && return
import ensurepip, os, sys, sysconfig, venv
os.stat(os.path.join(sysconfig.get_path("include"), "Python.h"))
print(os.path.realpath(sys.executable))
PYTHON
    done
    return 1
}

main_python() { interpreter 3.11 || interpreter 3; }

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# apt PACKAGE...: without what these packages only recommend, and without waiting for the
# disk after each file.
apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
        -o Dpkg::Options::=--force-unsafe-io "$@"
}

# What has to be there before anything can be built.
step_tools() {
    local missing=()
    command -v gcc >/dev/null || missing+=(gcc libc6-dev)
    command -v npm >/dev/null || missing+=(nodejs npm)
    main_python >/dev/null || missing+=(python3-venv python3-dev)
    ((${#missing[@]})) || return 0
    as_root apt-get update -q
    apt "${missing[@]}"
}

# What tests need besides. It takes minutes on a bare machine, so other steps go on.
step_system() {
    local missing=() name
    command -v chromium >/dev/null || missing+=(chromium fonts-liberation)
    for name in redis-server rabbitmq-server; do
        command -v "$name" >/dev/null || missing+=("$name")
    done
    [ -n "$(PATH=$PATH:/usr/sbin command -v nats-server)" ] || missing+=(nats-server)
    compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || missing+=(postgresql)
    [ -n "$(PATH=$PATH:/usr/sbin command -v pgbouncer)" ] || missing+=(pgbouncer)
    [ -e /usr/include/openssl/ssl.h ] || missing+=(libssl-dev)
    command -v make >/dev/null || missing+=(make)
    [ -n "$(PATH=$PATH:/usr/sbin command -v nginx)" ] || missing+=(nginx-light)
    [ -n "$(PATH=$PATH:/usr/sbin command -v haproxy)" ] || missing+=(haproxy)
    command -v caddy >/dev/null || missing+=(caddy)
    if ((${#missing[@]})) || ! command -v clang >/dev/null; then
        as_root apt-get update -q
    fi
    if ! command -v clang >/dev/null; then
        # libFuzzer is in a package of its own, which has the number of the version.
        missing+=(clang "$(apt-cache depends clang |
            sed -n 's/.*Depends: clang-\([0-9]*\)$/libclang-rt-\1-dev/p')")
    fi
    ((${#missing[@]})) || return 0
    apt "${missing[@]}"
}

# debian SUITE [NAME PACKAGES]: a root of that Debian, with its Python and a compiler, in
# $WORK/SUITE; or one with these packages, in $WORK/NAME. It gets the name servers and the
# certificates of this machine.
debian() {
    local root=$WORK/${2:-$1}
    local packages=${3:-ca-certificates,gcc,libc6-dev,python3-dev,python3-venv}
    if fresh "$root/made" "$packages"; then return; fi
    [ -x /usr/sbin/debootstrap ] || apt debootstrap
    as_root rm -rf "$root"
    quietly "debootstrap-${2:-$1}" as_root env PATH="$PATH:/usr/sbin" \
        debootstrap --variant=minbase --include="$packages" "$1" "$root"
    as_root cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
    as_root cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    echo "$packages" | as_root tee "$root/made" >/dev/null
}

# inside NAME SCRIPT: bash runs SCRIPT in that root, which has /proc and /dev meanwhile, and
# $WORK at its path.
inside() {
    # shellcheck disable=SC2016
    as_root unshare --mount --pid --fork bash -euc '
        mount --rbind /dev "$0/dev"
        mount -t proc proc "$0/proc"
        mkdir -p "$0$2"
        mount --bind "$2" "$0$2"
        exec chroot "$0" bash -euc "$1"' "$WORK/$1" "$2" "$WORK"
}

# What the package is made of, as one number.
sources() {
    git ls-files -z --cached --others --exclude-standard -- socketio_fast csrc setup.py \
        pyproject.toml MANIFEST.in pytest_socketio_fast.py socketio_fast_alias.pth |
        xargs -0 sha256sum | sha256sum | cut -c1-16
}

# fresh FILE VALUE: FILE has this VALUE. made FILE VALUE: it has from now on.
fresh() { [ "$(cat "$1" 2>/dev/null)" = "$2" ]; }
made() { echo "$2" >"$1"; }

# tree NAME: a directory to build a variant in. Objects of another variant, which
# setuptools would take for those it is to build, are not in it. The C that Cython wrote
# is, which is the same for every Python and compiler; it has to be newer than Cython.
tree() {
    rm -rf "${WORK:?}/$1"
    mkdir -p "$WORK/$1/build"
    tar xzf "$WORK"/dist/*.tar.gz --strip-components=1 -C "$WORK/$1"
    cp -r build/cython "$WORK/$1/build/"
}

# quietly NAME COMMAND...: what it writes is shown if it fails.
quietly() {
    "${@:2}" >"$WORK/log/$1" 2>&1 || { cat "$WORK/log/$1"; return 1; }
}

# The package, compiled once: a source distribution, and the wheel made of that.
step_wheel() {
    local now
    now=$(sources)
    if fresh "$WORK/dist/made" "$now"; then return; fi
    rm -rf "$WORK/dist"
    environment "$WORK/build" "$(main_python)"
    packages "$WORK/build" build
    quietly sdist "$WORK/build/bin/python" -m build --no-isolation --sdist -o "$WORK/dist" .
    tree wheel
    "$WORK/build/bin/pip" wheel -q --no-deps --no-build-isolation -w "$WORK/dist" "$WORK/wheel"
    made "$WORK/dist/made" "$now"
}

# Everything but the package, from the lists in pyproject.toml.
requirements() { # GROUP...
    "$(main_python)" - "$@" <<'PYTHON'
import sys, tomllib
with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)
print(*project["build-system"]["requires"], *project["project"]["dependencies"], sep="\n")
for group in sys.argv[1:]:
    print(*project["dependency-groups"][group], sep="\n")
PYTHON
}

# It installs in a tenth of the time that pip needs, which has to be there in any case.
step_uv() {
    [ -x "$WORK/uv/bin/uv" ] && return
    "$(main_python)" -m venv "$WORK/uv"
    "$WORK/uv/bin/pip" install -q uv || echo "no uv: pip takes longer"
}

# packages DIRECTORY ARGUMENT...: installs into that environment.
packages() {
    if [ -x "$WORK/uv/bin/uv" ] &&
        VIRTUAL_ENV=$1 "$WORK/uv/bin/uv" pip install -q "${@:2}"; then return; fi
    "$1/bin/pip" install -q "${@:2}"
}

# environment DIRECTORY PYTHON GROUP...
environment() {
    local directory=$1 python=$2 wanted
    wanted=$(requirements "${@:3}")
    if fresh "$directory/made" "$wanted"; then return; fi
    rm -rf "$directory"
    "$python" -m venv "$directory"
    requirements "${@:3}" >"$directory/requirements"
    packages "$directory" -r "$directory/requirements"
    made "$directory/made" "$wanted"
}

step_venv() {
    if ! fresh tests/interop/node_modules/.made "$(sha256sum tests/interop/package-lock.json)"; then
        npm ci --silent --prefix tests/interop
        made tests/interop/node_modules/.made "$(sha256sum tests/interop/package-lock.json)"
    fi
    environment "$WORK/venv" "$(main_python)" test lint docs
    packages "$WORK/venv" 'coverage>=7.6'
}

# The wheel, with extras as a user asks for them.
step_install() {
    "$WORK/venv/bin/pip" uninstall -qy socketio-fast
    "$WORK/venv/bin/pip" install -q "$(echo "$WORK"/dist/*.whl)[redis,uvicorn]"
}
