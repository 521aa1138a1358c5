package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func prepareProcessCompose(ctx context.Context, dir string, s shape) error {
	if err := onPath("process-compose")(ctx, dir, s); err != nil {
		return err
	}
	var text strings.Builder
	text.WriteString("version: \"0.5\"\nprocesses:\n")
	for i := range s.levels {
		for k := range s.width {
			fmt.Fprintf(&text, "  s%d_%d:\n    command: /bin/true && /bin/true\n", i, k)
			if i > 0 {
				// Through one gate per level: with edges between all pairs it would be slower still.
				fmt.Fprintf(&text, "    depends_on:\n      gate%d:\n        condition: process_completed_successfully\n", i-1)
			}
		}
		fmt.Fprintf(&text, "  gate%d:\n    command: /bin/true\n    depends_on:\n", i)
		for k := range s.width {
			fmt.Fprintf(&text, "      s%d_%d:\n        condition: process_completed_successfully\n", i, k)
		}
	}
	return os.WriteFile(filepath.Join(dir, "process-compose.yaml"), []byte(text.String()), 0o600)
}

func runProcessCompose(ctx context.Context, dir string, _ shape) (usage, error) {
	return command(ctx, dir, "process-compose", "up", "-t=false", "--no-server", "-f", "process-compose.yaml")
}

// prepareTofu uses terraform_data, the one resource that needs no provider from elsewhere.
func prepareTofu(ctx context.Context, dir string, s shape) error {
	if err := onPath("tofu")(ctx, dir, s); err != nil {
		return err
	}
	var text strings.Builder
	for i := range s.levels {
		after := ""
		if i > 0 {
			after = fmt.Sprintf("  depends_on = [terraform_data.l%d]\n", i-1)
		}
		fmt.Fprintf(&text, "resource \"terraform_data\" \"l%d\" {\n  count = %d\n%s"+
			"  provisioner \"local-exec\" {\n    command = \"/bin/true && /bin/true\"\n  }\n}\n", i, s.width, after)
	}
	if err := os.WriteFile(filepath.Join(dir, "main.tf"), []byte(text.String()), 0o600); err != nil {
		return err
	}
	_, err := command(ctx, dir, "tofu", "init", "-input=false")
	return err
}

func runTofu(ctx context.Context, dir string, _ shape) (usage, error) {
	if err := os.RemoveAll(filepath.Join(dir, "terraform.tfstate")); err != nil {
		return usage{}, err
	}
	return command(ctx, dir, "tofu", "apply", "-auto-approve", "-input=false", "-parallelism=10")
}
