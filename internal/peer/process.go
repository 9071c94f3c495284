// Package peer runs real programs as private child processes, PostgreSQL first
// of all, for tests and for measurements. It knows nothing of tenu's own packages.
package peer

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a child that dies with this one.
type Process struct {
	// Cmd is the child as os/exec has it.
	Cmd *exec.Cmd
	// Done is closed when it has ended.
	Done   chan struct{}
	output *tailBuffer
}

// Launch starts a program as the user that this process is.
func Launch(dir, name string, arguments ...string) (*Process, error) {
	return LaunchAs(nil, dir, name, arguments...)
}

// LaunchAs starts a program as a user, or as our own if who is nil.
func LaunchAs(who *syscall.Credential, dir, name string, arguments ...string) (*Process, error) {
	p := Prepare(who, dir, name, arguments...)
	return p, p.Start()
}

// Prepare is a program that is not started yet.
func Prepare(who *syscall.Credential, dir, name string, arguments ...string) *Process {
	p := &Process{Done: make(chan struct{}), output: new(tailBuffer)}
	p.Cmd = exec.Command(name, arguments...) //nolint:gosec,noctx // it lives as long as the test, not as a call
	p.Cmd.Dir, p.Cmd.Stdout, p.Cmd.Stderr = dir, p.output, p.output
	p.Cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: who}
	return p
}

// Start starts the program. The kernel kills the child when the thread that
// started it ends, so one goroutine keeps that thread until the child has ended.
func (p *Process) Start() error {
	started := make(chan error, 1)
	go func() {
		defer close(p.Done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.Cmd.Start()
		started <- err
		if err == nil {
			_ = p.Cmd.Wait() // how it ended is seen in its output
		}
	}()
	return <-started
}

// Kill ends the process, stopped or not, and waits for its end.
func (p *Process) Kill() {
	_ = p.Cmd.Process.Kill() // it may have ended already
	<-p.Done
}

// Children are the process's children at this moment.
func (p *Process) Children() (pids []int, err error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.Cmd.Process.Pid))
	if err != nil {
		return nil, err
	}
	for _, path := range threads {
		text, err := os.ReadFile(path) //nolint:gosec // of the system
		if err != nil {
			return nil, err
		}
		for field := range strings.FieldsSeq(string(text)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				return nil, err
			}
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// cpuOf is the processor time of a process, and of its children that have ended.
func cpuOf(pid int, family bool) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, text, _ = bytes.Cut(text, []byte(") ")) // the name may hold anything
	fields := strings.Fields(string(text))
	const user, childrenSystem = 11, 14 // utime, stime, cutime, cstime, counted from the state
	if len(fields) <= childrenSystem {
		return 0, fmt.Errorf("process %d tells no times", pid)
	}
	last := user + 1
	if family {
		last = childrenSystem
	}
	var ticks int64
	for _, field := range fields[user : last+1] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("times of process %d: %w", pid, err)
		}
		ticks += n
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux that Go runs on
	return time.Duration(ticks) * tick, nil
}

// Tail is the end of what it has written.
func (p *Process) Tail() string { return p.output.String() }

// tailBuffer keeps the last bytes that a process wrote.
type tailBuffer struct {
	mu   sync.Mutex
	last []byte
}

// Write keeps the end of what was written so far.
func (b *tailBuffer) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = bytes.Clone(LastBytes(append(b.last, text...), 4096))
	return len(text), nil
}

// String is what was kept.
func (b *tailBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.last)
}

// LastBytes is the end of a text, at most n bytes of it.
func LastBytes(text []byte, n int) []byte {
	if len(text) > n {
		return text[len(text)-n:]
	}
	return text
}
