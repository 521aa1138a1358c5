package local

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// removeFiles removes what a service has in the work directories of all users;
// without a service, all that the run has.
func (h *host) removeFiles(ctx context.Context, service string) error {
	var errs []error
	remove := func(files placer, dir string) {
		if err := files.remove(ctx, dir); err != nil {
			errs = append(errs, fmt.Errorf("remove what is left of %s: %w", orTheRun(service), err))
		}
	}
	remove(h.files(""), filepath.Join("work", service))
	if service == "" {
		remove(h.files(""), "payload")
	}
	prefix := filepath.Join(sharedTemp, "launch-"+h.runner.env.RunID+"-")
	roots, err := filepath.Glob(prefix + "*")
	if err != nil {
		errs = append(errs, err)
	}
	for _, root := range roots {
		files := h.files(strings.TrimPrefix(root, prefix))
		if service == "" {
			remove(files, "")
		} else {
			remove(files, filepath.Join("work", service))
		}
	}
	return errors.Join(errs...)
}
