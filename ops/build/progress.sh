#!/usr/bin/env bash
# Shows how far a compiler is: one line that renews itself on a terminal, a line
# every few seconds elsewhere, nothing where nothing is compiled. Reads what the
# compiler says: a line of one word names what it compiles, TOTAL of which there
# are; any other line passes.
#
# SECONDS is how long everything should take: the first half is often quick and
# tells little of the rest.
#
#   go build -v ./... 2>&1 | ops/build/progress.sh LABEL TOTAL SECONDS
set -euo pipefail
label=$1 total=$2 expected=$3
every=10 columns=0
if [[ -t 2 ]]; then
	every=0
	columns=$(stty size <&2 | cut -d' ' -f2)
fi
count=0 shown=0 name=''

# duration VARIABLE SECONDS
duration() {
	if (($2 < 60)); then printf -v "$1" '%ds' "$2"; else printf -v "$1" '%dm%02ds' $(($2 / 60)) $(($2 % 60)); fi
}

show() {
	local text took left
	shown=$SECONDS
	duration took "$SECONDS"
	text="$label: $count of $total, $took"
	if ((count >= total)); then
		text+=', the last ones and the link'
	else
		local whole=$((SECONDS * total / count))
		((whole > expected)) || whole=$expected
		duration left $((whole * (total - count) / total))
		text+=", about $left left"
	fi
	if ((columns == 0)); then
		echo "$text" >&2
	else
		text+="  $name"
		printf '\r%s\e[K' "${text:0:columns-1}" >&2
	fi
}

clear() { ((columns == 0)) || printf '\r\e[K' >&2; }

while :; do
	if IFS= read -r -t 1 line; then
		case $line in
		*[[:space:]]*) clear; echo "$line" >&2; continue ;;
		?*) count=$((count + 1)) name=$line ;;
		esac
	elif (($? <= 128)); then # the end; more than 128 means that a second passed
		break
	fi
	if ((count > 0 && SECONDS - shown >= every)); then show; fi
done
clear
if ((count > 0)); then
	duration took "$SECONDS"
	echo "$label: $count compiled in $took" >&2
fi
