package plan

import (
	"bytes"

	"github.com/hashicorp/hcl/v2"
)

// A JSONDiagnostic is a diagnostic for editors and other programs.
type JSONDiagnostic struct {
	Severity string     `json:"severity"` // "error" or "warning"
	Summary  string     `json:"summary"`
	Detail   string     `json:"detail"`
	File     string     `json:"file,omitempty"`
	Range    *JSONRange `json:"range,omitempty"`
	Snippet  string     `json:"snippet,omitempty"` // the line that the range begins in
}

// A JSONRange is where in a file something stands; the end is the first place after it.
type JSONRange struct {
	Start JSONPos `json:"start"`
	End   JSONPos `json:"end"`
}

// A JSONPos is a place in a file. Lines and columns count from 1, columns in characters, bytes from 0.
type JSONPos struct {
	Line   int `json:"line"`
	Column int `json:"column"`
	Byte   int `json:"byte"`
}

// JSONDiagnostics turns diagnostics into a form that encodes to JSON: never null.
func JSONDiagnostics(diags hcl.Diagnostics, sources map[string]*hcl.File) []JSONDiagnostic {
	list := make([]JSONDiagnostic, 0, len(diags))
	for _, d := range diags {
		j := JSONDiagnostic{Severity: "error", Summary: d.Summary, Detail: d.Detail}
		if d.Severity == hcl.DiagWarning {
			j.Severity = "warning"
		}
		if d.Subject != nil {
			j.File = d.Subject.Filename
			j.Range = &JSONRange{jsonPos(d.Subject.Start), jsonPos(d.Subject.End)}
			if file := sources[d.Subject.Filename]; file != nil {
				j.Snippet = lineAt(file.Bytes, d.Subject.Start.Byte)
			}
		}
		list = append(list, j)
	}
	return list
}

func jsonPos(p hcl.Pos) JSONPos { return JSONPos{p.Line, p.Column, p.Byte} }

// lineAt is the line of src that holds a byte.
func lineAt(src []byte, at int) string {
	const most = 500
	if at < 0 || at > len(src) {
		return ""
	}
	start := bytes.LastIndexByte(src[:at], '\n') + 1
	line, _, _ := bytes.Cut(src[start:], []byte("\n"))
	return string(bytes.ToValidUTF8(line[:min(len(line), most)], []byte("�")))
}
