package service

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strings"
)

// maxBody bounds what a service reads of a request.
const maxBody = 64 << 10

// Receive reads a request's JSON body; where it cannot, it answers and returns false.
func Receive(w http.ResponseWriter, r *http.Request, body any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(body); err != nil {
		http.Error(w, "the body is not the JSON that is expected, or larger than 64 KiB", http.StatusBadRequest)
		return false
	}
	return true
}

// Answer writes JSON.
func Answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v) // the client is gone where this fails
}

// Allowed says whether the request carries the token; where it does not, it answers. An empty
// token allows everyone.
func Allowed(w http.ResponseWriter, r *http.Request, token string) bool {
	if token == "" {
		return true
	}
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if ok && subtle.ConstantTimeCompare([]byte(given), []byte(token)) == 1 {
		return true
	}
	http.Error(w, "writing takes the token: Authorization: Bearer TOKEN", http.StatusUnauthorized)
	return false
}

// maxName bounds keys, ids and kinds.
const maxName = 128

// GoodName says whether a key, id or kind is one: letters, digits and . _ -
func GoodName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == "" && strings.Trim(name, ".") != ""
}
