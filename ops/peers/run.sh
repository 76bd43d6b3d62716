#!/usr/bin/env bash
# Builds or installs what glmflow is compared with, in $XDG_CACHE_HOME/glmflow, and
# prints the table. See README.md for what it compares and the variables it reads.
#
#   ops/peers/run.sh bin/glmflow [arguments of peers.py]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/glmflow/peers
mkdir -p "$cache"
python=$("$here/../parity/environment.sh")
flags=(-O3 -march=native)
why() { echo "without $1: $2" >&2; }

# Their build is kept until their sources lie elsewhere.
fresh() { [[ -e $2 && $(cat "$2.of" 2>/dev/null) == "$1" ]]; }

if [[ -z ${LLMC:-} ]]; then
	why llm.c "give LLMC, a clone of https://github.com/karpathy/llm.c"
elif ! fresh "$LLMC" "$cache/llmc_step"; then
	gcc -Ofast -march=native -fopenmp -DTESTING -w -I "$LLMC" "$here/llmc_step.c" -lm -o "$cache/llmc_step"
	echo "$LLMC" >"$cache/llmc_step.of"
fi

if [[ -z ${LLAMACPP:-} ]] && command -v cmake >/dev/null; then
	# The Python binding's source package carries the whole of llama.cpp.
	if ! ls -d "$cache"/llama_cpp_python-*/vendor/llama.cpp >/dev/null 2>&1; then
		"$(dirname "$python")/pip" download --quiet --no-deps --no-binary llama-cpp-python -d "$cache" llama-cpp-python >&2 &&
			tar -xzf "$cache"/llama_cpp_python-*.tar.gz -C "$cache" || why llama.cpp "its sources cannot be had; give LLAMACPP, a clone of https://github.com/ggml-org/llama.cpp"
	fi
	LLAMACPP=$(ls -d "$cache"/llama_cpp_python-*/vendor/llama.cpp 2>/dev/null | tail -1 || true)
fi
if ! command -v cmake >/dev/null; then
	why "llama.cpp and ggml" "install cmake"
elif [[ -n ${LLAMACPP:-} ]] && ! fresh "$LLAMACPP" "$cache/llama-bench"; then
	echo "building llama.cpp in $cache" >&2
	cmake -S "$LLAMACPP" -B "$cache/llama" -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF \
		-DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF >"$cache/llama.log" 2>&1
	cmake --build "$cache/llama" --target llama-bench -j "$(nproc)" >>"$cache/llama.log" 2>&1 || { tail -20 "$cache/llama.log" >&2; exit 1; }
	libs=("$cache"/llama/ggml/src/libggml{,-cpu,-base}.a)
	g++ "${flags[@]}" -fopenmp -I "$LLAMACPP/ggml/include" "$here/ggml_step.cpp" "${libs[@]}" -lpthread -ldl -o "$cache/ggml_step"
	cp "$cache/llama/bin/llama-bench" "$cache/"
	echo "$LLAMACPP" >"$cache/llama-bench.of"
fi

# Conversations: token rows of LOGS, encoded with the vocabulary of the model
# directory MODEL, or else of the demo's logs.
rows=$cache/rows.jsonl
if [[ -n ${LOGS:-} ]]; then
	"$1" tokenize --model "${MODEL:?give MODEL, the directory with the vocabulary for LOGS}" --data "$LOGS" --max-length 512 >"$rows"
elif [[ ! -s $rows ]]; then
	echo "running the demo in $cache/demo for its conversations" >&2
	GLMFLOW_CACHE=$cache/base "$1" demo --dir "$cache/demo" >&2
	for log in "$cache"/demo/demo/logs/*/*; do
		"$1" tokenize --model "$cache"/base/demo-base-*[0-9a-f]/ --data "$log" --max-length 512
	done >"$rows.part"
	mv "$rows.part" "$rows"
fi

exec "$python" "$here/peers.py" --cache "$cache" --rows "$rows" "$@"
