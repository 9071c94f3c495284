package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tenu/internal/testpeer"
)

// program is the binary under test, built once.
var program string

func TestMain(m *testing.M) {
	if path := os.Getenv(diskSale); path != "" {
		os.Exit(sellToDisk(path))
	}
	dir, err := os.MkdirTemp("", "tenu-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program = filepath.Join(dir, "tenu")
	build := exec.CommandContext(context.Background(), "go", "build", "-o", program, "tenu/cmd/tenu")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build tenu:", err)
		os.Exit(1)
	}
	code := testpeer.Main(m)
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// node is one tenu serve process. It keeps its address over restarts, so a test that restarts it is not parallel:
// while it is down, a connection of another test might take its port.
type node struct {
	r      *rig
	name   string
	url    string
	config string
	cmd    *exec.Cmd
	done   chan struct{}
	output *lockedBuffer
	door   door
	under  []string // the command that runs it, where it is not run by itself
}

// door is open while a node admits purchases, as far as the test knows.
type door struct {
	mu     sync.Mutex
	opened chan struct{} // closed when the door is open
}

// open returns what is closed as soon as the door is open.
func (d *door) open() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now()
}

func (d *door) now() chan struct{} {
	if d.opened == nil {
		d.opened = make(chan struct{})
	}
	return d.opened
}

func (d *door) set(open bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	opened := d.now()
	select {
	case <-opened:
		if !open {
			d.opened = nil
		}
	default:
		if open {
			close(opened)
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) tail() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := b.String()
	from := max(0, len(text)-4000)
	for _, sign := range []string{"panic: ", "fatal error: "} { // what follows is as long as there are goroutines
		if at := strings.Index(text, sign); at >= 0 {
			return text[at:min(len(text), at+4000)]
		}
	}
	return text[from:]
}

// node configures a node with extra lines of profile rules, not started yet.
func (r *rig) node(name, profile string) *node {
	r.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // only to find a free port
	if err != nil {
		r.t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	n := &node{r: r, name: name, url: "http://" + address, config: filepath.Join(r.dir, name+".yaml"), output: &lockedBuffer{}}
	messages := r.messages
	if messages == "" {
		messages = fmt.Sprintf("{url: %q}", r.sms)
	}
	text := fmt.Sprintf(`node: %s
listen: {api: %q}
store: {dsn: %q, lease: 2s}
profile:
  repeat_within: 0s
%s
%s
sms: %s
incidents: {enabled: false} # partners fail here on purpose, and sales go on
clients:
  - name: e2e
    scopes: [purchases:write, purchases:read]
    rate: 100000
    in_flight: 5000
    keys: [{hash: %q}]
log: {format: text, level: warn}
`, name, address, r.dsn, profile, r.partners(n), messages, r.hash)
	if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if output, err := exec.CommandContext(r.t.Context(), program, "migrate", "--config", n.config).CombinedOutput(); err != nil {
		r.t.Fatalf("tenu migrate: %v\n%s", err, output)
	}
	return n
}

// start runs tenu serve and waits until it admits purchases.
func (n *node) start() {
	n.r.t.Helper()
	n.run("serve", "--config", n.config)
	n.ready()
}

// run starts the process.
func (n *node) run(arguments ...string) {
	n.r.t.Helper()
	command := append(append(slices.Clone(n.under), program), arguments...)
	n.cmd = exec.Command(command[0], command[1:]...) //nolint:noctx // it is signalled, not cancelled
	n.cmd.Stdout, n.cmd.Stderr = n.output, n.output
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	n.done = make(chan struct{})
	started := make(chan error, 1)
	done := n.done
	go func() { // the child dies with the thread that started it
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(done)
		defer n.door.set(false)
		err := n.cmd.Start()
		started <- err
		if err == nil {
			_ = n.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		n.r.t.Fatalf("start %s: %v", n.name, err)
	}
}

// ready waits until the node admits purchases.
func (n *node) ready() {
	n.r.t.Helper()
	deadline := time.After(60 * time.Second)
	for {
		if response, err := http.Get(n.url + "/readyz"); err == nil { //nolint:noctx // a test's own call
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				n.door.set(true)
				return
			}
		}
		select {
		case <-n.done:
			n.r.t.Fatalf("%s ended at once: %s", n.name, n.output.tail())
		case <-deadline:
			n.r.t.Fatalf("%s is not ready: %s", n.name, n.output.tail())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func (n *node) signal(s syscall.Signal) {
	n.r.t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		n.r.t.Fatalf("%v to %s: %v", s, n.name, err)
	}
}

// revive starts the process again if it has ended, as a supervisor would, and
// returns how often: 0 or 1.
func (n *node) revive() int {
	select {
	case <-n.done:
		n.start()
		return 1
	default:
		return 0
	}
}

func (n *node) kill() {
	n.door.set(false)
	n.signal(syscall.SIGKILL)
	<-n.done
}

// drainWithin is the promise of tenu serve: told to stop, it has ended by then.
const drainWithin = 30 * time.Second

// stop ends the process as an operator does, and checks that it ends well.
func (n *node) stop() {
	n.r.t.Helper()
	n.door.set(false)
	n.signal(syscall.SIGTERM)
	select {
	case <-n.done:
	case <-time.After(drainWithin):
		n.r.t.Errorf("%s does not end: %s", n.name, n.output.tail())
		n.kill()
	}
	if code := n.cmd.ProcessState.ExitCode(); code != 0 {
		n.r.t.Errorf("%s ended with code %d: %s", n.name, code, n.output.tail())
	}
}
