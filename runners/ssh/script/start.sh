# How a program is started: begin, the files that it needs, go. A wrapper of its own starts it, waits for it,
# outlives this session, and writes down how it ended.

# begin is the first line about a program: the beginning of its files' names, and its key.
# What follows is skipped where it was begun before.
begin() {
	p=$1 key=$2 bad= skip= collect=
	mine || bad=superseded
	[ ! -e "$p=began" ] || skip=yes
}

# go starts the program "$@". What came before has set kind, dir, collect, timeout, signal, grace and stamp; head, where
# the beginning of its file is to be looked at here; via, the interpreter that it needs; and the function environment.
go() {
	if [ "$bad" = superseded ]; then
		answer superseded
	elif [ "$skip" ]; then
		answer found
	elif [ "$bad" ]; then
		printf '%s' "$bad"
		answer failed
	else
		wrap "$@" &
		[ "$kind" != check ] || checks="$checks$nl$p"
		[ "${#checks}" -lt 20000 ] || prune
	fi
}

# prune takes those checks out of the list that are forgotten already.
prune() {
	all=$checks checks=
	IFS=$nl
	for each in $all; do
		[ ! -e "$each=began" ] || checks="$checks$nl$each"
	done
	unset IFS
}

# wrap is the process that waits for the program: it outlives this session.
wrap() {
	trap '' HUP PIPE
	exec 7>&1 >/dev/null 2>&1 </dev/null
	child= guard=
	trap last EXIT
	cd "$dir" || cannot "$dir: no such folder, or not one that may be entered"
	program "$1"
	shift
	true >>"$p=out" || cannot "$p=out cannot be written: the disk is full, or read-only"
	who self
	wrapper="$pid $born"
	if [ "$timeout" != 0 ] && [ "$kind" != check ]; then
		guard 7>&- & # first: where there is no room for one more process, no program must be left without its wrapper
		guard=$!
	fi
	become "$@" >>"$p=out" 2>&1 &
	child=$!
	wait "$child"
	status=$?
	[ "$status" -lt 256 ] || status=$((status - 128)) # ksh tells a death by signal N as 256+N
	if [ "$guard" ] && who "$guard" && [ "$parent" = "${wrapper% *}" ]; then # else its pid may be another's
		kill "$guard"
	fi
	if ! ours; then # another was first, or somebody removed the record
		echo "$M!$key" >&7
		exit
	fi
	tell_end
}

cannot() {
	printf '%s' "$1" >&7
	answer failed >&7
	exit
}

# program sets prog to the file that $1 means, or gives up with the reason.
program() {
	case $1 in
		*/*) prog=$1 ;;
		*) search "$1" ;;
	esac
	[ -e "$prog" ] || cannot "$1: no such file"
	[ -f "$prog" ] || cannot "$1: not a file"
	[ -x "$prog" ] || cannot "$1: not executable"
	case $1$head in
		*/*head) headed "$prog" ;;
	esac
	[ ! "$via" ] || [ -x "$via" ] || cannot "$prog: its interpreter $via does not exist"
}

# search is for names without a slash. What is found on the PATH is taken to be a program.
search() {
	prog=
	IFS=:
	for each in $PATH; do
		if [ -f "${each:-.}/$1" ] && [ -x "${each:-.}/$1" ]; then
			prog=${each:-.}/$1
			break
		fi
	done
	unset IFS
	[ "$prog" ] || cannot "$1: not found on the PATH of the host, $PATH"
}

# headed sets via to what the #! line of file $1 names: an exec that fails would
# look like a program that ended with status 126.
headed() {
	first=$(dd if="$1" bs=256 count=1)
	case $first in
		'#!'*)
			first=${first%%"$nl"*}
			set -- ${first#??}
			via=${1-}
			;;
		*ELF*) ;;
		*) cannot "$1: neither a binary for this machine nor a script with #!" ;;
	esac
}

# become is the process that becomes the program, once it has claimed the program's record, and told so.
become() {
	who self
	clock
	set -C
	if ! { true >"$p=began"; } 2>/dev/null; then
		[ -e "$p=began" ] || cannot "$p=began cannot be written: the disk is full, or read-only"
		answer found >&7
		exit
	fi
	set +C
	{ echo "launch1 $pid $born $wrapper $boot $now $timeout $signal $grace $stamp ." >"$p=began" &&
		{ [ "$kind" = check ] || echo "$blanks" >"$p=ended"; }; } 2>/dev/null || {
		rm -f "$p=began" "$p=ended"
		cannot "$p=began cannot be written: the disk is full"
	}
	# Whoever takes the turn now finds this record, and so ends the program.
	mine || {
		rm -f "$p=began" "$p=ended"
		answer superseded >&7
		exit
	}
	answer started "$pid" >&7
	exec 7>&-
	trap - HUP PIPE INT QUIT # not sooner: what is said to a session that is gone must not end the program
	umask "$um"
	if [ "$had" ]; then
		LC_ALL=$lang
	else
		unset LC_ALL
	fi
	set -- "$setsid" "$prog" "$@"
	[ "$reset" = no ] || set -- "$reset" --default-signal=HUP,INT,QUIT,PIPE "$@"
	environment
	exec "$@"
}

# tell_end ends what a failed program left behind, records its end, and tells all who wait for that.
tell_end() {
	left=0
	if send 0 "$child"; then
		left=1
		[ "$status" = 0 ] || { reap "$child" "$signal" "$grace" && left=0; }
	fi
	clock
	echo "exit $status $now $left ." 1<>"$p=ended"
	remains "$p"
	echo "$M!$key exit $status $now $left . $why $out $got" >&7
	set +f
	tell "$p"=ear.*
}

# last is a wrapper's last word, whatever ends it (a shell that cannot start a process ends at once): nobody waits for an
# answer that does not come.
last() {
	[ ! "$guard" ] || [ "$child" ] || kill "$guard"
	word=died
	[ ! -e "$p=began" ] || word=found
	echo "$M?$ticket $word" >&7
}

# ours says whether the record is about the program that this wrapper started, and sets pid to that.
ours() {
	leader=
	{ read -r word pid born leader since rest <"$p=began"; } 2>/dev/null
	[ "$leader" ] && [ "$leader $since" = "$wrapper" ]
}

# guard ends the program at its timeout: launch, which would do that too, may be dead or cut off. It sleeps for a minute
# at most, since sleep does not count the host's suspension, as clock does, and since the wrapper, which ends it by
# SIGTERM together with its sleep, may be killed.
guard() {
	nap= over=
	trap 'over=yes; [ ! "$nap" ] || kill "$nap"' TERM
	clock
	due=$((now + timeout))
	while [ "$now" -lt "$due" ]; do
		rest=$(((due - now + 99) / 100)) # not every sleep knows fractions
		[ "$rest" -lt 60 ] || rest=60
		sleep "$rest" &
		nap=$!
		[ ! "$over" ] || kill "$nap"
		wait "$nap"
		nap=
		[ ! "$over" ] || exit
		same $wrapper || { ours && [ -e "/proc/$pid" ]; } || exit
		clock
	done
	trap '' TERM # from here on it sees to the whole group
	! ours || halt "$p" timeout "$signal" "$grace"
}
