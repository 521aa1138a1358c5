#!/bin/sh
# Runs a program of the old plan, which lies in the work directory, as cloudinit.d did:
#   run.sh PROGRAM [ARGUMENT...]
# NAME.tar.gz is unpacked, and NAME/run.sh is run. Where the boot program leaves a JSON object
# in bootout.json, its values become exports; no file, or a bad one, is not an error.

program=$1
shift
case $program in
*.tar.gz)
	tar -xzf "$program" || exit
	program=$(basename "$program" .tar.gz)/run.sh
	chmod +x "$program" || exit
	;;
esac

"./$program" "$@"
status=$?

# is_object takes JSON apart from the inside out: strings become \001, other simple values \002; then
# every list of values becomes \002, and every object \003, until a single object is left.
is_object() {
	LC_ALL=C awk '
		{ text = text $0 "\n" }
		END {
			if (text ~ /[\001\002\003]/) exit 1
			gsub(/"([^"\\\001-\037]|\\["\\\/bfnrt]|\\u[0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F])*"/, "\001", text)
			gsub(/-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][-+]?[0-9]+)?|true|false|null/, "\002", text)
			gsub(/[ \t\r\n]/, "", text)
			do {
				n = gsub(/[[]([\001\002\003](,[\001\002\003])*)?[]]/, "\002", text)
				n += gsub(/[{](\001:[\001\002\003](,\001:[\001\002\003])*)?[}]/, "\003", text)
			} while (n > 0)
			exit text != "\003"
		}' "$1"
}

if [ "$status" -eq 0 ] && [ -n "$LAUNCH_EXPORTS" ] && [ -f bootout.json ] && is_object bootout.json; then
	cp bootout.json "$LAUNCH_EXPORTS"
fi
exit "$status"
