# Files come with the request that needs them: their content follows the line that says how long it is.
# Once something went wrong, $bad says what, and the rest is only read; $skip says that it is not needed.

# chunk copies $1 bytes of our input to its output. Where they cannot be written, it has read them all the same, or the
# session ends.
chunk() {
	if [ "$full" ]; then
		dd bs="$1" count=1 "$full" 2>/dev/null
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

# need makes those of the folders "$@" that are not there, with one process.
need() {
	[ ! "$skip$bad" ] || return 0
	for each; do
		if [ ! -d "$each" ]; then
			mkdir -p "$@" 2>/dev/null || bad=$(mkdir -p "$@" 2>&1)
			return
		fi
	done
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

# pack begins payload $1, unless it is here already, and makes the other folders that the program needs; packed ends it.
# Another launch, or this one under another name of the host, may be doing the same: each
# fills a folder $P of its own, and the first to finish says which one counts.
pack() {
	kept=$skip whole=$1
	shift
	find_pack "$whole"
	if [ "$P" ]; then
		need "$@"
		skip=yes
	else
		P=$whole-$T
		need "$@" "$P"
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

# packs is for a payload that should be here.
packs() {
	find_pack "$1"
	[ "$skip$bad" ] || [ "$P" ] || bad=unpacked
}

# find_pack sets P to the folder of payload $1; empty where it is not here.
find_pack() {
	P=
	[ ! -f "$1=whole" ] || read -r P <"$1=whole"
}

# These three are need, put and mode in the payload's folder.
pneed() {
	[ "$skip$bad" ] || ( cd "$P" && mkdir -p "$@" ) 2>/dev/null || bad="cannot make the folders of $P"
}
pput() { put "$1" "$P/$2"; }
pmode() {
	[ "$skip$bad" ] || ( cd "$P" && chmod "$@" ) 2>/dev/null || bad="cannot set the mode of $P/$2"
}
