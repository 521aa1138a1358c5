package plan

import (
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/ianaindex"
)

// encodingFunctions write texts in other ways, and read them.
func encodingFunctions() map[string]function.Function {
	return map[string]function.Function{
		"base64encode":     textFunc(func(s string) (string, error) { return base64.StdEncoding.EncodeToString([]byte(s)), nil }),
		"base64decode":     textFunc(func(s string) (string, error) { return fromBase64(s, validText) }),
		"base64gzip":       textFunc(base64Gzip),
		"base64gunzip":     textFunc(func(s string) (string, error) { return fromBase64(s, gunzip) }),
		"textencodebase64": charsetFunc(textEncode),
		"textdecodebase64": charsetFunc(textDecode),
		"urlencode":        textFunc(func(s string) (string, error) { return url.QueryEscape(s), nil }),
		"urldecode":        textFunc(urlDecode),
		"csvdecode":        bounded(shortText(stdlib.CSVDecodeFunc, 0)),
		"jsondecode":       bounded(jsonDecodeFunc()),
		"jsonencode":       bounded(jsonEncodeFunc()),
		"yamldecode":       yamlDecodeFunc(),
		"yamlencode":       bounded(yamlEncodeFunc()),
		"uuidv5":           uuidFunc(),
	}
}

func fromBase64(s string, read func([]byte) (string, error)) (string, error) {
	decoded, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return "", errors.New("the text is not base64")
	}
	return read(decoded)
}

func validText(decoded []byte) (string, error) {
	if !utf8.Valid(decoded) {
		return "", errors.New("what was decoded is not UTF-8 text")
	}
	return string(decoded), nil
}

func base64Gzip(s string) (string, error) {
	var packed bytes.Buffer
	zipped := gzip.NewWriter(&packed)
	// Nothing fails in memory. Terraform flushes before it closes, and its result is other bytes without that.
	_, wrote := zipped.Write([]byte(s))
	if err := errors.Join(wrote, zipped.Flush(), zipped.Close()); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(packed.Bytes()), nil
}

func gunzip(packed []byte) (string, error) {
	zipped, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return "", errors.New("what was decoded is not gzip")
	}
	content, err := io.ReadAll(io.LimitReader(zipped, maxTexts+1))
	switch {
	case err != nil:
		return "", errors.New("what was decoded is damaged gzip")
	case len(content) > maxTexts:
		return "", fmt.Errorf("the result has more than %d MiB", maxTexts>>20)
	}
	return validText(content)
}

func urlDecode(s string) (string, error) {
	decoded, err := url.QueryUnescape(s)
	if err != nil {
		return "", errors.New("a % must stand before two hexadecimal digits")
	}
	return validText([]byte(decoded))
}

// charsetFunc makes a function of a text and the name of a character encoding.
func charsetFunc(f func(string, encoding.Encoding) (string, error)) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "text", Type: cty.String}, {Name: "encoding", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			charset, err := ianaindex.IANA.Encoding(args[1].AsString())
			if err != nil || charset == nil {
				return cty.NilVal, function.NewArgErrorf(1, "%q is not an encoding that is known here: write it as IANA does, such as UTF-16LE", shorten(args[1].AsString()))
			}
			text, err := f(args[0].AsString(), charset)
			if err != nil {
				return cty.NilVal, function.NewArgError(0, err)
			}
			return cty.StringVal(text), nil
		},
	})
}

func textEncode(s string, charset encoding.Encoding) (string, error) {
	encoded, err := charset.NewEncoder().Bytes([]byte(s))
	if err != nil {
		return "", errors.New("the text has characters that the encoding lacks")
	}
	return base64.StdEncoding.EncodeToString(encoded), nil
}

func textDecode(s string, charset encoding.Encoding) (string, error) {
	return fromBase64(s, func(encoded []byte) (string, error) {
		decoded, err := charset.NewDecoder().Bytes(encoded)
		if err != nil || bytes.ContainsRune(decoded, utf8.RuneError) {
			return "", errors.New("the text is not in this encoding")
		}
		return validText(decoded)
	})
}

// jsonDecodeFunc bounds how deep a document nests: the decoder recurses.
func jsonDecodeFunc() function.Function {
	return guarded(stdlib.JSONDecodeFunc, func(args []cty.Value) error {
		if len(args[0].AsString()) > maxTakenApart {
			return fmt.Errorf("the document has more than %d KiB", maxTakenApart>>10)
		}
		if nestsDeeper([]byte(args[0].AsString()), maxNesting) {
			return fmt.Errorf("the document nests deeper than %d", maxNesting)
		}
		return nil
	})
}

// jsonEncodeFunc is the standard one, quick with whole numbers.
func jsonEncodeFunc() function.Function {
	f := stdlib.JSONEncodeFunc
	return function.New(&function.Spec{
		Params:       f.Params(),
		Type:         function.StaticReturnType(cty.String),
		RefineResult: func(b *cty.RefinementBuilder) *cty.RefinementBuilder { return b.NotNull() },
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			value, err := cty.Transform(args[0], func(_ cty.Path, v cty.Value) (cty.Value, error) { return narrow(v), nil })
			if err != nil {
				return cty.NilVal, err
			}
			return f.Call([]cty.Value{value})
		},
	})
}

// uuidFunc makes the UUID that a name has in a namespace.
func uuidFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "namespace", Type: cty.String}, {Name: "name", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			space, err := uuidNamespace(args[0].AsString())
			if err != nil {
				return cty.NilVal, function.NewArgErrorf(0, "%q is not dns, url, oid, x500 or a UUID", shorten(args[0].AsString()))
			}
			return cty.StringVal(uuid.NewSHA1(space, []byte(args[1].AsString())).String()), nil
		},
	})
}

func uuidNamespace(name string) (uuid.UUID, error) {
	switch name {
	case "dns":
		return uuid.NameSpaceDNS, nil
	case "url":
		return uuid.NameSpaceURL, nil
	case "oid":
		return uuid.NameSpaceOID, nil
	case "x500":
		return uuid.NameSpaceX500, nil
	}
	return uuid.Parse(name)
}

// A digest is what a hash function makes of a content, as a text.
type digest func(content []byte) string

// digests are those of texts by the name of their function; that of the same one for files begins with "file".
func digests() map[string]digest {
	hexOf, base64Of := hex.EncodeToString, base64.StdEncoding.EncodeToString
	return map[string]digest{
		"md5":          func(b []byte) string { sum := md5.Sum(b); return hexOf(sum[:]) },
		"sha1":         func(b []byte) string { sum := sha1.Sum(b); return hexOf(sum[:]) },
		"sha256":       func(b []byte) string { sum := sha256.Sum256(b); return hexOf(sum[:]) },
		"sha512":       func(b []byte) string { sum := sha512.Sum512(b); return hexOf(sum[:]) },
		"base64sha256": func(b []byte) string { sum := sha256.Sum256(b); return base64Of(sum[:]) },
		"base64sha512": func(b []byte) string { sum := sha512.Sum512(b); return base64Of(sum[:]) },
	}
}

func hashFunctions() map[string]function.Function {
	fs := map[string]function.Function{}
	for name, of := range digests() {
		fs[name] = textFunc(func(s string) (string, error) { return of([]byte(s)), nil })
	}
	return fs
}
