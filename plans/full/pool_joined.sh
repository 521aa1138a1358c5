#!/bin/sh
# pool_joined.sh N succeeds when the dispatcher finds N agents of the pool well.
set -eu

agents=$("$EPUHARNESS" agent list --timeout 5s)
well=$(printf '%s\n' "$agents" | grep -c '^pool-.* ok' || true)
[ "$well" -ge "$1" ] || {
	echo "$well of the $1 nodes of the pool have joined. The dispatcher knows:"
	printf '%s\n' "$agents"
	exit 1
} >&2
