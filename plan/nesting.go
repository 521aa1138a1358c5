package plan

import (
	"bytes"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// checkNesting refuses a file that nests so deep, or has such long expressions, that
// reading it could exhaust the stack: the parser recurses.
func checkNesting(src []byte, filename string) hcl.Diagnostics {
	if shallow, _ := looksShallow(src); shallow {
		return nil
	}
	tokens, _ := hclsyntax.LexConfig(src, filename, hcl.InitialPos)
	return checkTokens(tokens)
}

// partSize is how much of a file is parsed at a time: the parser holds all tokens of what it
// is given, some fifty times its size.
const partSize = 128 << 10

// A frame is an open bracket, and how many operators its present item has had.
type frame struct {
	kind      byte // '{' block or object, '(' what newlines do not end, '"' text, '$' interpolation
	operators int
}

// looksShallow says of an ordinary file that nothing in it can be too deep, at a
// tenth of what the tokens cost. It follows strings, interpolations and comments to the
// end of a line; where it meets anything else (a heredoc, a comment in /* */) it leaves
// the answer to checkTokens.
//
// cuts are places between the blocks of a large file, at which it can be parsed in parts.
func looksShallow(src []byte) (shallow bool, cuts []int) {
	frames := []frame{{kind: '{'}}
	last := 0
	for i := 0; i < len(src); i++ {
		top := &frames[len(frames)-1]
		c := src[i]
		if top.kind == '"' {
			switch c {
			case '\\':
				i++
			case '\n':
				return false, nil
			case '"':
				frames = frames[:len(frames)-1]
			case '$', '%':
				if i+1 < len(src) && src[i+1] == c {
					return false, nil
				}
				if i+1 < len(src) && src[i+1] == '{' {
					frames = append(frames, frame{kind: '$'})
					i++
				}
			}
			continue
		}
		switch c {
		case '"':
			frames = append(frames, frame{kind: '"'})
		case '{':
			frames = append(frames, frame{kind: '{'})
		case '[', '(':
			top.operators++
			frames = append(frames, frame{kind: '('})
		case '}', ']', ')':
			if len(frames) == 1 {
				return false, nil
			}
			frames = frames[:len(frames)-1]
		case ',':
			top.operators = 0
		case '\n':
			if top.kind == '{' {
				top.operators = 0
			}
			if len(frames) == 1 && i-last >= partSize {
				last = i + 1
				cuts = append(cuts, last)
			}
		case '#':
			i = endOfLine(src, i)
		case '/':
			if i+1 < len(src) && src[i+1] == '/' {
				i = endOfLine(src, i)
			} else if i+1 < len(src) && src[i+1] == '*' {
				return false, nil
			}
			top.operators++
		case '<':
			if i+1 < len(src) && src[i+1] == '<' {
				return false, nil
			}
			top.operators++
		case '+', '-', '*', '%', '!', '>', '=', '&', '|', '?', ':', '.':
			top.operators++
		case '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			end := i
			for end < len(src) && src[end] >= '0' && src[end] <= '9' {
				end++
			}
			if end-i > maxNumber/2 {
				return false, nil
			}
			i = end - 1
		}
		if len(frames) > maxNesting || top.operators > maxChain {
			return false, nil
		}
	}
	return true, cuts
}

// endOfLine is the place before the newline that ends the line of i.
func endOfLine(src []byte, i int) int {
	if n := bytes.IndexByte(src[i:], '\n'); n >= 0 {
		return i + n - 1
	}
	return len(src)
}

// checkTokens measures the nesting and the length of expressions by the tokens of a file.
func checkTokens(tokens hclsyntax.Tokens) hcl.Diagnostics {
	frames := make([]frame, 1, maxNesting+2)
	frames[0].kind = '{'
	controls := 0 // %{ if } and %{ for } that are open
	for i, token := range tokens {
		top := &frames[len(frames)-1]
		switch token.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenOQuote,
			hclsyntax.TokenOHeredoc, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			if token.Type == hclsyntax.TokenTemplateControl && i+1 < len(tokens) {
				controls += controlStep(string(tokens[i+1].Bytes))
			}
			if token.Type == hclsyntax.TokenOBrack || token.Type == hclsyntax.TokenOParen {
				top.operators++
			}
			kind := byte('(')
			if token.Type == hclsyntax.TokenOBrace {
				kind = '{'
			}
			frames = append(frames, frame{kind: kind})
			if len(frames)+controls > maxNesting {
				return hcl.Diagnostics{failure(token.Range, "Nested too deep",
					"Brackets, strings and templates may stand within each other to a depth of %d.", maxNesting)}
			}
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCQuote,
			hclsyntax.TokenCHeredoc, hclsyntax.TokenTemplateSeqEnd:
			if len(frames) > 1 {
				frames = frames[:len(frames)-1]
			}
		case hclsyntax.TokenComma:
			top.operators = 0
		case hclsyntax.TokenNewline:
			if top.kind == '{' {
				top.operators = 0
			}
		case hclsyntax.TokenIdent, hclsyntax.TokenQuotedLit, hclsyntax.TokenStringLit, hclsyntax.TokenComment:
		case hclsyntax.TokenNumberLit:
			if len(token.Bytes) > maxNumber {
				return hcl.Diagnostics{failure(token.Range, "Number too long", "A number may have %d digits.", maxNumber)}
			}
		default:
			top.operators++
		}
		if top.operators > maxChain {
			return hcl.Diagnostics{failure(token.Range, "Expression too long", "An expression may have %d operators.", maxChain)}
		}
	}
	return nil
}

// controlStep is how a template directive changes the nesting.
func controlStep(keyword string) int {
	switch keyword {
	case "if", "for":
		return 1
	case "endif", "endfor":
		return -1
	}
	return 0
}
