// Package launch holds the tests of the repository as a whole; the programs are
// in cmd/launch and cmd/epuharness.
package launch
