package testpeer

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tenu/internal/peer"
)

// Node is a running Node.js script that talks by lines.
type Node struct {
	t      testing.TB
	input  io.WriteCloser
	output *bufio.Reader
	reader *io.PipeReader
	kill   func()
}

// RunNode runs a script of a folder of this repository that has a package.json,
// whose packages are installed first if they are not. Where Node.js or a
// package cannot be had the test is skipped, saying what to do, or fails as
// CGRateS says. The script must end when its input does; it is killed with the
// test at the latest.
func RunNode(t testing.TB, folder, script string, arguments ...string) *Node {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		Missing(t, "Node.js is not installed: as root, `apt-get install nodejs npm` (any Node.js from 18 on will do)")
	}
	dir, err := moduleDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := installPackages(t, dir); err != nil {
		Missing(t, "the packages of %s are not installed and cannot be: run `npm ci` there: %v", folder, err)
	}
	reader, writer := io.Pipe()
	p := peer.Prepare(nil, dir, node, append([]string{filepath.Join(dir, script)}, arguments...)...)
	p.Cmd.Stdout = writer
	input, err := p.Cmd.StdinPipe()
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		t.Fatalf("start %s: %v", script, err)
	}
	t.Cleanup(func() {
		_ = input.Close()
		_ = reader.Close()
		p.Kill()
		if t.Failed() {
			t.Logf("%s said: %s", script, p.Tail())
		}
	})
	return &Node{t: t, input: input, output: bufio.NewReader(reader), reader: reader, kill: p.Kill}
}

// Kill ends the script at once, as SIGKILL does, and waits until it is gone.
func (n *Node) Kill() { n.kill() }

// Ask writes a line and returns the line that comes back.
func (n *Node) Ask(line string) string {
	n.t.Helper()
	if _, err := io.WriteString(n.input, line+"\n"); err != nil {
		n.t.Fatalf("write to the script: %v", err)
	}
	return n.Line()
}

// Line returns the next line that the script writes, within half a minute.
func (n *Node) Line() string { n.t.Helper(); return n.LineWithin(30 * time.Second) }

// LineWithin returns the next line that the script writes within a while.
func (n *Node) LineWithin(d time.Duration) string {
	n.t.Helper()
	late := time.AfterFunc(d, func() { _ = n.reader.CloseWithError(io.ErrNoProgress) })
	defer late.Stop()
	line, err := n.output.ReadString('\n')
	if err != nil {
		n.t.Fatalf("read from the script: %v", err)
	}
	return strings.TrimSuffix(line, "\n")
}

// installPackages runs `npm ci` where it was not run yet.
func installPackages(t testing.TB, dir string) error {
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cache, 0o750); err != nil {
		return err
	}
	unlock, err := lockFile(filepath.Join(cache, "npm.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if found, err := filepath.Glob(filepath.Join(dir, "node_modules", ".package-lock.json")); err != nil || len(found) == 1 {
		return err
	}
	npm := exec.CommandContext(t.Context(), "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	npm.Dir = dir
	if output, err := npm.CombinedOutput(); err != nil {
		t.Logf("npm ci: %s", peer.LastBytes(output, 600))
		return err
	}
	return nil
}
