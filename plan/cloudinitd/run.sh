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

# as_text makes of a JSON object one whose values are text (or null), in the form that str() of Python 2 gave them.
# Anything else than an object gives nothing, and the status 1.
as_text() {
	LC_ALL=C awk '
		{ text = text $0 "\n" }
		END {
			if (!is_object(text)) exit 1
			gsub(/[\t\r\n]/, " ", text)
			gsub(/"([^"\\]|\\.)*"/, "\n&\n", text)
			n = split(text, parts, "\n")
			for (i = 1; i <= n; i++) {
				if (parts[i] ~ /^"/) {
					add(depth > 1 ? quoted(parts[i]) : parts[i])
					continue
				}
				gsub(/ /, "", parts[i])
				gsub(/[][{},:]/, "\n&\n", parts[i])
				m = split(parts[i], signs, "\n")
				for (j = 1; j <= m; j++) if (signs[j] != "") sign(signs[j])
			}
			print ""
		}

		# is_object takes JSON apart from the inside out: strings become \001, other simple values \002; then
		# every list of values becomes \002, and every object \003, until a single object is left.
		function is_object(text,   n) {
			if (text ~ /[\001\002\003]/) return 0
			gsub(/"([^"\\\001-\037]|\\["\\\/bfnrt]|\\u[0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F])*"/, "\001", text)
			gsub(/-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][-+]?[0-9]+)?|true|false|null/, "\002", text)
			gsub(/[ \t\r\n]/, "", text)
			do {
				n = gsub(/[[]([\001\002\003](,[\001\002\003])*)?[]]/, "\002", text)
				n += gsub(/[{](\001:[\001\002\003](,\001:[\001\002\003])*)?[}]/, "\003", text)
			} while (n > 0)
			return text == "\003"
		}

		function add(s) { printf "%s", s }

		# sign adds what is no string. A value of the object that has values itself becomes one text.
		function sign(s) {
			if (s ~ /^[[{]$/) {
				if (++depth == 2) add("\"")
				add(s)
			} else if (s ~ /^[]}]$/) {
				add(s)
				if (depth-- == 2) add("\"")
			} else if (s ~ /^[,:]$/)
				add(depth > 1 ? s " " : s)
			else if (depth > 1)
				add(simple(s))
			else
				add(s == "null" ? s : "\"" simple(s) "\"")
		}

		function simple(s) {
			if (s == "true") return "True"
			if (s == "false") return "False"
			if (s == "null") return "None"
			if (s !~ /[.eE]/) return s == "-0" ? "0" : s
			s = sprintf("%.12g", s + 0)
			return s ~ /^-?[0-9]+$/ ? s ".0" : s
		}

		# quoted is how Python writes a string within a list: both s and the result are escaped as in JSON.
		function quoted(s,   mark) {
			s = substr(s, 2, length(s) - 2)
			gsub(/\\\\/, "\001", s)
			gsub(/\\"/, "\002", s)
			gsub(/\\\//, "/", s)
			gsub(/\\u/, "\003", s)
			gsub(/\\/, "\004", s)
			mark = "\047"
			if (index(s, "\047") && !index(s, "\002")) mark = "\\\""
			else gsub(/\047/, "\005", s)
			s = instead(s, "\001", "\\\\\\\\")
			s = instead(s, "\002", "\\\"")
			s = instead(s, "\003", "\\u")
			s = instead(s, "\004", "\\\\")
			s = instead(s, "\005", "\\\\\047")
			return mark s mark
		}

		function instead(s, char, text,   n, i, parts, result) {
			n = split(s, parts, char)
			result = parts[1]
			for (i = 2; i <= n; i++) result = result text parts[i]
			return result
		}' "$1"
}

if [ "$status" -eq 0 ] && [ -n "$LAUNCH_EXPORTS" ] && [ -f bootout.json ]; then
	if text=$(as_text bootout.json); then
		printf '%s\n' "$text" >"$LAUNCH_EXPORTS"
	fi
fi
exit "$status"
