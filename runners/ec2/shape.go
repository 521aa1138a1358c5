package ec2

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"

	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// maxError bounds what is read of an error: the service's are a few hundred bytes.
const maxError = 1 << 20

// An apiError is an error of the API in any of the shapes that the protocols of AWS have for it.
type apiError struct {
	EC2   codeAndMessage `xml:"Errors>Error"`
	Query codeAndMessage `xml:"Error"`
	codeAndMessage
}

type codeAndMessage struct {
	Code    string `xml:"Code"`
	Message string `xml:"Message"`
}

// inBothShapes hands on errors in the shape of EC2 and in that of Auto Scaling at once. The SDK reads the one that the
// call's protocol has, and compatible clouds mistake them: what was refused, and why, would not be known.
func inBothShapes(send smithyhttp.ClientDoFunc) smithyhttp.ClientDoFunc {
	return func(r *http.Request) (*http.Response, error) {
		answer, err := send(r)
		if err != nil || answer.StatusCode < http.StatusBadRequest {
			return answer, err
		}
		body, err := io.ReadAll(io.LimitReader(answer.Body, maxError))
		answer.Body.Close()
		if err != nil {
			return nil, err
		}
		answer.Body = io.NopCloser(bytes.NewReader(withBothShapes(body)))
		answer.ContentLength = -1
		return answer, nil
	}
}

// withBothShapes returns what is no error of the API as it is.
func withBothShapes(body []byte) []byte {
	var told apiError
	if xml.Unmarshal(body, &told) != nil {
		return body
	}
	for _, e := range []codeAndMessage{told.EC2, told.Query, told.codeAndMessage} {
		if e.Code == "" {
			continue
		}
		shaped, err := xml.Marshal(struct {
			XMLName xml.Name       `xml:"Response"`
			EC2     codeAndMessage `xml:"Errors>Error"`
			Query   codeAndMessage `xml:"Error"`
		}{EC2: e, Query: e})
		if err != nil {
			return body
		}
		return shaped
	}
	return body
}
