package cloudinitd

import (
	"errors"
	"strings"
)

// splitWords splits a program's arguments as Python's shlex.split does, which is
// nearly what a POSIX shell does: in double quotes a backslash escapes only itself and the quote.
func splitWords(s string) ([]string, error) {
	var (
		words  []string
		word   strings.Builder
		inWord bool // also for an empty word in quotes
	)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case strings.IndexByte(" \t\r\n", c) >= 0:
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		case c == '\\':
			if i++; i == len(s) {
				return nil, errors.New("nothing follows the backslash at its end")
			}
			word.WriteByte(s[i])
			inWord = true
		case c == '\'' || c == '"':
			end, err := quoted(&word, s, i)
			if err != nil {
				return nil, err
			}
			i, inWord = end, true
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// quoted adds the quoted text that begins at s[start] to word, and returns where its closing quote is.
func quoted(word *strings.Builder, s string, start int) (int, error) {
	quote := s[start]
	for i := start + 1; i < len(s); i++ {
		switch {
		case s[i] == quote:
			return i, nil
		case s[i] == '\\' && quote == '"' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			i++
			word.WriteByte(s[i])
		default:
			word.WriteByte(s[i])
		}
	}
	return 0, errors.New("a quotation is not closed")
}
