# Other users' programs: sessions of their own see to those, and here is written down whose is which.

# as records, before anything is made as user $3, that program $2 of folder $1 is
# that user's; not_as takes it back where launch cannot become that user.
as() {
	mine || { answer superseded; return; }
	bad= skip=
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
