#!/bin/sh
# check_python.sh PYTHON: exit 1, after one sentence on what to install, unless PYTHON is 3.10 or newer and can make virtual
# environments. POSIX shell, because it must run where there is no Python.
set -u

version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
if [ -z "$version" ]; then
    missing="'$1' does not run: install Python 3.10 or newer (Debian and Ubuntu: apt install python3 python3-venv)"
elif ! "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    missing="'$1' is Python $version, but gru_ext needs 3.10 or newer: install one"
elif ! "$1" -c 'import ensurepip, venv' 2>/dev/null; then
    missing="'$1' cannot make virtual environments: install its venv module (Debian and Ubuntu: apt install python$version-venv)"
else
    exit 0
fi
echo "gru_ext: $missing, or name another with make PYTHON=..." >&2
exit 1
