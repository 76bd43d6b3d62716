#!/usr/bin/env bash
# Prints the path of a Python that has PyTorch, transformers, safetensors and
# NumPy, in an environment of its own that the first call makes under
# $XDG_CACHE_HOME/glmflow/parity. PYTHON is the Python to make it with, TORCH_INDEX
# another index to take PyTorch from: https://download.pytorch.org/whl/cpu has
# packages without CUDA, a tenth of the size of PyPI's.
set -euo pipefail
dir=${XDG_CACHE_HOME:-$HOME/.cache}/glmflow/parity
if [[ ! -e $dir/complete ]]; then
	echo "installing PyTorch and transformers in $dir" >&2
	rm -rf "$dir"
	"${PYTHON:-python3}" -m venv "$dir"
	"$dir/bin/pip" install --quiet ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch >&2
	"$dir/bin/pip" install --quiet transformers safetensors numpy >&2
	touch "$dir/complete"
fi
echo "$dir/bin/python"
