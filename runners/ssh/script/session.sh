# The host's side of the conversation, for any POSIX shell. hand.go sends it, this file first and
# then the others, without their comments, at the beginning of a session; the session then reads
# one line after the other and does what it says.
#
# Known here: $M, a random word that marks our answers; $T, the beginning of it, for names; $nl, a newline; and
# $full, the option by which dd reads as much as it is told, empty where it has none.
#
# An answer is data, then a line: "$M+NAME" ends a part of it, "$M.WORDS" ends it all. Two more lines
# may stand between any other bytes: "$M!KEY WORDS", news of a program, and "$M?TICKET WORDS", the answer to
# the request with that $ticket if there was none before. All are plain words, and so are records: echo writes
# them, since mksh has no printf of its own, and could not answer where there is no room for one more process.
#
# $R is the run's folder. A service has its work directory $R/SERVICE and, out of
# the way of its programs, the folder $R/.programs/SERVICE. There, for a program:
#   NAME=began  made once, exclusively, before the start: who and when, and how to stop it
#   NAME=ended  $blanks, then how it ended, written over them by one write: so a full disk does not lose it
#   NAME=out    what it wrote
#   NAME=stop   why launch ended it; on a full disk it is empty, and NAME=WHY is there too
#   NAME=as     the other user whose folder has all this
#   NAME=ear.*  pipes of those who attached to it and wait
# Those that may hold anything are read by dd: a shell's own read takes a byte at a time, and has no bound.
#
# $R/.turn.NAME is there for the launch process that came last. What a dead one asked for may still be on its
# way to us when the next one works here, and must not be done then: see mine.

nl='
'
blanks='                                                            '
um=$(umask)
umask 077
lang=${LC_ALL-}
had=${LC_ALL+yes}
LC_ALL=C
set -f
checks= ticket= new=
trap 'trap "" PIPE; leave; exit 1' PIPE # nobody takes the answer any more
own=
! PATH=/ kill -0 "$$" 2>/dev/null || own=yes # the shell has a kill of its own

part() { echo "$M+$1"; }
answer() { echo "$M.$*"; }

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
