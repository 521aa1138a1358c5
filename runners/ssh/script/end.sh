# How programs end that do not end by themselves, and how what is left of them goes.

# halt ends program $1 and what is left of its group: why, signal, grace.
# A group's number cannot be another's while a member lives, and a leader that
# is there is known by its birth; the wrapper saw whether the leader left any behind.
# Of two that end it for its timeout, launch and the guard, only the first sends the signal: to many programs a second one means to drop everything.
# The status is 1 where some survive, 2 where the record does not tell what to end.
halt() {
	[ -s "$1=began" ] || return 0
	first=$3
	set -- "$1" "$2" "$3" "$4" $(dd if="$1=began" bs=300 count=1 2>/dev/null)
	case "${5-}/${6-}/${7-}/${8-}/${9-}" in
		launch1/1/* | launch1/0* | *//* | */) return 2 ;; # those numbers mean every process
		launch1/*) ;;
		*) return 2 ;;
	esac
	case $6$7$8$9 in
		*[!0-9]*) return 2 ;;
	esac
	[ "${10}" = "$boot" ] || return 0
	last=
	[ ! -e "$1=ended" ] || last=$(dd if="$1=ended" bs=300 count=1 2>/dev/null)
	case $last in
		*exit*' 0 .'*) return 0 ;;
		*exit*) ;;
		*)
			set -C
			if { true >"$1=stop"; } 2>/dev/null; then
				{ echo "$2" >|"$1=stop"; } 2>/dev/null || { true >"$1=$2"; } 2>/dev/null
			elif [ ! -e "$1=stop" ]; then
				{ true >"$1=$2"; } 2>/dev/null
			elif [ "$2" = timeout ]; then
				first=0
			fi
			set +C
			;;
	esac
	if [ -e "/proc/$6" ] && ! same "$6" "$7" && [ "$state" != Z ]; then
		return 0
	fi
	while same "$6" "$7" && ! send 0 "$6"; do # it was started this instant, and has no group yet
		sleep 0.01 2>/dev/null || sleep 1
	done
	reap "$6" "$first" "$4" || return 1
	while :; do # until the process that waits for it has said so
		last=
		{ read -r last rest <"$1=ended"; } 2>/dev/null
		[ ! "$last" ] && same "$8" "$9" || return 0
		kill -CONT "$8" 2>/dev/null # it may be frozen
		sleep 0.01 2>/dev/null || sleep 1
	done
}
stop() {
	if ! mine; then
		answer superseded
	elif [ -e "$1=as" ]; then
		dd if="$1=as" bs=64 count=1 2>/dev/null
		answer as
	else
		halt "$@"
		case $? in
			0) answer stopped ;;
			2) answer damaged ;;
			*) answer stuck ;;
		esac
	fi
}

# reap ends process group $1: signal $2, then after $3 hundredths of a second
# SIGKILL. Zombies whose parent does not see to them keep a group's number in use.
reap() {
	send "$2" "$1"
	send CONT "$1" # one that is frozen would not take the other
	clock
	until=$((now + $3)) nap=0.01 hard=
	while send 0 "$1"; do
		case $nap in
			0.01) nap=0.02 ;;
			0.02) nap=0.05 ;;
			*)
				alive "$1" || return 0
				nap=0.1
				;;
		esac
		clock
		if [ "$now" -ge "$until" ]; then
			[ ! "$hard" ] || return 1
			send KILL "$1"
			hard=yes until=$((now + 1000)) nap=0.01
		fi
		sleep "$nap" 2>/dev/null || sleep 1
	done
	return 0
}

# send sends signal $1 to process group $2. The shell's own kill knows neither
# "--" nor "-s" everywhere (dash, busybox). The command of procps must have both:
# it takes the group -123 for -1, which is every process there is. So are the
# groups 0 and 1, which no program can have. With a kill of the shell's own this starts no process, so that
# a wrapper can tell a program's end where there is no room for one.
send() {
	case $2 in
		'' | 0* | 1 | *[!0-9]*) return 1 ;;
	esac
	if [ "$own" ]; then
		kill "-$1" "-$2"
	else
		kill -s "$1" -- "-$2"
	fi 2>/dev/null
}

# alive says whether more than zombies are left of process group $1.
alive() {
	set +f
	for each in /proc/[0-9]*; do
		if who "${each#/proc/}" && [ "$group" = "$1" ] && [ "$state" != Z ] && [ "$state" != X ]; then
			set -f
			return 0
		fi
	done
	set -f
	return 1
}

# erase ends all programs below $1 and removes the folders "$@", unless some cannot be ended.
erase() {
	mine || { answer superseded; return; }
	pids=
	set +f
	for each in "$1"/*=began "$1"/*/*=began; do
		[ -e "$each" ] || continue
		halt_recorded "${each%=began}" &
		pids="$pids $!"
	done
	set -f
	survivors=
	for each in $pids; do
		wait "$each" || survivors=yes
	done
	if [ "$survivors" ]; then
		answer failed
		return
	fi
	if ! rm -rf "$@" 2>/dev/null; then
		chmod -R u+rwx "$@" 2>/dev/null
		rm -rf "$@" 2>&1 || { answer failed; return; }
	fi
	answer ok
}

# halt_recorded is halt in the way that the program's own record says.
halt_recorded() {
	set -f
	set -- "$1" $(dd if="$1=began" bs=300 count=1 2>/dev/null)
	case ${10-}/${11-} in
		[A-Z]*/[0-9]*) halt "$1" stopped "${10}" "${11}" ;;
		*) halt "$1" stopped TERM 500 ;;
	esac
	case $? in
		0) ;;
		2) printf '%s\n' "its program cannot be ended, since the record $1=began is damaged: end it by hand and remove that file"; return 1 ;;
		*) printf '%s\n' "a process of $1 is still there after SIGKILL"; return 1 ;;
	esac
}

# spent forgets checks, of which nothing is kept; hush what programs wrote.
spent() { forget "began ended out stop stopped timeout" "$@"; }
hush() { forget out "$@"; }

# forget removes the files $1 of the programs after that, with one process.
forget() {
	names=$1 files=
	shift
	for each; do
		for name in $names; do
			files=$files$each=$name$nl
		done
	done
	IFS=$nl
	rm -f $files
	unset IFS
}

# leave is what a session does last: those who listen for it end with it, and so do checks, of which nothing is kept.
leave() {
	set +f
	tell "$R"/.programs/*/*=ear."$T"
	set -f
	IFS=$nl
	set -- $checks
	unset IFS
	for check; do
		left=1
		[ ! -e "$check=ended" ] || read -r word status now left rest <"$check=ended"
		[ "$left" = 0 ] || halt "$check" stopped KILL 0
	done
	[ $# = 0 ] || spent "$@"
	unasked
}

# restart carries out the reboot command.
restart() {
	if said=$(eval "$1" 2>&1 </dev/null); then
		answer ok
	else
		printf '%s' "$said"
		answer failed
	fi
}
