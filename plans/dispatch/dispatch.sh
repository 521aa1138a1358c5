#!/bin/sh
# dispatch.sh asks the dispatcher for what the services of this plan need. Every call can be
# repeated: what is so already stays so.
#
#   dispatch.sh define NAME PROGRAM AS ENGINE   make a program known, and send it under a name
#   dispatch.sh run ID DEFINITION [TAG]         run a process with config.json, leave its address;
#                                               with a TAG, on a node that has no other one with it
#   dispatch.sh end ID                          end a process, and forget it
#   dispatch.sh undefine NAME                   forget a program
#   dispatch.sh boot-mode-off
#
# EPUHARNESS is the client; it finds the dispatcher by EPUHARNESS_URL and EPUHARNESS_CREDENTIALS.
# PLACED_WITHIN is how long a process may take until it listens.
set -eu

# What every service of this plan prints when it answers. The names are those of the exports.
listening='^listening on (?P<endpoint>(?P<host>.+):(?P<port>[0-9]+))$'

# What ends something waits no longer than this for a dispatcher: the next leads within 3 s of
# a leader's death, so that one which says nothing for longer is dead.
answers_within=5s

main() {
	what=$1
	shift
	case $what in
	define) define "$@" ;;
	run) run "$@" ;;
	end) ended || end "$1" ;;
	undefine) ended || "$EPUHARNESS" definition remove "$1" --timeout "$answers_within" ;;
	boot-mode-off) ended || "$EPUHARNESS" boot-mode off --timeout "$answers_within" ;;
	*) fail "dispatch.sh does not know how to $what" ;;
	esac
}

define() {
	"$EPUHARNESS" definition create "$1" --replace --engine "$4" --file "$2=$3" -- "./$3"
}

run() {
	# One call schedules, waits until the process runs and listens, and leaves what it says.
	if "$EPUHARNESS" process schedule "$1" --definition "$2" --config config.json --node-exclusive "${3-}" \
		--wait --line "$listening" --timeout "$PLACED_WITHIN" \
		--output json --fields endpoint,host,port,agent,node,pid >"$LAUNCH_EXPORTS"; then
		return
	fi
	echo "Process $1 did not come to listen. What the dispatcher says of it:"
	"$EPUHARNESS" process why "$1" --timeout 5s || :
	echo "The end of its output:"
	"$EPUHARNESS" process logs "$1" --tail 2000 --timeout 5s || :
	exit 1
} >&2

# end asks first whether a dispatcher answers, so that the time that a process may take to end
# need not pass before it is said that none does.
end() {
	quietly "$EPUHARNESS" process describe "$1" --timeout "$answers_within"
	quietly "$EPUHARNESS" process terminate "$1"
	quietly "$EPUHARNESS" process remove "$1"
}

# ended says whether the dispatcher itself was taken down: its credentials go last.
ended() {
	[ ! -e "$EPUHARNESS_CREDENTIALS" ] && echo "The credentials file is gone, so the dispatcher was taken down, and its processes with it."
}

# quietly runs a command for which it is fine that the process is unknown: it never came to be,
# or an earlier attempt has removed it.
quietly() {
	said=$("$@" 2>&1) && return
	case $said in
	*" is unknown"*) ;;
	*) fail "$said" ;;
	esac
}

fail() {
	echo "$*" >&2
	exit 1
}

main "$@"
