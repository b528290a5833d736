package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/term"
)

// maxPassword bounds what is read as a password, in octets.
const maxPassword = 4096

// readPassword asks at a terminal, twice and without echo, or reads one line from
// stdin.
func (p *program) readPassword(prompt string) (string, error) {
	fd := int(p.stdin.Fd())
	if !term.IsTerminal(fd) {
		line, err := bufio.NewReader(io.LimitReader(p.stdin, maxPassword)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("reading the password: %w", err)
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			return "", dataError{"no password on stdin; expected one line"}
		}
		return line, nil
	}
	first, err := p.askPassword(fd, prompt)
	if err != nil {
		return "", err
	}
	second, err := p.askPassword(fd, "Again: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", dataError{"the two passwords differ; nothing was changed"}
	}
	if first == "" {
		return "", dataError{"an empty password is none; nothing was changed"}
	}
	return first, nil
}

func (p *program) askPassword(fd int, prompt string) (string, error) {
	fmt.Fprint(p.stderr, prompt)
	password, err := term.ReadPassword(fd)
	fmt.Fprintln(p.stderr)
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	return string(password), nil
}
