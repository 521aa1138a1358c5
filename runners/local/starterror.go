package local

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// explain says in a sentence why exec refused the target: the number that the
// system gives for a missing folder, program or interpreter is the same.
func explain(t target, errno syscall.Errno) error {
	if info, err := os.Stat(t.dir); err != nil {
		return fmt.Errorf("its working directory %s cannot be entered: %w", t.dir, reason(err))
	} else if !info.IsDir() {
		return fmt.Errorf("its working directory %s is not a folder", t.dir)
	}
	info, err := os.Stat(t.path)
	switch {
	case os.IsNotExist(err):
		return fmt.Errorf("%s does not exist", t.path)
	case err != nil:
		return fmt.Errorf("%s cannot be reached: %w", t.path, reason(err))
	case info.IsDir():
		return fmt.Errorf("%s is a folder, not a program", t.path)
	}
	switch errno {
	case syscall.ENOENT:
		if interpreter := firstLine(t.path); interpreter != "" {
			return fmt.Errorf("%s asks in its first line for the interpreter %s, which does not exist", t.path, interpreter)
		}
		return fmt.Errorf("%s needs a loader that does not exist: it was built for another system", t.path)
	case syscall.EACCES:
		if info.Mode()&0o111 == 0 {
			return fmt.Errorf("%s is not executable: chmod +x it", t.path)
		}
		if interpreter := firstLine(t.path); interpreter != "" {
			return fmt.Errorf("%s, or its interpreter %s, may not be executed by this user, or lies on a file system that is mounted noexec", t.path, interpreter)
		}
		return fmt.Errorf("%s may not be executed by this user, or lies on a file system that is mounted noexec", t.path)
	case syscall.ENOEXEC:
		return fmt.Errorf("%s is neither a program for this machine nor a script with a #! line", t.path)
	case syscall.E2BIG:
		return fmt.Errorf("its arguments and its environment are larger than this machine allows")
	case syscall.EAGAIN, syscall.ENOMEM:
		return fmt.Errorf("this machine cannot start another process now: %w", errno)
	case syscall.EPERM:
		return fmt.Errorf("launch may not run programs as that user")
	}
	return errno
}

// firstLine returns the interpreter that a script names, or nothing.
func firstLine(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	line, _ := bufio.NewReaderSize(f, 256).ReadSlice('\n') // the kernel reads as much
	line, script := bytes.CutPrefix(line, []byte("#!"))
	fields := strings.Fields(string(line))
	if !script || len(fields) == 0 {
		return ""
	}
	return strings.ToValidUTF8(fields[0], "?")
}

// reason is what the system said, without the path that the sentence has already.
func reason(err error) error {
	if p, ok := err.(*os.PathError); ok {
		return p.Err
	}
	return err
}
