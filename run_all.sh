#!/usr/bin/env bash
# One command from a fresh checkout to results: makes .venv, installs the pinned packages, runs.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: ./run_all.sh [WORDS]

  ./run_all.sh               install, then `serbench run demo`: every mixer on a small synthetic MSP-Podcast
  ./run_all.sh test [ARGS]   install, then lint, types and tests (ARGS go to pytest)
  ./run_all.sh setup         install alone
  ./run_all.sh locked        install alone, and no file whose SHA-256 is not in requirements.lock
  ./run_all.sh oldest [ARGS] install the oldest versions that are supported into .venv-oldest, and test with them
  ./run_all.sh WORDS         install, then `serbench run WORDS`, as in `./run_all.sh open --folds 0`

Everything is installed into .venv beside this script, once: again only after a change of pyproject.toml,
constraints.txt or this script. Where nvidia-smi works, the GPU packages are installed too.
PYTHON=/path/to/python chooses the interpreter (3.11 or newer). Paths in WORDS are relative to the checkout.
TEXT
}

fail() {
    echo "run_all.sh: $1" >&2
    exit 2
}

# A Python that runs, is new enough, and can make virtual environments.
suitable() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3.12 python3 python; do
        if suitable "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python 3.11 or newer with the venv module was found; install one (Debian: python3 and python3-venv) or name it with PYTHON=/path/to/python"
}

has_gpu() {
    command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null 2>&1
}

# What an installation depends on, as one line: extras, place, and the three files.
fingerprint() {
    { echo "$(extras) $PWD"; cat pyproject.toml constraints.txt run_all.sh; } |
        .venv/bin/python -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'
}

extras() {
    if has_gpu; then echo dev,gpu; else echo dev; fi
}

# A virtual environment in the folder named, unless one that works is there.
make_venv() {
    local python
    if ! suitable "$1/bin/python" || ! "$1/bin/python" -m pip --version >/dev/null 2>&1; then
        python=$(find_python)
        "$python" -m venv --clear "$1" || fail "$python cannot make a virtual environment; see the message above"
    fi
}

# What was downloaded, with its SHA-256, stays in .venv/report-*.json: the tests hold it against requirements.lock.
install() {
    local stamp=.venv/installed
    if [[ -f $stamp ]] && suitable .venv/bin/python && [[ $(<"$stamp") == $(fingerprint) ]]; then
        return
    fi
    echo "Installing into .venv (once; some minutes on a slow line) …" >&2
    rm -f "$stamp"
    make_venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --report ".venv/report-$(date +%s).json" \
        -c constraints.txt -e ".[$(extras)]" ||
        fail "the installation failed, for the reason above; run the same command again to resume it"
    fingerprint >"$stamp"
}

# pip first, since older ones take no hashes from constraints; a build that .venv has already (torch) stays.
install_locked() {
    echo "Installing into .venv what requirements.lock knows …" >&2
    rm -f .venv/installed
    make_venv .venv
    awk '/^pip==/ { found = 1 } found { print } found && !/\\$/ { exit }' requirements.lock >.venv/pip.txt
    {
        .venv/bin/python -m pip install --quiet --require-hashes -r .venv/pip.txt &&
            .venv/bin/python -m pip install --quiet --require-hashes -r constraints.txt -c requirements.lock &&
            .venv/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .
    } || fail "the installation failed, for the reason above; run the same command again to resume it"
    fingerprint >.venv/installed
}

# A quick part of the tests that needs every package of pyproject.toml but those of the extra `export`.
OLDEST_TESTS=(
    tests/test_supply_chain.py tests/supply tests/mixers/test_mixers_equations.py
    tests/bench/test_{cli,corpora_fetch,evidence_groups,evidence_store,features_audio,features_made_models}.py
    tests/bench/test_{listing,measuring_profile,presets,report_write,training_cohort}.py
)

test_oldest() {
    export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
    make_venv .venv-oldest
    .venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-oldest.txt \
        -e ".[pretrained,slurm]" fla-core hypothesis librosa packaging pytest pytest-xdist scikit-learn ||
        fail "the oldest versions cannot be installed, for the reason above"
    .venv-oldest/bin/python -m pytest -n 2 --dist loadfile -m "not slow" "${OLDEST_TESTS[@]}" "$@"
}

check() {
    export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" # two workers share the cores
    .venv/bin/ruff check .
    .venv/bin/ruff format --check .
    .venv/bin/python -m mypy
    .venv/bin/python -m pytest -n 2 --dist loadfile "$@" # a file shares its fixtures
}

main() {
    case "${1:-demo}" in
        -h | --help) usage && exit ;;
        locked) install_locked; exit ;;
        oldest) test_oldest "${@:2}"; exit ;;
    esac
    install
    case "${1:-demo}" in
        setup) ;;
        test) check "${@:2}" ;;
        *) exec .venv/bin/serbench run "${@:-demo}" ;;
    esac
}

cd "$(dirname "${BASH_SOURCE[0]}")"
main "$@"
