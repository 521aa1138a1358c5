#!/bin/sh
# joined.sh AGENT... succeeds when the dispatcher finds every one of the agents well.
set -eu

agents=$("$EPUHARNESS" agent list --timeout 5s)
for name; do
	printf '%s\n' "$agents" | grep -q "^$name .* ok" || {
		echo "Agent $name has not joined. The dispatcher knows:"
		printf '%s\n' "$agents"
		exit 1
	}
done >&2
