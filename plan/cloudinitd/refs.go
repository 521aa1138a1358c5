package cloudinitd

import "regexp"

// reference finds ${service.attribute}, ${.attribute} and ${global.name}. What has no
// dot in it is text: the original looks for exactly this.
var reference = regexp.MustCompile(`\$\{(.*?)\.(.*?)\}`)

// A refPiece is text, or a reference.
type refPiece struct {
	text          string
	isRef         bool
	service, attr string // service is "" for the service itself
}

func splitRefs(s string) []refPiece {
	var pieces []refPiece
	last := 0
	for _, m := range reference.FindAllStringSubmatchIndex(s, -1) {
		if m[0] > last {
			pieces = append(pieces, refPiece{text: s[last:m[0]]})
		}
		pieces = append(pieces, refPiece{text: s[m[0]:m[1]], isRef: true, service: s[m[2]:m[3]], attr: s[m[4]:m[5]]})
		last = m[1]
	}
	if last < len(s) {
		pieces = append(pieces, refPiece{text: s[last:]})
	}
	return pieces
}
