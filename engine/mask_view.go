package engine

import (
	"bytes"
	"sort"
	"unicode/utf16"
	"unicode/utf8"
)

// A view is a text decoded, which knows where each byte of it comes from.
type view struct {
	text   []byte
	of     *view   // what it was made of; nil: it is the source
	shifts []shift // where the distance to that changes, in order
	joined bool    // made by leaving out what stands between two bytes: that belongs to neither
}

// A shift says that a view's bytes from at on come from as many bytes later in what it was made of.
type shift struct{ at, by int }

// source is where a byte of the view comes from.
func (v *view) source(i int) int {
	for ; v.of != nil; v = v.of {
		i = v.before(i)
	}
	return i
}

// before is where a byte of the view comes from in what it was made of.
func (v *view) before(i int) int {
	if n := sort.Search(len(v.shifts), func(n int) bool { return v.shifts[n].at > i }); n > 0 {
		return i + v.shifts[n-1].by
	}
	return i
}

// origin is the part of the source that a part of the view was made of.
func (v *view) origin(from, to int) span {
	for ; v.of != nil; v = v.of {
		from = v.before(from)
		if v.joined {
			to = v.before(to-1) + 1
		} else {
			to = v.before(to)
		}
	}
	return span{from, to}
}

// A decoding makes a view of another one.
type decoding struct {
	view
	at int // how much of the other one was decoded
}

func decode(of *view) *decoding {
	return &decoding{view: view{of: of, text: make([]byte, 0, len(of.text))}}
}

// copy takes what is to be as it is, up to an offset.
func (d *decoding) copy(to int) {
	d.text = append(d.text, d.of.text[d.at:to]...)
	d.at = to
}

// replace has one or more bytes stand for what is up to an offset.
func (d *decoding) replace(to int, by string) {
	for i := range len(by) {
		if i > 0 {
			d.shift()
		}
		d.text = append(d.text, by[i])
	}
	d.at = to
	d.shift()
}

// shift notes that what comes next in the view comes from at.
func (d *decoding) shift() {
	d.shifts = append(d.shifts, shift{at: len(d.text), by: d.at - len(d.text)})
}

// decodings are the ways in which a text may have to be read: as it is, decoded, and decoded again where JSON is part of
// a JSON string or of a URL.
func decodings(text *view, whole bool) []*view {
	views := []*view{text}
	for _, v := range []*view{percentDecoded(text, whole), unescaped(text, whole)} {
		if v == nil {
			continue
		}
		views = append(views, v)
		if again := unescaped(v, whole); again != nil {
			views = append(views, again)
		}
	}
	return views
}

// decodedAt is v with what begins with a marker decoded, nil where there is no marker. read tells what the beginning of a
// text stands for and how long it is, 0 where it is as it is; it is not complete where more text could make another one of it.
func decodedAt(v *view, marker byte, whole bool, read func(text []byte) (as string, length int, complete bool)) *view {
	text := v.text
	if bytes.IndexByte(text, marker) < 0 {
		return nil
	}
	d := decode(v)
	for {
		n := bytes.IndexByte(text[d.at:], marker)
		if n < 0 {
			d.copy(len(text))
			return &d.view
		}
		d.copy(d.at + n)
		as, length, complete := read(text[d.at:])
		switch {
		case !complete && !whole:
			return &d.view // the rest of it is to come
		case length == 0:
			d.copy(d.at + 1)
		default:
			d.replace(d.at+length, as)
		}
	}
}

// percentDecoded is v with percent-encoding undone, nil where there is none. A space is "+" in it, as forms encode it.
func percentDecoded(v *view, whole bool) *view { return decodedAt(v, '%', whole, percentEscape) }

// unescaped is v with the backslashes undone that JSON, most languages and shells write before a character or for one, nil
// where there are none.
func unescaped(v *view, whole bool) *view { return decodedAt(v, '\\', whole, escape) }

// unixLines is v with lines that end in LF alone: terminals add a CR.
func unixLines(v *view, whole bool) *view {
	if decoded := decodedAt(v, '\r', whole, lineEnd); decoded != nil {
		return decoded
	}
	return v
}

