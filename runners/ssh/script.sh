# The host's side of the conversation, for any POSIX shell. hand.go sends it,
# without its comments, at the beginning of a session; the session then reads
# one line after the other and does what it says.
#
# Known here: $M, a random word that marks our answers, and $nl, a newline.
# An answer is data, then a line: "$M+NAME" ends a part of it, "$M.WORDS" ends it
# all, "$M!KEY WORDS" is news of a program and may stand between any other bytes. So may "$M?TICKET WORDS": it answers
# the request with that $ticket, if nothing did before.
#
# $R is the run's folder. A service has its work directory $R/SERVICE and, out of
# the way of its programs, the folder $R/.programs/SERVICE. There, for a program:
#   NAME=began  made once, exclusively, before the start: who and when, and how to stop it
#   NAME=ended  blanks, then how it ended, written over them by one write: so a full disk does not lose it
#   NAME=out    what it wrote
#   NAME=stop   why launch ended it; on a full disk it is empty, and NAME=WHY is there too
#   NAME=as     the other user whose folder has all this
#   NAME=ear.*  pipes of those who attached to it and wait
# $R/.turn.NAME is there for the launch process that came last. What a dead one asked for may still be on its way to us
# when the next one works here, and must not be done then: see mine.
# Files are read by dd, since a shell's own read takes a byte at a time and has no bound.

nl='
'
um=$(umask)
umask 077
lang=${LC_ALL-}
had=${LC_ALL+yes}
LC_ALL=C
set -f
checks= ticket=
own=
! PATH=/ kill -0 "$$" 2>/dev/null || own=yes # the shell has a kill of its own

part() { printf '%s\n' "$M+$1"; }
answer() { printf '%s\n' "$M.$*"; }

