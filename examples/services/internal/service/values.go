package service

// A Value is a text in one of its versions.
type Value struct {
	Text    string `json:"text"`
	Version int64  `json:"version"`
}

// Newer says which one of two values holds: the same one on every store.
func (v Value) Newer(old Value) bool {
	if v.Version != old.Version {
		return v.Version > old.Version
	}
	return v.Text > old.Text
}

// Values are all that a store has, and the revision by which to ask for the next change.
type Values struct {
	Revision uint64           `json:"revision"`
	Values   map[string]Value `json:"values"`
}
