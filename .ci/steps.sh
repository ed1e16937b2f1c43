# Sourced by .ci/run: the checks. Each is a function that fails, by `set -e`, where its
# check does. They run in the checkout, with the installed package before all others.

# Workers beside each other wait for sockets and processes more than they compute. A
# file's tests are in one of them and keep their order; the slow directories come first.
WORKERS=(-n 4 --dist loadfile --no-loadscope-reorder)
APART=(-m "not alone")

# Of tests/unit, what is not about the compiled core or has no sans-IO loop: it starts
# processes and threads, and takes long under the sanitizers.
HOSTED=(alias cli client_files fair_threads handler_pool loop_thread static_files sync_server)

step_lint() {
    ruff check .
    ruff format --check .
    cython-lint socketio_fast
}

step_types() {
    mypy
    local modules
    modules=$(cd socketio_fast/_core && ls -- *.pyx | sed 's/\.pyx$//; s/^/socketio_fast._core./')
    # From elsewhere, so that the installed package is the one that is looked at.
    # shellcheck disable=SC2086
    (cd "$WORK" && python -m mypy.stubtest --mypy-config-file "$ROOT/pyproject.toml" \
        --allowlist "$ROOT/tests/typing/stubtest.txt" --ignore-unused-allowlist $modules)
}

step_package() {
    python - "$WORK"/dist/*.whl <<'PYTHON'
import sys, zipfile
names = zipfile.ZipFile(sys.argv[1]).namelist()
sources = [n for n in names if n.endswith((".pyx", ".pxd", ".c", ".h"))]
assert not sources, f"sources in the wheel: {sources}"
assert "socketio_fast/py.typed" in names
assert "socketio_fast_alias.pth" in names
PYTHON
}

# As the README says, with the workers beside each other.
step_tests() { pytest -q "${WORKERS[@]}" "${APART[@]}"; }

for part in browser compat conformance docs integration interop leaks managers meta property unit; do
    eval "step_$part() { pytest -q ${WORKERS[*]} tests/$part; }"
done

step_alone() { pytest -q -m alone; }

step_benchmarks() {
    if (($(nproc) < 2)); then
        echo "one core: the benchmark's guard is not tried"
        return
    fi
    # What the requirements pin is not for the other steps.
    "$(main_python)" -m venv --clear "$WORK/benchmarks"
    "$WORK/benchmarks/bin/pip" install -q -r benchmarks/requirements.txt \
        pydantic pytest pytest-benchmark "$WORK"/dist/*.whl
    "$WORK/benchmarks/bin/python" benchmarks/run.py --quick --check
    "$WORK/benchmarks/bin/pytest" -q benchmarks/micro --benchmark-disable
}

# variant NAME FLAG: the package built in a tree of its own, in place.
variant() {
    tree "$1"
    (cd "$WORK/$1" && env "SOCKETIO_FAST_$2=1" python setup.py -q build_ext --inplace)
}

sans_io() { # the options of pytest for the sans-IO units and the properties
    local name
    printf '%s\n' tests/unit tests/property
    for name in "${HOSTED[@]}"; do
        [ -e "tests/unit/test_$name.py" ] || { echo "no tests/unit/test_$name.py" >&2; return 1; }
        printf '%s\n' "--ignore=tests/unit/test_$name.py"
    done
}

step_trace() {
    variant trace TRACE
    local chosen
    chosen=$(sans_io)
    mapfile -t chosen <<<"$chosen"
    cd "$WORK/trace"
    python -m coverage run -m pytest -q -p no:cacheprovider --timeout 300 "${APART[@]}" "${chosen[@]}"
    python -m coverage report
}

# sanitized PYTEST-ARGUMENT...
sanitized() {
    # Without this, a package that was built another way would pass for a sanitized one.
    ldd "$WORK"/sanitize/socketio_fast/_core/session.*.so | grep -q libasan
    PYTHONPATH=$WORK/sanitize ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc \
        LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" \
        pytest -q -p no:cacheprovider --timeout 600 "${APART[@]}" "$@"
}

step_sanitize() {
    variant sanitize SANITIZE
    local chosen
    chosen=$(sans_io)
    mapfile -t chosen <<<"$chosen"
    sanitized "${chosen[@]}"
}

step_sanitize-all() {
    variant sanitize SANITIZE
    sanitized "${WORKERS[@]}" tests/unit tests/property tests/integration tests/conformance
}

# on_python VERSION PYTEST-ARGUMENT...
on_python() {
    local name=python$1 python
    if ! python=$(interpreter "$1"); then
        echo "Python $1 is not on this machine: not tried"
        return
    fi
    environment "$WORK/$name" "$python" test
    tree "$name-tree"
    "$WORK/$name/bin/pip" install -q --no-deps --no-build-isolation "$WORK/$name-tree"
    rm -rf "$WORK/$name-tree"
    "$WORK/$name/bin/pytest" -q -p no:cacheprovider "${APART[@]}" "${@:2}"
}

# The versions on this machine but the main one, oldest first.
others() {
    local version main
    main=$(version_of "$(main_python)")
    for version in "${VERSIONS[@]}"; do
        [ "$version" = "$main" ] || ! interpreter "$version" >/dev/null || echo "$version"
    done
}

present_pythons() { local version; for version in $(others); do echo "python$version"; done; }

# The oldest (or newest) of the others, if it is older (or newer) than the main one.
step_oldest() { at_end oldest "$(others | head -n 1)"; }
step_newest() { at_end newest "$(others | tail -n 1)"; }

at_end() {
    local main order
    main=$(version_of "$(main_python)")
    order=$(printf '%s\n' "$main" "$2" | sort -V | head -n 1)
    if [ -z "$2" ] || { [ "$1" = oldest ] && [ "$order" = "$main" ]; } ||
        { [ "$1" = newest ] && [ "$order" != "$main" ]; }; then
        echo "Python $main, which the other steps use, is the $1 on this machine"
        return
    fi
    echo "Python $2"
    on_python "$2" tests/unit tests/integration tests/conformance
}

for version in "${VERSIONS[@]}"; do
    eval "step_python$version() { on_python $version ${WORKERS[*]} tests; }"
done

step_pythons() { local version; for version in $(others); do "step_python$version"; done; }

step_soak() { python -m tests.leaks.soak; }
