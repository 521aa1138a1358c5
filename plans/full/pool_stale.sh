#!/bin/sh
# pool_stale.sh lets the dispatcher forget nodes of the pool that are not well. Where nobody answers, nobody needs to be told.
"$EPUHARNESS" agent list --timeout 5s | awk '/^pool-/ && !/ ok/ { print $2 }' | while read -r node; do
	"$EPUHARNESS" node remove "$node" --force --timeout 5s </dev/null || true
done
