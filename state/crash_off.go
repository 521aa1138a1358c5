//go:build !crashtest

package state

// crash does nothing in the launch that people use: see crash_on.go.
type crash struct{}

func newCrash() crash       { return crash{} }
func (crash) beforeCommit() {}
func (crash) afterCommit()  {}
