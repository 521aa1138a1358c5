package ec2test

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// params reads the form values of one request below a prefix: a structure is
// Name.Field, a list is Name.1, Name.2 (EC2) or Name.member.1 (Auto Scaling).
type params struct {
	values url.Values
	prefix string
}

func (p params) str(name string) string { return p.values.Get(p.prefix + name) }

func (p params) has(name string) bool { return p.values.Has(p.prefix + name) }

func (p params) sub(name string) params {
	return params{p.values, p.prefix + name + "."}
}

// boolean is the value of name, or otherwise where it was not given.
func (p params) boolean(name string, otherwise bool) (bool, error) {
	switch v := p.str(name); v {
	case "":
		return otherwise, nil
	case "true", "True", "1":
		return true, nil
	case "false", "False", "0":
		return false, nil
	default:
		return false, badValue("Invalid value '%s' for %s. Must be a boolean", v, p.prefix+name)
	}
}

func (p params) integer(name string, otherwise int) (int, error) {
	v := p.str(name)
	if v == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		return 0, badValue("Invalid value '%s' for %s. Must be an integer", v, p.prefix+name)
	}
	return n, nil
}

// list returns the scalar members of a list.
func (p params) list(name string) []string {
	var out []string
	for _, sep := range []string{".", ".member."} {
		for i := 1; p.has(name + sep + strconv.Itoa(i)); i++ {
			out = append(out, p.str(name+sep+strconv.Itoa(i)))
		}
	}
	return out
}

// structs returns the structured members of a list.
func (p params) structs(name string) []params {
	var out []params
	for _, sep := range []string{".", ".member."} {
		for i := 1; ; i++ {
			m := p.sub(name + sep + strconv.Itoa(i))
			if !m.any() {
				break
			}
			out = append(out, m)
		}
	}
	return out
}

func (p params) any() bool {
	for k := range p.values {
		if strings.HasPrefix(k, p.prefix) {
			return true
		}
	}
	return false
}

// fingerprint is equal for requests with the same parameters, whatever their
// signature and retry count: what idempotency compares.
func (p params) fingerprint() string { return p.values.Encode() }

// An answer is the fields of a response in their order.
type answer []field

type field struct {
	name  string
	value any
}

type set[T any] struct {
	Items []T `xml:"item"`
}

type members[T any] struct {
	Items []T `xml:"member"`
}

// protocol is how one of the services wraps its answers.
type protocol struct {
	version, namespace string
	wrapped            bool // results stand in an element of their own
}

var (
	ec2Protocol     = protocol{version: "2016-11-15", namespace: "http://ec2.amazonaws.com/doc/2016-11-15/"}
	scalingProtocol = protocol{version: "2011-01-01", namespace: "http://autoscaling.amazonaws.com/doc/2011-01-01/", wrapped: true}

	identityProtocol = protocol{version: "2011-06-15", namespace: "https://sts.amazonaws.com/doc/2011-06-15/", wrapped: true}
)

const requestID = "59dbff89-35bd-4eac-99ed-be587EXAMPLE"

func (p protocol) write(w http.ResponseWriter, action string, fields answer) {
	if p.wrapped {
		fields = answer{
			{action + "Result", fields},
			{"ResponseMetadata", answer{{"RequestId", requestID}}},
		}
	} else {
		fields = append(answer{{"requestId", requestID}}, fields...)
	}
	var body bytes.Buffer
	body.WriteString(xml.Header)
	e := xml.NewEncoder(&body)
	root := xml.StartElement{
		Name: xml.Name{Local: action + "Response"},
		Attr: []xml.Attr{{Name: xml.Name{Local: "xmlns"}, Value: p.namespace}},
	}
	if err := errors.Join(fields.encode(e, root), e.Flush()); err != nil {
		panic(fmt.Sprintf("encode the answer to %s: %v", action, err)) // a mistake in this package
	}
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	w.Write(body.Bytes())
}

func (a answer) encode(e *xml.Encoder, start xml.StartElement) error {
	if err := e.EncodeToken(start); err != nil {
		return err
	}
	for _, f := range a {
		inner := xml.StartElement{Name: xml.Name{Local: f.name}}
		var err error
		if nested, ok := f.value.(answer); ok {
			err = nested.encode(e, inner)
		} else {
			err = e.EncodeElement(f.value, inner)
		}
		if err != nil {
			return err
		}
	}
	return e.EncodeToken(start.End())
}

// An Error is an error of the API, with the code that the reference gives it.
type Error struct {
	Status  int    `json:"status"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

func fault(status int, code, format string, args ...any) *Error {
	return &Error{status, code, fmt.Sprintf(format, args...)}
}

func badValue(format string, args ...any) *Error {
	return fault(http.StatusBadRequest, "InvalidParameterValue", format, args...)
}

func missing(parameter string) *Error {
	return fault(http.StatusBadRequest, "MissingParameter", "The request must contain the parameter %s", parameter)
}

// An htmlPage is an error that is none of the API: what a web framework answers where the program behind it fails.
type htmlPage struct {
	status int
	html   string
}

func (p *htmlPage) Error() string { return p.html }

func (p protocol) writeError(w http.ResponseWriter, err error) {
	if page, ok := errors.AsType[*htmlPage](err); ok {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(page.status)
		io.WriteString(w, page.html)
		return
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = fault(http.StatusInternalServerError, "InternalError", "%v", err)
	}
	var code, message bytes.Buffer
	xml.EscapeText(&code, []byte(e.Code))
	xml.EscapeText(&message, []byte(e.Message))
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	w.WriteHeader(e.Status)
	if p.wrapped {
		fmt.Fprintf(w, "%s<ErrorResponse xmlns=%q><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>%s</RequestId></ErrorResponse>",
			xml.Header, p.namespace, code.String(), message.String(), requestID)
		return
	}
	fmt.Fprintf(w, "%s<Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>%s</RequestID></Response>",
		xml.Header, code.String(), message.String(), requestID)
}

// page cuts the part of a list of n that a request asks for, and says where
// the next one begins ("" at the end). The token is opaque to the caller.
func (p params) page(maxParam string, n, smallest, largest int) (from, to int, next string, err error) {
	limit, err := p.integer(maxParam, 0)
	if err != nil {
		return 0, 0, "", err
	}
	if limit != 0 && (limit < smallest || limit > largest) {
		return 0, 0, "", badValue("Value ( %d ) for parameter maxResults is invalid. Expecting a value between %d and %d.", limit, smallest, largest)
	}
	if t := p.str("NextToken"); t != "" {
		raw, err1 := base64.URLEncoding.DecodeString(t)
		if from, err = strconv.Atoi(strings.TrimPrefix(string(raw), "page:")); err1 != nil || err != nil || from < 0 {
			return 0, 0, "", fault(http.StatusBadRequest, "InvalidNextToken", "The token is invalid.")
		}
	}
	from = min(from, n)
	if limit == 0 || from+limit >= n {
		return from, n, "", nil
	}
	to = from + limit
	return from, to, base64.URLEncoding.EncodeToString([]byte("page:" + strconv.Itoa(to))), nil
}
