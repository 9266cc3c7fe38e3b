#!/usr/bin/env bash
# Says in one sentence what this machine lacks: Python >= 3.10 and Java 17 or 21 are needed.
#     scripts/check_machine.sh [PYTHON]
set -euo pipefail

python=${1:-python3}

fail() {
    printf 'fusionspark: %s\n' "$*" >&2
    exit 2
}

command -v "$python" >/dev/null 2>&1 ||
    fail "no $python on the PATH. Allowed: Python 3.10 or newer. Remedy: install it, or run 'make PYTHON=/path/to/python3 ...'."
found=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    fail "$python is Python $found. Allowed: 3.10 or newer. Remedy: run 'make PYTHON=/path/to/python3 ...'."
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python cannot make virtual environments. Remedy: install its venv package (Debian: python3-venv)."

# Where another Java 17 lies, for the remedy.
other=""
for folder in /usr/lib/jvm/*17* /opt/java/*17* "$HOME"/.sdkman/candidates/java/17*; do
    [ -x "$folder/bin/java" ] && other=$folder && break
done
remedy="install Java 17 (Debian: openjdk-17-jre-headless)"
[ -n "$other" ] && remedy="export JAVA_HOME=$other"

java=java
[ -n "${JAVA_HOME:-}" ] && java=$JAVA_HOME/bin/java
command -v "$java" >/dev/null 2>&1 || fail "no Java at '$java'. Allowed: Java 17. Remedy: $remedy."
# 'openjdk version "17.0.15" ...'; Java 8 calls itself 1.8.
major=$("$java" -version 2>&1 | sed -n 's/.* version "\(1\.\)\{0,1\}\([0-9]*\).*/\2/p' | head -n 1)
case "$major" in
    17 | 21) ;;
    *) fail "'$java' is Java ${major:-of an unknown version}. Allowed: 17 (21 works too). Remedy: $remedy." ;;
esac
