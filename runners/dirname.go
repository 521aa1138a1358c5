package runners

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// maxDirName leaves room for suffixes below the 255 bytes that file systems
// allow; hashSuffix of it are the dash and the part of the hash.
const (
	maxDirName = 120
	hashSuffix = 11
)

// DirName turns a service's address into the name of its folder on a host: a
// person finds "dispatch.core.web@0" for dispatch.core.web[0]. Where the
// address has other characters, or is too long, part of its hash keeps
// different addresses apart. The name of a name is that name again.
func DirName(address string) string {
	name := strings.ReplaceAll(strings.ReplaceAll(address, "[", "@"), "]", "") // a Replacer would cost several KiB each time
	safe := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-', r == '_', r == '@':
			return r
		}
		return '_'
	}, name)
	if safe == name && len(name) <= maxDirName && !strings.HasPrefix(name, ".") {
		return name
	}
	sum := sha256.Sum256([]byte(address))
	return strings.TrimLeft(safe[:min(len(safe), maxDirName-hashSuffix)], ".") + "-" + hex.EncodeToString(sum[:5])
}