func percentEscape(text []byte) (char string, length int, complete bool) {
	value, digits := hexNumber(text[1:], 2)
	switch {
	case digits < 2:
		return "", 0, 1+digits < len(text)
	case value == ' ':
		return "+", 3, true
	}
	return string([]byte{byte(value)}), 3, true
}

func lineEnd(text []byte) (end string, length int, complete bool) {
	if bytes.HasPrefix(text, []byte("\r\n")) {
		return "\n", 2, true
	}
	return "", 0, len(text) > 1
}

// escape reads the backslash with which text begins, and what it is written for.
func escape(text []byte) (char string, length int, complete bool) {
	if len(text) < 2 {
		return "", 0, false
	}
	switch c := text[1]; c {
	case 'b':
		return "\b", 2, true
	case 'f':
		return "\f", 2, true
	case 'n':
		return "\n", 2, true
	case 'r':
		return "\r", 2, true
	case 't':
		return "\t", 2, true
	case 'x':
		value, digits := hexNumber(text[2:], 2)
		if digits < 2 {
			return string([]byte{c}), 2, 2+digits < len(text)
		}
		return string([]byte{byte(value)}), 4, true
	case 'u':
		return unicodeEscape(text)
	default:
		return string([]byte{c}), 2, true
	}
}

// unicodeEscape reads \uXXXX, two of which make one character beyond those that have four digits.
func unicodeEscape(text []byte) (char string, length int, complete bool) {
	value, digits := hexNumber(text[2:], 4)
	if digits < 4 {
		return "u", 2, 2+digits < len(text)
	}
	if !utf16.IsSurrogate(rune(value)) {
		return string(rune(value)), 6, true
	}
	second := text[6:]
	if len(second) < 2 && bytes.HasPrefix([]byte(`\u`), second) {
		return string(utf8.RuneError), 6, false
	}
	if bytes.HasPrefix(second, []byte(`\u`)) {
		low, digits := hexNumber(second[2:], 4)
		if digits < 4 {
			return string(utf8.RuneError), 6, 2+digits < len(second)
		}
		if r := utf16.DecodeRune(rune(value), rune(low)); r != utf8.RuneError {
			return string(r), 12, true
		}
	}
	return string(utf8.RuneError), 6, true
}

// hexNumber reads at most so many digits.
func hexNumber(text []byte, most int) (value, digits int) {
	for digits < min(most, len(text)) {
		d := text[digits]
		switch {
		case '0' <= d && d <= '9':
			d -= '0'
		case 'a' <= d && d <= 'f':
			d -= 'a' - 10
		case 'A' <= d && d <= 'F':
			d -= 'A' - 10
		default:
			return value, digits
		}
		value = value<<4 | int(d)
		digits++
	}
	return value, digits
}

// brokenLine is how long a line of base64 is at least that is broken off: encoders use 60 and more. Were it shorter, the
// ends of ordinary lines would be held back for what may follow.
const brokenLine = 16

// inOneLine is v with the lines of base64 joined, indented ones too, nil where there are none.
func inOneLine(v *view) *view {
	text := v.text
	var d *decoding
	for at := 0; ; at++ {
		n := bytes.IndexByte(text[at:], '\n')
		if n < 0 {
			break
		}
		at += n
		if !endsInBase64(text[:at]) {
			continue
		}
		if d == nil {
			d = decode(v)
			d.joined = true
		}
		d.copy(at)
		d.at += 1 + leadingBlanks(text[at+1:])
		d.shift()
		at = d.at - 1
	}
	if d == nil {
		return nil
	}
	d.copy(len(text))
	return &d.view
}

// endsInBase64 says whether text ends in what may be a line of base64.
func endsInBase64(text []byte) bool {
	for i := range brokenLine {
		if i == len(text) || !inBase64Alphabet(text[len(text)-1-i]) {
			return false
		}
	}
	return true
}

func inBase64Alphabet(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '+' || c == '/' || c == '-' || c == '_'
}

func leadingBlanks(text []byte) int { return len(text) - len(bytes.TrimLeft(text, " \t")) }
