# A session's first words: which folder of the host is the run's, and whose turn it is there.

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
		reasons=$why R=
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
	if [ -f "$1/.can" ] && read -r setsid reset rest <"$1/.can"; then
		return 0
	fi
	try=$1/.try-$T
	{ echo '#!/bin/sh' >"$try"; } 2>/dev/null || {
		why=$( { true >"$try"; } 2>&1 )
		why=${why:-$1 cannot be written to: the disk is full}
		forsake "$1"
		return 1
	}
	chmod 700 "$1" "$try"
	setsid=$(command -v setsid && command -v env)
	reset=${setsid#*"$nl"}
	[ "$reset" != "$setsid" ] || reset=no
	setsid=${setsid%%"$nl"*}
	[ "$setsid" ] || { why="it has no setsid command (from util-linux or busybox)"; return 1; }
	if [ "$reset" = no ] || ! "$reset" --default-signal=HUP,INT,QUIT,PIPE "$try" 2>/dev/null; then
		reset=no
		"$try" 2>/dev/null
		[ $? != 126 ] || { why="programs cannot be run from $1: it is mounted noexec"; forsake "$1"; return 1; }
	fi
	{ printf '%s\n' "$setsid $reset" >"$1/.can"; } 2>/dev/null || { why="$1 cannot be written to: the disk is full"; rm -f "$1/.can"; forsake "$1"; return 1; }
	new=yes
}

# forsake leaves nothing in folder $1 that cannot be used, nor the folder.
forsake() {
	rm -f "$try"
	rmdir "$1" 2>/dev/null
}

# unasked removes the run's folder where this session made it and then was asked for nothing: its launch has died
# meanwhile, or has given it up, and does not know that the folder is there.
unasked() {
	[ "$new" ] && mine || return 0
	set +f
	set -- "$R"/* "$R"/.[!.]*
	set -f
	for each; do
		case ${each#"$R"/} in
			'*' | .can | ".try-$T" | ".turn.$me") ;;
			*) return 0 ;;
		esac
	done
	rm -f "$R/.can" "$R/.turn.$me"
	forsake "$R"
}

identify() {
	boot=
	{ read -r boot </proc/sys/kernel/random/boot_id; } 2>/dev/null
	boot=${boot:--}
}

# turn makes the launch process $1 the one that may start and end programs here: of two that come
# at once, at most one. Those that only look have no name, and leave this as it is. The folder may have gone since it was
# found, with a session that was asked for nothing: then it is made anew.
turn() {
	me=$1
	[ "$me" ] && [ ! -e "$R/.turn.$me" ] || return 0
	if ! { true >"$R/.turn.$me"; } 2>/dev/null; then
		[ -d "$R" ] || usable "$R" || return 1
		{ true >"$R/.turn.$me"; } 2>/dev/null || {
			why="cannot write $R/.turn.$me: the disk is full, or read-only"
			return 1
		}
	fi
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
		printf '%s' "$why"
		answer failed
	fi
}
