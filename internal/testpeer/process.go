package testpeer

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// missing skips the test for want of a peer, or fails it where peers are required.
func missing(t testing.TB, format string, arguments ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" || os.Getenv("TENU_REQUIRE_PEERS") == "1" {
		t.Fatalf(format, arguments...)
	}
	t.Skipf(format, arguments...)
}

// moduleDir returns a folder of this repository, found from the working
// directory that go test gives a package.
func moduleDir(path string) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod")) //nolint:gosec // looking for our own module
		if err == nil && strings.HasPrefix(string(text), "module tenu\n") {
			return filepath.Join(dir, path), nil
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		return "", errors.New("not inside the module tenu")
	}
}

// cacheDir is where built programs are kept: TENU_CACHE, or the user's cache.
func cacheDir() (string, error) {
	if dir := os.Getenv("TENU_CACHE"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache directory, set TENU_CACHE: %w", err)
	}
	return filepath.Join(dir, "tenu"), nil
}

// lockFile waits for the exclusive lock of a file.
func lockFile(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // a path of our own making
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { file.Close() }, nil
}

// freeAddress is an address of the loopback that nobody listened on just now.
func freeAddress(t testing.TB) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("find a free port: %v", err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// process is a child that dies with this one.
type process struct {
	cmd    *exec.Cmd
	done   chan struct{} // closed when it has ended
	output *tailBuffer
}

// launch starts a program as the user that this process is.
func launch(dir, name string, arguments ...string) (*process, error) {
	return launchAs(nil, dir, name, arguments...)
}

// launchAs starts a program as a user, or as our own if who is nil.
func launchAs(who *syscall.Credential, dir, name string, arguments ...string) (*process, error) {
	p := prepare(who, dir, name, arguments...)
	return p, p.start()
}

// prepare is a program that is not started yet.
func prepare(who *syscall.Credential, dir, name string, arguments ...string) *process {
	p := &process{done: make(chan struct{}), output: new(tailBuffer)}
	p.cmd = exec.Command(name, arguments...) //nolint:gosec,noctx // it lives as long as the test, not as a call
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, p.output, p.output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: who}
	return p
}

// start starts the program. The kernel kills the child when the thread that
// started it ends, so one goroutine keeps that thread until the child has ended.
func (p *process) start() error {
	started := make(chan error, 1)
	go func() {
		defer close(p.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // how it ended is seen in its output
		}
	}()
	return <-started
}

// kill ends the process, stopped or not, and waits for its end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.done
}

func (p *process) tail() string { return p.output.String() }

// tailBuffer keeps the last bytes that a process wrote.
type tailBuffer struct {
	mu   sync.Mutex
	last []byte
}

// Write keeps the end of what was written so far.
func (b *tailBuffer) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = bytes.Clone(lastBytes(append(b.last, text...), 4096))
	return len(text), nil
}

// String is what was kept.
func (b *tailBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.last)
}

func lastBytes(text []byte, n int) []byte {
	if len(text) > n {
		return text[len(text)-n:]
	}
	return text
}
