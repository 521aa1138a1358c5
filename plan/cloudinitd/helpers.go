package cloudinitd

import _ "embed"

// Helpers are files that the new plan needs beside those of the old one.
const (
	runHelper     = "run.sh"
	bootenvHelper = "bootenv.sh.tmpl"
)

//go:embed run.sh
var runScript string

//go:embed bootenv.sh.tmpl
var bootenvTemplate string