# clock sets now: hundredths of a second since the host's boot, suspension included.
clock() {
	read -r now rest </proc/uptime
	now=${now%.*}${now#*.}
}

# who tells about a process: pid, state, parent, group and born. A command's name
# may hold anything, so the fields are counted from its closing bracket.
who() {
	stat=
	{ while read -r line; do stat="$stat $line"; done </proc/"$1"/stat; } 2>/dev/null
	[ "$stat" ] || return 1
	pid=${stat%%' ('*}
	pid=${pid# }
	set -- ${stat##*') '}
state=$1 parent=$2 group=$3
shift 19
born=$1
}

# same says whether process $1 is there and is the one that was born at $2.
same() {
	who "$1" && [ "$born" = "$2" ] && [ "$state" != Z ] && [ "$state" != X ]
}

# usable makes folder $1 and finds out whether programs can run from there, and
# what this host's tools can do: that is kept in .can, for the next session. Hundreds of hosts may be on few
# processors (containers, virtual machines), so this starts as few programs as it can; what it tried stays until the run ends.
usable() {
	why=
	if [ ! -f "$1/.can" ]; then
		why=$(mkdir -p -m 700 "$1" 2>&1) || return 1 # 700 even where the folder above has a default ACL
	fi
	why="$1 belongs to somebody else"
	[ -O "$1" ] && [ ! -L "$1" ] || return 1
	if [ -f "$1/.can" ] && read -r setsid reset full <"$1/.can"; then
		return 0
	fi
	try=$1/.try-$T
	{ printf '#!/bin/sh\nexec dd iflag=fullblock bs=1 count=0 </dev/null 2>/dev/null\n' >"$try"; } 2>/dev/null || {
		why=$( { true >"$try"; } 2>&1 )
		why=${why:-$1 cannot be written to: the disk is full}
		forsake "$1"
		return 1
	}
	chmod 700 "$1" "$try"
	setsid=$(command -v setsid && command -v env)
	reset=${setsid#*"$nl"} full=no
	[ "$reset" != "$setsid" ] || reset=no
	setsid=${setsid%%"$nl"*}
	[ "$setsid" ] || { why="it has no setsid command (from util-linux or busybox)"; return 1; }
	if [ "$reset" != no ] && "$reset" --default-signal=INT,QUIT "$setsid" "$try" 2>/dev/null; then
		full=yes
	else
		"$try" 2>/dev/null
		case $? in
			0) full=yes ;;
			126) why="programs cannot be run from $1: it is mounted noexec"; forsake "$1"; return 1 ;;
		esac
		[ "$reset" = no ] || "$reset" --default-signal=INT,QUIT true 2>/dev/null || reset=no
	fi
	{ printf '%s\n' "$setsid $reset $full" >"$1/.can"; } 2>/dev/null || { why="$1 cannot be written to: the disk is full"; rm -f "$1/.can"; forsake "$1"; return 1; }
}

# forsake leaves nothing in folder $1 that cannot be used, nor the folder.
forsake() {
	rm -f "$try"
	rmdir "$1" 2>/dev/null
}

identify() {
	boot=
	{ read -r boot </proc/sys/kernel/random/boot_id; } 2>/dev/null
	boot=${boot:--}
}

# turn makes the launch process $1 the one that may start and end programs here: of two that come
# at once, at most one. Those that only look have no name, and leave this as it is.
turn() {
	me=$1
	[ "$me" ] && [ ! -e "$R/.turn.$me" ] || return 0
	{ true >"$R/.turn.$me"; } 2>/dev/null || return 1
	set +f
	set -- "$R"/.turn.*
	set -f
	for each; do
		[ "$each" = "$R/.turn.$me" ] || rm -f "$each"
	done
}

# mine says whether it is still our launch's turn, and the run's folder is there.
mine() {
	if [ "$me" ]; then
		[ -e "$R/.turn.$me" ]
	else
		[ -e "$R/.can" ]
	fi
}

# again is for a launch that lives although it was told that another one came: it takes its turn once more.
again() {
	if usable "$R" && turn "$me"; then
		answer ok
	else
		printf '%s' "${why:-cannot write $R/.turn.$me: the disk is full, or read-only}"
		answer failed
	fi
}

# hello finds the folder of run $2: below $1 where given, else at home, else in a temporary folder. $3 is for turn.
hello() {
	identify
	home=
	[ "${HOME:-/}" = / ] || home=$HOME/.launch/$2
	R= reasons=
	for each in "${1:+$1/$2}" "$home" "/var/tmp/launch-$2" "/tmp/launch-$2"; do
		if [ "$each" ] && [ -s "$each/.can" ] && usable "$each"; then
			R=$each
			break
		fi
	done
	if [ ! "$R" ]; then
		for each in "${1:+$1/$2}" "$home" "/var/tmp/launch-$2" "/tmp/launch-$2"; do
			[ "$each" ] || continue
			if usable "$each"; then
				R=$each
				break
			fi
			reasons="$reasons$why$nl"
		done
	fi
	for shared in /var/tmp /tmp; do
		[ -d "$shared" ] && [ -w "$shared" ] && break
	done
	enter "$3"
}

# hello_at is hello for the user whose folder is $1.
hello_at() {
	identify
	R=$1 shared= reasons=
	usable "$1" || { R=; reasons=$why; }
	enter "$2"
}

enter() {
	if [ "$R" ] && ! turn "$1"; then
		reasons="cannot write $R/.turn.$me: the disk is full, or read-only" R=
	fi
	welcome
}

# welcome ends the noise of start-up files, then tells what was found.
welcome() {
	part noise
	printf '%s' "$R"
	part root
	printf '%s' "$shared"
	part shared
	printf '%s' "$reasons"
	part reasons
	answer hello "$boot"
}

# chunk copies $1 bytes of our input to its output.
chunk() {
	if [ "$full" = yes ]; then
		dd bs="$1" count=1 iflag=fullblock 2>/dev/null
	else
		dd ibs=1 obs=65536 count="$1" 2>/dev/null || exit 9
	fi
}

# take is chunk for any size: it takes all bytes even where they cannot be
# written, since the next command comes after them.
take() {
	rest=$1 full_disk=
	while [ "$rest" -gt 1048576 ]; do
		chunk 1048576 || full_disk=yes
		rest=$((rest - 1048576))
	done
	[ "$rest" = 0 ] || chunk "$rest" || full_disk=yes
	[ ! "$full_disk" ]
}

need() {
	[ ! "$bad" ] || return 0
	for each; do
		if [ ! -d "$each" ]; then
			mkdir -p "$@" 2>/dev/null || bad=$(mkdir -p "$@" 2>&1)
			return
		fi
	done
}

# begin is the first line about a program: its work directory, folder, name and key.
# What follows is skipped where it was begun before.
begin() {
	W=$1 S=$2 p=$2/$3 key=$4 bad= skip= collect=
	mine || bad=superseded
	need "$W" "$S"
	[ ! -e "$p=began" ] || skip=yes
}

# pack begins payload $1, unless it is here already; packed ends it. Another
# launch, or this one under another name of the host, may be doing the same: each
# fills a folder $P of its own, and the first to finish says which one counts.
pack() {
	kept=$skip P=
	if [ -f "$1=whole" ]; then
		read -r P <"$1=whole"
	fi
	if [ "$P" ]; then
		skip=yes
	else
		P=$1-$T
		need "$P"
	fi
}
packed() {
	if [ "$skip" ]; then
		:
	elif [ "$bad" ]; then
		rm -rf "$P" # the parts of one that found no room would only take more
	else
		set -C
		{ printf '%s\n' "$P" >"$1=whole"; } 2>/dev/null || [ -s "$1=whole" ] || rm -f "$1=whole"
		set +C
	fi
	skip=$kept
}
packs() {
	P=
	if [ -f "$1=whole" ]; then
		read -r P <"$1=whole"
	fi
	[ "$skip$bad" ] || [ "$P" ] || bad=unpacked
}

# put makes the file $2 of the next $1 bytes.
put() {
	if [ "$skip$bad" ]; then
		take "$1" >/dev/null
		return
	fi
	if [ -e "$2" ] || [ -L "$2" ]; then
		rm -rf "$2"
	fi
	if { true >"$2"; } 2>/dev/null; then
		take "$1" >"$2" || bad="cannot write $2: the disk is full, or a quota reached"
	else
		bad=$( { true >"$2"; } 2>&1 )
		take "$1" >/dev/null
	fi
}

mode() {
	[ "$skip$bad" ] || chmod "$@" 2>/dev/null || bad="cannot set the mode of $2"
}

# These three are need, put and mode in the payload's folder.
pneed() {
	for each; do
		[ "$skip$bad" ] || [ -d "$P/$each" ] || mkdir -p "$P/$each" 2>/dev/null || bad="cannot make the folder $P/$each"
	done
}
pput() { put "$1" "$P/$2"; }
pmode() {
	[ "$skip$bad" ] || ( cd "$P" && chmod "$@" ) 2>/dev/null || bad="cannot set the mode of $P/$2"
}

# go starts the program "$@" of which the lines before told, in the folder $dir.
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

cannot() {
	printf '%s' "$1" >&7
	printf '%s\n' "$M.failed" >&7
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
	first=$(dd if="$1" bs=256 count=1 2>/dev/null | tr -d '\000')
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

# wrap is the process that waits for the program: it outlives this session.
wrap() {
	trap '' HUP PIPE
	exec 7>&1 >/dev/null 2>&1 </dev/null
	child= guard=
	trap last EXIT
	cd "$dir" || cannot "$dir: no such folder, or not one that may be entered"
	program "$1"
	shift
	{ true >>"$p=out"; } 2>/dev/null || cannot "$p=out cannot be written: the disk is full, or read-only"
	who self
	wrapper="$pid $born"
	if [ "$timeout" != 0 ] && [ "$kind" != check ]; then
		guard 7>&- & # first: where there is no room for one more process, no program must be left without its wrapper
		guard=$!
	fi
	(
		who self
		clock
		set -C
		if ! { true >"$p=began"; } 2>/dev/null; then
			[ -e "$p=began" ] || cannot "$p=began cannot be written: the disk is full, or read-only"
			printf '%s\n' "$M.found" >&7
			exit
		fi
		set +C
		{ printf '%s\n' "launch1 $pid $born $wrapper $boot $now $timeout $signal $grace $stamp ." >"$p=began" &&
			{ [ "$kind" = check ] || printf '%60s\n' '' >"$p=ended"; }; } 2>/dev/null || {
			rm -f "$p=began" "$p=ended"
			cannot "$p=began cannot be written: the disk is full"
		}
		# Whoever takes the turn now finds this record, and so ends the program.
		mine || {
			rm -f "$p=began" "$p=ended"
			printf '%s\n' "$M.superseded" >&7
			exit
		}
		printf '%s\n' "$M.started $pid" >&7
		exec 7>&-
		trap - HUP PIPE INT QUIT # not sooner: what is said to a session that is gone must not end the program
		umask "$um"
		if [ "$had" ]; then
			LC_ALL=$lang
		else
			unset LC_ALL
		fi
		set -- "$setsid" "$prog" "$@"
		[ "$reset" = no ] || set -- "$reset" --default-signal=INT,QUIT "$@"
		environment
		exec "$@"
	) >>"$p=out" 2>&1 &
	child=$!
	wait "$child"
	status=$?
	[ "$status" -lt 256 ] || status=$((status - 128)) # ksh tells a death by signal N as 256+N
	if [ "$guard" ] && who "$guard" && [ "$parent" = "${wrapper% *}" ]; then # else its pid may be another's
		kill "$guard"
	fi
	if ! ours; then # another was first, or somebody removed the record
		printf '%s\n' "$M!$key" >&7
		exit
	fi
	left=0
	if send 0 "$child"; then
		left=1
		[ "$status" = 0 ] || { reap "$child" "$signal" "$grace" && left=0; }
	fi
	clock
	printf '%-60s\n' "exit $status $now $left ." 1<>"$p=ended"
	remains "$p"
	printf '%s\n' "$M!$key exit $status $now $left . $why $out $got" >&7
	set +f
	for each in "$p"=ear.*; do
		[ ! -p "$each" ] || echo ended 1<>"$each"
	done
}

# last is a wrapper's last word, whatever ends it (a shell that cannot start a process ends at once): nobody waits for an
# answer that does not come.
last() {
	[ ! "$guard" ] || [ "$child" ] || kill "$guard"
	word=died
	[ ! -e "$p=began" ] || word=found
	printf '%s\n' "$M?$ticket $word" >&7
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

# remains sets what else there is of program $1: why it was stopped, whether it
# wrote something and left the file $collect.
remains() {
	why=- out=0 got=0
	if [ -e "$1=stop" ]; then
		why=$(dd if="$1=stop" bs=16 count=1 2>/dev/null)
		case $why in
			stopped | timeout) ;;
			*)
				why=-
				for each in stopped timeout; do
					[ ! -e "$1=$each" ] || why=$each
				done
				;;
		esac
	fi
	[ ! -s "$1=out" ] || out=1
	[ ! "$collect" ] || [ ! -e "$collect" ] || got=1
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

# reap ends process group $1: signal $2, then after $3 hundredths of a second
# SIGKILL. Zombies whose parent does not see to them keep a group's number in use.
reap() {
	send "$2" "$1"
	send CONT "$1"
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

# slice writes at most $3 bytes of file $1, from byte $2 on.
slice() {
	if [ "$2" = 0 ] && [ "$3" -le 65536 ]; then
		dd if="$1" bs="$3" count=1 2>/dev/null
	elif [ "$2" -lt 0 ]; then
		tail -c "${2#-}" "$1" 2>/dev/null | head -c "$3"
	else
		tail -c "+$(($2 + 1))" "$1" 2>/dev/null | head -c "$3"
	fi
}

# look tells all about program $1. Whether it lives is found out before how it
# ended is read: so "neither alive nor ended" is never a program that just ends.
# A record that is empty for longer than an instant was never finished.
look() {
	if [ -e "$1=as" ]; then
		dd if="$1=as" bs=64 count=1 2>/dev/null
		answer as
		return
	fi
	if [ ! -e "$1=began" ]; then
		answer none
		return
	fi
	tries=0
	while [ ! -s "$1=began" ] && [ "$tries" -lt 20 ]; do
		sleep 0.05 2>/dev/null || sleep 1
		tries=$((tries + 1))
	done
	line=$(dd if="$1=began" bs=300 count=1 2>/dev/null)
	printf '%s' "$line"
	part began
	set -- "$1" $line
	living=0 waiting=0
	case "${3-}/${4-}/${5-}/${6-}" in
		*[!0-9/]* | *//* | /* | */) ;; # the other side says what is wrong with the record
		*)
			! same "$3" "$4" || living=1
			! same "$5" "$6" || waiting=1
			;;
	esac
	[ ! -e "$1=ended" ] || dd if="$1=ended" bs=300 count=1 2>/dev/null
	part ended
	remains "$1"
	clock
	answer found "$living" "$waiting" "$boot" "$now" "$why" "$out" "$got"
}

# pulse is look, with at most $3 bytes of output from byte $2 on.
pulse() {
	slice "$1=out" "$2" "$3"
	part out
	look "$1"
}

# attach is look for those who then wait for news under key $2: where the
# program runs, a listener is left behind that hears of its end.
attach() {
	if [ ! -e "$1=began" ] || ! mkfifo "$1=ear.$T" 2>/dev/null; then
		look "$1"
		return
	fi
	exec 8<>"$1=ear.$T"
	key=$2
	look "$1"
	if [ "$living$waiting" != 00 ]; then
		listen "$1" &
	else
		rm -f "$1=ear.$T"
	fi
	exec 8>&-
}
listen() {
	trap '' HUP PIPE
	exec 7>&1 >/dev/null 2>&1 </dev/null
	read -r word <&8
	rm -f "$1=ear.$T"
	printf '%s\n' "$M!$key" >&7
}

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
				{ printf '%s' "$2" >|"$1=stop"; } 2>/dev/null || { true >"$1=$2"; } 2>/dev/null
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

# as records, before anything is made as user $3, that program $2 of folder $1 is
# that user's; not_as takes it back where launch cannot become that user.
as() {
	mine || { answer superseded; return; }
	bad=
	need "$1"
	[ "$bad" ] || whose "$1/$2=as" "$3"
	[ "$bad" ] || whose "$R/.programs/$3=as" "$3"
	[ ! "$bad" ] || { printf '%s' "$bad"; answer failed; return; }
	answer ok
}
# whose makes the file $1 name user $2. One that names nobody must not be left behind.
whose() {
	was=
	[ ! -s "$1" ] || read -r was <"$1"
	[ "$was" = "$2" ] || { printf '%s' "$2" >"$1"; } 2>/dev/null || {
		bad="cannot write $1: the disk is full, or read-only"
		rm -f "$1"
	}
}
not_as() {
	rm -f "$1/$2=as"
	others= name=
	set +f
	for each in "$R"/.programs/*/*=as; do
		[ ! -e "$each" ] || read -r name <"$each"
		[ "$name" != "$3" ] || others=yes
	done
	set -f
	[ "$others" ] || rm -f "$R/.programs/$3=as"
	answer ok
}

# users tells the other users that have programs in folder $1.
users() {
	set +f
	for each in "$1"/*=as; do
		[ ! -e "$each" ] || { dd if="$each" bs=64 count=1 2>/dev/null; echo; }
	done
	set -f
	answer users
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

# fetch answers with output of program $1 from byte $2 on, at most $3 of it, and with the file $4.
fetch() {
	[ "$3" = 0 ] || slice "$1=out" "$2" "$3"
	part out
	if [ "$4" ]; then
		file "$4" "$5"
	else
		answer none
	fi
}
size() {
	answer size $(wc -c <"$1=out")
}
output() {
	if [ -e "$1=as" ]; then
		dd if="$1=as" bs=64 count=1 2>/dev/null
		answer as
	elif [ ! -e "$1=out" ]; then
		answer none
	else
		slice "$1=out" "$2" "$3"
		answer ok
	fi
}
knows() {
	if [ -f "$1=whole" ]; then
		answer yes
	else
		answer no
	fi
}

# file answers with at most $2 bytes of file $1.
file() {
	if [ ! -e "$1" ]; then
		answer none
	elif [ ! -f "$1" ]; then
		answer irregular
	elif [ ! -r "$1" ]; then
		answer unreadable
	else
		slice "$1" 0 "$2"
		answer ok
	fi
}

# spent forgets checks, of which nothing is kept.
spent() {
	for each; do
		rm -f "$each=began" "$each=ended" "$each=out" "$each=stop" "$each=stopped" "$each=timeout"
	done
}

# hush removes what programs wrote.
hush() {
	for each; do
		rm -f "$each=out"
	done
}

# leave is what a session does last: checks end with it.
leave() {
	IFS=$nl
	for check in $checks; do
		unset IFS
		if [ -e "$check=began" ]; then
			halt "$check" stopped KILL 0
			spent "$check"
		fi
	done
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
