#!/usr/bin/env bash
# Compares a glmflow with PyTorch and transformers: README.md says how.
#
#   ops/parity/run.sh bin/glmflow [arguments of parity.py]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/environment.sh")
exec "$python" "$here/parity.py" "$@"
