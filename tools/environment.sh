#!/bin/sh
# Makes .venv with Python 3.10 and installs the pinned requirements given as arguments; installs nothing twice.
#
# Needs a Python of any version with pip, and nothing else: uv, which does the work, is put into .tools/.
set -eu
cd "$(dirname "$0")/.."

UV_VERSION=0.13.9
PYTHON_VERSION=3.10

fail() {
    echo "error: $1" >&2
    exit 1
}

find_uv() {
    if [ -x .tools/bin/uv ]; then
        return
    fi
    for python in python3 python /usr/bin/python3; do
        if "$python" -m pip --version >/dev/null 2>&1; then
            echo "installing uv $UV_VERSION into .tools/"
            # With --target, pip also works where the system's Python is marked as managed, and needs no venv module.
            "$python" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
                --target .tools "uv==$UV_VERSION" || fail "pip could not install uv: see its message above"
            return
        fi
    done
    fail "no Python with pip was found: install one (on Debian and Ubuntu: apt-get install python3-pip) and try again"
}

make_venv() {
    if [ -x .venv/bin/python ]; then
        return
    fi
    # uv does not look behind pyenv's shims; asked for by name, pyenv's python3.10 answers thanks to .python-version.
    python=$PYTHON_VERSION
    if "python$PYTHON_VERSION" -c "" >/dev/null 2>&1; then
        python=$("python$PYTHON_VERSION" -c "import sys; print(sys.executable)")
    fi
    .tools/bin/uv venv --quiet --python "$python" .venv || fail \
        "no Python $PYTHON_VERSION is here and none could be fetched: install one (pyenv install $PYTHON_VERSION) and try again"
}

find_uv
make_venv
echo "installing the pinned requirements into .venv/"
.tools/bin/uv pip sync --quiet --python .venv/bin/python "$@" || fail "the requirements could not be installed: see above"
