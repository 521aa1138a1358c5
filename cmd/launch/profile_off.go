//go:build !profile

package main

// profile does nothing: see profile_on.go.
func profile(string) func() { return func() {} }
