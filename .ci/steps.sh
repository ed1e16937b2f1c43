# Sourced by .ci/run: the checks. Each is a function that fails, by `set -e`, where its
# check does. They run in the checkout, with the installed package before all others.

# The directories of tests. These wait for sockets, programs and browsers more than they
# compute; a worker of pytest-xdist that a test takes too long for is replaced.
WAITING=(integration client adapters interop browser docs managers leaks cluster)
# These compute. More processes would each collect all tests, and tell each other the
# results, which takes longer than most of these tests.
COMPUTING=(unit compat meta property conformance)
# A file's tests are in one process and keep their order; the slow files come first.
TWO=(-n 2 --dist loadfile --no-loadscope-reorder)
APART=(-m "not alone and not prompt")

# What another Python can break.
REAL=(tests/unit tests/integration tests/conformance)

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
    modules=$(cd socketio_fast/_core && ls -- *.pyi */*.pyi | sed 's/\.pyi$//; s|/|.|; s/^/socketio_fast._core./')
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

# The reference is made of the installed package and of the sources here.
step_site() { python .ci/site/build.py; }

# tried NAME PYTEST-ARGUMENT...: a program of others or a browser may get no time on a busy
# machine. So of tests with such, at most three that fail are tried once more, and the
# summary names them. Where pytest itself fails (a status above 1), tests may not have run.
tried() {
    local cache=$WORK/pytest/$1 failed status=0
    rm -rf "$cache"
    pytest -q -o cache_dir="$cache" "${APART[@]}" "${@:2}" || status=$?
    ((status < 2)) || return "$status"
    ((status)) || return 0
    failed=$(python - "$cache/v/cache/lastfailed" <<'PYTHON'
import json, sys
with open(sys.argv[1]) as file:
    failed = json.load(file)
if not 0 < len(failed) <= 3:
    sys.exit("too many to be tried again")
print(*failed, sep="\n")
PYTHON
    ) || return 1
    sed 's/^/again   /' <<<"$failed" >>"$WORK/log/.summary"
    pytest -q -o cache_dir="$cache" --last-failed --last-failed-no-failures none "${APART[@]}" "${@:2}"
}

# The command of the README, for a directory.
for part in "${WAITING[@]}"; do
    eval "step_$part() { tried $part -n 1 tests/$part; }"
done
step_integration() { tried integration "${TWO[@]}" tests/integration; }
step_client() { tried client "${TWO[@]}" tests/client; }
for part in "${COMPUTING[@]}"; do
    eval "step_$part() { pytest -q -o cache_dir=$WORK/pytest/$part \"\${APART[@]}\" tests/$part; }"
done
step_property() { pytest -q -o cache_dir="$WORK/pytest/property" "${APART[@]}" tests/property tests/fuzz; }

# Of tests/browser, what no other test shows: that a page gets on with a server at all.
step_page() { tried page -n 1 tests/browser/test_{serve_client,webtransport,jsonp}.py; }

# No directory with tests is left out.
step_parts() {
    local name names=" ${WAITING[*]} ${COMPUTING[*]} fuzz "
    for name in $(git ls-files 'tests/*test_*.py' | cut -d / -f 2 | sort -u); do
        [[ $names == *" $name "* ]] || { echo "tests/$name is in no step of .ci/steps.sh"; return 1; }
    done
}

# marked NAME: the directories that have tests with this mark. To look through all tests
# for a few takes longer than these take.
marked() { grep -rlE "mark\.$1\b" --include='*.py' tests | xargs -n 1 dirname | sort -u; }

# Few beside each other: these tests wait, and must not wait for long.
# shellcheck disable=SC2046
step_prompt() { tried prompt -n 3 --dist loadfile -m prompt $(marked prompt); }

# shellcheck disable=SC2046
step_alone() { pytest -q -m alone $(marked alone); }

# What benchmarks compare with, in an environment of its own: what its requirements pin is
# not for the other steps.
step_rivals() {
    local wanted
    wanted=$(cat benchmarks/requirements.txt "$WORK/dist/made")
    if fresh "$WORK/benchmarks/made" "$wanted"; then return; fi
    "$(main_python)" -m venv --clear "$WORK/benchmarks"
    packages "$WORK/benchmarks" -r benchmarks/requirements.txt \
        pydantic pytest pytest-benchmark "$WORK"/dist/*.whl
    made "$WORK/benchmarks/made" "$wanted"
}

step_micro() {
    step_rivals
    env -u PYTEST_ADDOPTS "$WORK/benchmarks/bin/pytest" -q benchmarks/micro --benchmark-disable
}

# compared OPTION...: benchmarks/run.py, which pins the server and the load to a core each.
compared() {
    if (($(nproc) < 2)); then
        echo "one core: nothing is compared"
        return
    fi
    step_rivals
    "$WORK/benchmarks/bin/python" benchmarks/run.py --quick --check "$@"
}

step_guard() { compared --only echo-8,broadcast-500; }
step_benchmarks() { compared; }

# variant NAME FLAG [NAME=VALUE]: the package built in a tree of its own, in place.
variant() {
    tree "$1"
    cd "$WORK/$1"
    quietly "$1-build" env "SOCKETIO_FAST_$2=1" "${@:3}" python setup.py -q build_ext --inplace
    cd "$ROOT"
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

# sanitized PYTEST-ARGUMENT...: with a build of its own, by clang, which takes half as long
# as gcc where it does not optimise.
sanitized() {
    variant sanitize SANITIZE CC="clang -shared-libasan"
    local runtime reports=$WORK/log/sanitizers
    # Without this, a package that was built another way would pass for a sanitized one.
    runtime=$(LD_LIBRARY_PATH=$(clang -print-runtime-dir) \
        ldd "$WORK"/sanitize/socketio_fast/_core/compiled.*.so |
        awk '/clang_rt.asan/ { print $3 }')
    [ -f "$runtime" ] || { echo "no sanitizer is linked"; return 1; }
    rm -f "$reports".*
    # What a process that ends in a test has printed is lost, unless it is in a file.
    PYTHONPATH=$WORK/sanitize PYTHONMALLOC=malloc LD_PRELOAD=$runtime \
        ASAN_OPTIONS=detect_leaks=0:log_path=$reports \
        UBSAN_OPTIONS=print_stacktrace=1:log_path=$reports \
        pytest -q -p no:cacheprovider --timeout 600 "${APART[@]}" "$@" ||
        { cat "$reports".*; return 1; }
}

step_sanitize() {
    local chosen
    chosen=$(sans_io)
    mapfile -t chosen <<<"$chosen"
    # The properties are tried with a quarter of the examples: all of them in sanitize-all.
    # In one process, since to collect the tests takes a sixth of the time of all.
    EXAMPLES_DIVISOR=4 sanitized "${chosen[@]}"
}

# Under the sanitizers, a worker that has just begun has more memory than that test allows.
step_sanitize-all() {
    sanitized "${TWO[@]}" "${REAL[@]}" tests/property --deselect \
        tests/integration/workers/test_life.py::test_workers_with_much_memory_are_replaced
}

# The versions on this machine but the main one, oldest first.
others() {
    local version main
    main=$(version_of "$(main_python)")
    for version in "${VERSIONS[@]}"; do
        [ "$version" = "$main" ] || ! interpreter "$version" >/dev/null || echo "$version"
    done
}

# The steps of all versions but the main one that this machine has or can get.
possible_pythons() {
    local version
    for version in "${VERSIONS[@]}"; do
        [ "$version" = "$(version_of "$(main_python)")" ] || echo "python$version"
    done
}

# The oldest or the newest Python of this machine, if that is not the main one.
extreme() {
    local main
    main=$(version_of "$(main_python)")
    case $1 in
    oldest) others | sed -n 1p | awk -F. -v main="${main#*.}" '$2 < main' ;;
    newest) others | tail -n 1 | awk -F. -v main="${main#*.}" '$2 > main' ;;
    esac
}

# install_on VERSION [NAME=VALUE]: an environment with the package, built for this Python.
install_on() {
    local name=python$1
    environment "$WORK/$name" "$(interpreter "$1")" test
    tree "$name-tree"
    env "${@:2}" "$WORK/$name/bin/pip" install -q \
        --force-reinstall --no-deps --no-build-isolation "$WORK/$name-tree"
    rm -rf "$WORK/$name-tree"
}

tests_on() { # VERSION PYTEST-ARGUMENT...
    PATH=$WORK/python$1/bin:$PATH tried "python$1" "${TWO[@]}" "${@:2}"
}

# Where not every version is tried, assertions are on, and the compiler does not take long.
on_extreme() { # WHICH
    local version
    version=$(extreme "$1")
    if [ -z "$version" ]; then
        echo "the $1 Python of this machine is the one of the other steps"
        return
    fi
    echo "Python $version"
    install_on "$version" SOCKETIO_FAST_DEBUG=1 CC=clang
    tests_on "$version" "${PROCESSES[@]}" tests/integration tests/conformance
}

# The files of tests/integration that start many processes. The main Python runs them
# before a landing, and every Python in the step `pythons`.
PROCESSES=(--ignore=tests/integration/workers)
for part in asgi_servers examples new_project run_threads; do
    PROCESSES+=("--ignore=tests/integration/test_$part.py")
done
step_oldest() { on_extreme oldest; }
step_newest() { on_extreme newest; }

# The Debian that has a Python, where this machine has not.
declare -A SUITES=([3.13]=trixie [3.14]=sid)

# on_debian VERSION: without Node.js and brokers, so only what a Python can break.
on_debian() {
    local suite=${SUITES[$1]}
    debian "$suite"
    as_root rm -rf "$WORK/$suite/src"
    as_root mkdir "$WORK/$suite/src"
    as_root tar xzf "$WORK"/dist/*.tar.gz --strip-components=1 -C "$WORK/$suite/src"
    inside "$suite" "
        export PATH=/usr/bin:/bin:/usr/sbin:/sbin HOME=/root
        cd /src
        python3 -c 'import sys; print(sys.version); assert sys.version.startswith(\"$1.\")'
        [ -x /venv/bin/pip ] || python3 -m venv /venv
        /venv/bin/pip install -q . -r tests/requirements.txt
        PATH=/venv/bin:\$PATH
        pytest -q -p no:cacheprovider ${TWO[*]} -m 'not alone and not prompt' ${REAL[*]}"
}

on_python() {
    if ! interpreter "$1" >/dev/null; then
        if [ -n "${SUITES[$1]:-}" ]; then
            on_debian "$1"
        else
            echo "Python $1 is not on this machine: not tried"
        fi
        return
    fi
    install_on "$1"
    local failed=0 part
    # A directory after the other, as before a landing: what the tests of one leave behind
    # does not reach the next.
    for part in "${WAITING[@]}" "${COMPUTING[@]}" fuzz; do
        tests_on "$1" "tests/$part" || failed=1
    done
    return "$failed"
}

for version in "${VERSIONS[@]}"; do
    eval "step_python$version() { on_python $version; }"
done

step_pythons() { local step; for step in $(possible_pythons); do "step_$step"; done; }

# What the steps of the Pythons leave out: it needs the machine for itself.
step_quiet() {
    local failed=0 name version tests=(-q -p no:cacheprovider -m "alone or prompt")
    for name in $(possible_pythons); do
        version=${name#python}
        if [ -x "$WORK/$name/bin/pytest" ]; then
            echo "Python $version"
            # shellcheck disable=SC2046
            PATH=$WORK/$name/bin:$PATH pytest "${tests[@]}" $(marked alone) $(marked prompt) ||
                failed=1
        elif [ -d "$WORK/${SUITES[$version]:-none}/src" ]; then
            echo "Python $version, of Debian"
            inside "${SUITES[$version]}" "
                export PATH=/venv/bin:/usr/bin:/bin HOME=/root
                cd /src
                pytest ${tests[*]@Q} ${REAL[*]}" || failed=1
        fi
    done
    return "$failed"
}

# Not from the checkout, whose package `python -m` would take for the installed one.
step_soak() { (cd tests && python -m leaks.soak); }

# Thousands of cuts, and of connections that come and go: the suite does a few of each.
step_endurance() {
    ENDURANCE=1 pytest -q -n 2 --dist load tests/leaks/test_reconnections.py tests/leaks/test_client_cycles.py
}

# The clients beside a server in Rust, which takes minutes to compile.
step_rust() {
    if ! command -v cargo >/dev/null; then
        echo "cargo is not installed: not tried"
        return
    fi
    cargo build -q --manifest-path tests/interop/rust/Cargo.toml --target-dir "$WORK/rust"
    RUST_APPLICATION=$WORK/rust/debug/application pytest -q "${TWO[@]}" tests/client/test_against_servers.py -k socketioxide
}

# A broker of Kafka, in Java, whose start takes as long as all tests with it. kafka-python
# leaves sockets open, of which Python warns at the end.
step_kafka() {
    local jars=$WORK/kafka
    command -v mvn >/dev/null && command -v java >/dev/null ||
        { as_root apt-get update -q && apt maven default-jre-headless; }
    [ -e "$jars/made" ] || quietly kafka-jars mvn -q -B -f tests/support/kafka/pom.xml \
        dependency:copy-dependencies -DoutputDirectory="$jars"
    touch "$jars/made"
    SOCKETIO_FAST_KAFKA_JARS=$jars pytest -q -k "kafka or Kafka" tests/managers \
        -W ignore::pytest.PytestUnraisableExceptionWarning
}

# By libFuzzer; then with faults in the headers, each of which has to be found.
step_fuzz() {
    command -v clang >/dev/null || { echo "clang is not installed"; return 1; }
    python tests/fuzz/run.py --seconds 60
    python -m tests.fuzz.broken
}
