package ec2test

import (
	"io"
	"net/http"
	"strings"
)

// metadataPath stands before an instance's id in the URL of its metadata service. A real one has the same address on
// every instance; here the environment variable AWS_EC2_METADATA_SERVICE_ENDPOINT, which the SDKs heed too, tells a machine's programs.
const metadataPath = "/_ec2test/metadata/"

// metadataToken is the session token that every request to a metadata service has to show, as IMDSv2 wants it.
const metadataToken = "the-token-of-this-session"

// serveMetadata answers as an instance's metadata service: its id and its private address.
func (s *Server) serveMetadata(w http.ResponseWriter, r *http.Request) {
	id, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, metadataPath), "/")
	s.mu.Lock()
	i := s.instances[id]
	s.mu.Unlock()
	switch {
	case i == nil:
		http.NotFound(w, r)
	case r.Method == http.MethodPut && path == "latest/api/token" && r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds") != "":
		io.WriteString(w, metadataToken)
	case r.Header.Get("X-aws-ec2-metadata-token") != metadataToken:
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
	case path == "latest/meta-data/instance-id":
		io.WriteString(w, i.id)
	case path == "latest/meta-data/local-ipv4":
		io.WriteString(w, i.private.String())
	default:
		http.NotFound(w, r)
	}
}
