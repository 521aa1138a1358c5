package ec2test

import (
	"encoding/json"
	"net/http"
	"strings"
)

// serveControl is the endpoint's own interface, for those who drive it from a
// shell:
//
//	GET  /_ec2test/report           what it saw, as JSON
//	GET  /_ec2test/faults           the faults, as JSON
//	POST /_ec2test/faults           new faults, as JSON
//	POST /_ec2test/kill?id=i-…      the instance dies by itself
//	POST /_ec2test/impair?id=i-…    its checks fail and it no longer answers
func (s *Server) serveControl(w http.ResponseWriter, r *http.Request) {
	verb, ok := strings.CutPrefix(r.URL.Path, "/_ec2test/")
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	switch r.Method + " " + verb {
	case "GET report":
		json.NewEncoder(w).Encode(s.Report())
	case "GET faults":
		s.mu.Lock()
		defer s.mu.Unlock()
		json.NewEncoder(w).Encode(s.faults)
	case "POST faults":
		var f Faults
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
		d.DisallowUnknownFields()
		if err := d.Decode(&f); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.SetFaults(f)
	case "POST kill", "POST impair":
		act := s.Kill
		if verb == "impair" {
			act = s.Impair
		}
		if err := act(r.URL.Query().Get("id")); err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
		}
	default:
		http.Error(w, "no such call", http.StatusNotFound)
	}
}
