package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/launchplan/launch/engine"
)

// confirm asks the operator on a terminal. Elsewhere nobody can answer, so --yes has to be given.
func confirm(ctx context.Context, stdin io.Reader, stderr io.Writer, question string) error {
	f, ok := stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return usagef("this needs a confirmation, and there is no terminal to ask on: add --yes")
	}
	fmt.Fprintf(stderr, "%s [y/N] ", question)
	answer := make(chan string, 1)
	go func() { // after an interrupt it waits on, until launch ends: nothing else ends a read from a terminal
		line, _ := bufio.NewReader(stdin).ReadString('\n')
		answer <- line
	}()
	select {
	case <-ctx.Done():
		return engine.ErrInterrupted
	case line := <-answer:
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return nil
		}
		return errors.New("not confirmed; nothing was changed")
	}
}
