# What is known of a program: how it stands, what it wrote, and news of its end for those who wait.

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

# slice writes at most $3 bytes of file $1, from byte $2 on.
slice() {
	case $2 in
		0) head -c "$3" "$1" ;;
		-*) tail -c "${2#-}" "$1" | head -c "$3" ;;
		*) tail -c "+$(($2 + 1))" "$1" | head -c "$3" ;;
	esac 2>/dev/null
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

# listen waits for tell, which the program's wrapper calls, or our session when it ends.
listen() {
	trap '' HUP PIPE
	exec 7>&1 >/dev/null 2>&1 </dev/null
	read -r word <&8
	rm -f "$1=ear.$T"
	echo "$M!$key" >&7
}

# tell wakes those who listen at the pipes "$@".
tell() {
	for each; do
		[ ! -p "$each" ] || echo up 1<>"$each"
	done
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
