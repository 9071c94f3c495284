package testpeer

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// prismProgram is the validator that is not ours, installed when it is not there.
func prismProgram(t testing.TB) string {
	t.Helper()
	folder, err := moduleDir("test/prism")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(folder, "node_modules/@stoplight/prism-cli/dist/index.js")
	if _, err := exec.LookPath("node"); err != nil {
		Missing(t, "Node.js is not here: %v", err)
	}
	if _, err := os.Stat(program); err == nil {
		return program
	}
	if _, err := exec.LookPath("npm"); err != nil {
		Missing(t, "npm is not here: %v", err)
	}
	install := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = folder
	if output, err := install.CombinedOutput(); err != nil {
		Missing(t, "npm ci in test/prism: %v\n%s", err, output)
	}
	return program
}

// Prism stands between a client and a server, and fails what an OpenAPI description, a file, does
// not have, in either direction. It returns its address.
func Prism(t testing.TB, description, upstream string) string {
	t.Helper()
	program := prismProgram(t)
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, "node", program, "proxy", description, upstream, "--errors", "--host", "127.0.0.1", "--port", port) //nolint:gosec // of this repository
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = command.Stdout
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ready, ended := make(chan bool, 1), make(chan struct{})
	var said bytes.Buffer
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(output); lines.Scan(); {
			said.WriteString(lines.Text() + "\n")
			if strings.Contains(lines.Text(), "Prism is listening") {
				ready <- true
			}
		}
		ready <- false
	}()
	t.Cleanup(func() {
		stop()
		<-ended
		_ = command.Wait() // it was killed
		if t.Failed() {
			t.Logf("prism said:\n%s", said.Bytes()[max(0, said.Len()-8000):])
		}
	})
	if !<-ready {
		t.Fatal("prism did not start")
	}
	return "http://127.0.0.1:" + port
}
