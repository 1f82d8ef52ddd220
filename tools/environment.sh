#!/bin/sh
# Makes .venv for a lane and installs the pinned requirements given after it; installs nothing twice.
#
# Needs a Python of any version with pip, and nothing else: uv, which does the work, is put into .tools/.
set -eu
cd "$(dirname "$0")/.."

UV_VERSION=0.13.9

lane=$1
shift
case $lane in
    1.16) pythons="3.10" ;;
    *) pythons="3.13 3.12 3.11" ;; # the first that is here or can be fetched
esac

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
        version=$(.venv/bin/python -c 'import sys; print("{}.{}".format(*sys.version_info))')
        case " $pythons " in *" $version "*) return ;; esac
    fi
    for version in $pythons; do
        # uv does not look behind pyenv's shims; asked for by name, pyenv's python3.10 answers thanks to .python-version.
        python=$version
        if "python$version" -c "" >/dev/null 2>&1; then
            python=$("python$version" -c "import sys; print(sys.executable)")
        fi
        if .tools/bin/uv venv --quiet --clear --python "$python" .venv; then
            return
        fi
    done
    first=${pythons%% *}
    fail "no Python $first is here and none could be fetched: install one (pyenv install $first) and try again"
}

find_uv
make_venv
echo "installing the pinned requirements into .venv/"
.tools/bin/uv pip sync --quiet --python .venv/bin/python "$@" || fail "the requirements could not be installed: see above"
