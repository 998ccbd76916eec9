# Makes the private Python environments: `run` for the launcher, with what rootlessnet needs to
# run, and `dev` for tools/test and tools/check, with the dev extra as well. To be sourced, in
# any POSIX shell, with rn_checkout set.
#
# Each user has their own, in the cache directory, by the path of the checkout. One is made under
# another name and renamed when complete, so it is whole or absent whenever we are interrupted,
# and a lock lets one of several processes make it. (The rename leaves a wrong path in bin/pip and
# its like: `python -m pip` works.) Its requirements.txt has the time of the pyproject.toml that
# it was made from. Another time means another pyproject.toml, and if that asks for other packages
# the environment is made anew.
#
# Read: venv and site in the Python Library Reference, flock(1).
# shellcheck shell=sh disable=SC3013,SC3067  # every sh of a Linux distribution has -nt, -ot and -O
# shellcheck disable=SC2154  # rn_checkout

rn_say() {
    printf 'rootlessnet: %s\n' "$*" >&2
}

rn_fail() {
    rn_say "$@"
    exit 1
}

# rn_choose_environment run|dev: sets rn_environment, a directory that need not exist.
rn_choose_environment() {
    case ${XDG_CACHE_HOME-} in
        /*) rn_cache=$XDG_CACHE_HOME ;;
        *) rn_cache=${HOME:+$HOME/.cache} ;;
    esac
    rn_flavour=$1
    rn_environment=$rn_cache/rootlessnet$rn_checkout/$rn_flavour
}

# True when rn_environment is ours, and made from this pyproject.toml.
rn_environment_is_current() {
    [ -x "$rn_environment/bin/python" ] && [ -O "$rn_environment" ] &&
        [ -e "$rn_environment/requirements.txt" ] &&
        [ ! "$rn_checkout/pyproject.toml" -nt "$rn_environment/requirements.txt" ] &&
        [ ! "$rn_checkout/pyproject.toml" -ot "$rn_environment/requirements.txt" ]
}

# Makes rn_environment, or ends the process with one line that says why it cannot.
rn_make_environment() {
    # Standard input and output belong to the program. The subshell's end gives the lock back.
    (
        umask 022
        rn_make_place
        exec 9>"$rn_environment.lock"
        flock -n 9 || {
            rn_say "waiting for another process, which makes $rn_environment"
            flock 9
        }
        rn_environment_is_current || rn_same_requirements || rn_renew_environment
    ) </dev/null >&2 || exit 1
}

rn_make_place() {
    [ -n "$rn_cache" ] ||
        rn_fail "HOME is not set, so the Python environment has no place: set it, or XDG_CACHE_HOME"
    # Root could write into anybody's home directory, and the owner would find it spoilt.
    if [ "$(id -u)" = 0 ] && [ "$rn_cache" = "${HOME-}/.cache" ] && [ ! -O "$HOME" ]; then
        rn_fail "HOME is $HOME, which is not root's: set it to /root (sudo -H does)"
    fi
    { mkdir -p -- "${rn_environment%/*}" 2>/dev/null && [ -w "${rn_environment%/*}" ]; } ||
        rn_fail "cannot write to $rn_cache, where the Python environment goes:" \
            "set XDG_CACHE_HOME to the path of a directory that you can write to"
}

# True when the environment still fits; its requirements.txt takes the time of this pyproject.toml.
rn_same_requirements() {
    [ -x "$rn_environment/bin/python" ] && [ -O "$rn_environment" ] &&
        rn_requirements "$rn_environment/bin/python" |
        cmp -s - "$rn_environment/requirements.txt" &&
        touch -r "$rn_checkout/pyproject.toml" "$rn_environment/requirements.txt"
}

rn_renew_environment() {
    rn_python=$(rn_find_python) || {
        rn_install_python
        rn_python=$(rn_find_python) || rn_fail "python3-venv gave no Python 3.11 or newer"
    }
    rn_say "making a Python environment in $rn_environment (once; takes some seconds)"
    rm -rf -- "$rn_environment.new" "$rn_environment.old"
    rn_fill_environment "$rn_environment.new" >"$rn_environment.log" 2>&1 || rn_explain_failure
    if [ -e "$rn_environment" ]; then
        mv -T -- "$rn_environment" "$rn_environment.old" || rn_fail "remove $rn_environment"
    fi
    mv -T -- "$rn_environment.new" "$rn_environment" &&
        rm -rf -- "$rn_environment.old" "$rn_environment.log"
}

# rn_fill_environment DIRECTORY
rn_fill_environment() {
    "$rn_python" -I -m venv "$1" &&
        rn_requirements "$rn_python" >"$1/requirements.txt" &&
        "$1/bin/python" -I -m pip install --no-input -r "$1/requirements.txt" || return
    if [ "$rn_flavour" = run ]; then
        # What only installs need not be there: its .pth file alone costs every start a millisecond.
        "$1/bin/python" -I -m pip uninstall --yes setuptools pip || return
        echo "$rn_checkout" >"$(echo "$1"/lib/python3*/site-packages)/checkout.pth"
    fi
    touch -r "$rn_checkout/pyproject.toml" "$1/requirements.txt"
}

# rn_requirements PYTHON: prints what pyproject.toml asks for, a line each.
rn_requirements() {
    "$1" -I - "$rn_checkout/pyproject.toml" "$rn_flavour" <<'PYTHON'
import sys, tomllib

path, flavour = sys.argv[1:]
with open(path, "rb") as file:
    project = tomllib.load(file)["project"]
extra = project["optional-dependencies"].get(flavour, [])
print(*project["dependencies"], *extra, sep="\n")
PYTHON
}

# Prints the path of a Python that can make environments: the system's own if it can. The real
# path has the minor version in it: after an upgrade of the system's Python it is gone, and the
# environment is made anew.
rn_find_python() {
    for rn_candidate in /usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11; do
        "$rn_candidate" -I - 2>/dev/null <<'PYTHON' && return
import ensurepip, os, sys, venv

if sys.version_info < (3, 11):
    sys.exit(1)
print(os.path.realpath(sys.executable))
PYTHON
    done
    return 1
}

rn_install_python() {
    ! python3 -I -c 'import sys; sys.exit(sys.version_info >= (3, 11))' 2>/dev/null ||
        rn_fail "python3 is older than 3.11: install a newer one, as python3.11 for example"
    command -v apt-get >/dev/null ||
        rn_fail "Python 3.11 or newer with its modules venv and ensurepip is not here: install it"
    [ "$(id -u)" = 0 ] ||
        rn_fail "Python's venv module is not here: sudo apt-get install python3-venv"
    rn_say "installing the Debian package python3-venv"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update && apt-get install --yes --no-install-recommends python3-venv; } \
        >"$rn_environment.log" 2>&1 ||
        rn_fail "apt-get cannot install python3-venv: see $rn_environment.log"
}

rn_explain_failure() {
    if grep -qE "Python\.h|command '[^']*cc' failed" "$rn_environment.log"; then
        rn_fail "python-pytun has to be compiled here, and a compiler or Python's headers are" \
            "missing: sudo apt-get install gcc python3-dev"
    fi
    rn_fail "cannot make the Python environment:" \
        "$(grep -v '^ *$' "$rn_environment.log" | tail -n 1) (all of it: $rn_environment.log)"
}
