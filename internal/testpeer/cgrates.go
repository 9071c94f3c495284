// Package testpeer runs the real systems that tests talk to: each is a private
// process on free ports in a temporary directory, gone when its test is over.
// It is imported by tests only, and knows nothing of tenu's own packages.
package testpeer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tenu/internal/peer"
)

// CGR is a running CGRateS 0.10, an open-source charging system, that keeps its
// accounts and records in memory: a kill loses them all.
type CGR struct {
	// URL is where it answers JSON-RPC by POST; it stays the same over a Restart.
	URL string

	t       testing.TB
	binary  string
	dir     string
	mu      sync.Mutex
	process *peer.Process
}

// cgrConfig is the smallest configuration that charges accounts and keeps
// records of it. Everything is in memory and listens on the loopback only. It
// waits for its own parts for as long as a test may suspend it: when it gives up
// on its record store, which goes on, it drops the movement and keeps the record.
const cgrConfig = `{"general":{"log_level":3,"logger":"*stdout","reply_timeout":"1h"},
"listen":{"rpc_json":"127.0.0.1:0","rpc_gob":"127.0.0.1:0","http":"%s","rpc_json_tls":"","rpc_gob_tls":"","http_tls":""},
"data_db":{"db_type":"*internal"},"stor_db":{"db_type":"*internal"},
"rals":{"enabled":true},
"schedulers":{"enabled":true,"cdrs_conns":["*internal"]},
"cdrs":{"enabled":true},
"apiers":{"enabled":true,"scheduler_conns":["*internal"]}}
`

// CGRateS starts a private CGRateS process, building the program first if this
// machine has not built it yet. Where it cannot be built the test is skipped,
// saying what to do; it fails instead when CI is "true" or TENU_REQUIRE_PEERS
// is "1". The process ends with the test, also when the test itself is killed.
func CGRateS(t testing.TB) *CGR {
	t.Helper()
	binary, err := cgrBinary(t.Context())
	if err != nil {
		Missing(t, "CGRateS 0.10 is not built and cannot be built here: run `go build github.com/cgrates/cgrates/cmd/cgr-engine` "+
			"in test/cgrates with access to a Go module proxy: %v", err)
	}
	c := &CGR{t: t, binary: binary, dir: t.TempDir()}
	t.Cleanup(c.Kill)
	for try := 1; ; try++ {
		address := freeAddress(t)
		c.URL = "http://" + address + "/jsonrpc"
		if err := os.WriteFile(filepath.Join(c.dir, "cgrates.json"), fmt.Appendf(nil, cgrConfig, address), 0o600); err != nil {
			t.Fatalf("write the configuration of CGRateS: %v", err)
		}
		if err = c.start(); err == nil {
			return c
		}
		if try == 3 { // another process may have taken the free port
			t.Fatalf("start CGRateS: %v", err)
		}
	}
}

// Stop suspends the process (SIGSTOP): connections are accepted by the kernel,
// nothing is answered.
func (c *CGR) Stop() { c.signal(syscall.SIGSTOP) }

// Cont lets a stopped process go on.
func (c *CGR) Cont() { c.signal(syscall.SIGCONT) }

// Kill ends the process at once, with everything that it knew. A killed process
// may be killed again.
func (c *CGR) Kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process != nil {
		c.process.Kill()
		c.process = nil
	}
}

// Restart starts a killed process again, empty, at the same URL.
func (c *CGR) Restart() {
	c.t.Helper()
	c.Kill()
	if err := c.start(); err != nil {
		c.t.Fatalf("restart CGRateS: %v", err)
	}
}

func (c *CGR) signal(s syscall.Signal) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process == nil {
		c.t.Fatalf("%v to CGRateS: it is not running", s)
	}
	if err := c.process.Cmd.Process.Signal(s); err != nil {
		c.t.Fatalf("%v to CGRateS: %v", s, err)
	}
}

// start runs the process and waits until it answers.
func (c *CGR) start() error {
	p, err := peer.Launch(c.dir, c.binary, "-config_path", c.dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if c.ready(ctx) == nil {
			c.mu.Lock()
			c.process = p
			c.mu.Unlock()
			return nil
		}
		select {
		case <-p.Done:
			return fmt.Errorf("ended at once: %s", p.Tail())
		case <-ctx.Done():
			p.Kill()
			return fmt.Errorf("not ready: %s", p.Tail())
		case <-tick.C:
		}
	}
}

// ready asks each of the services that tests use; they come up one by one.
func (c *CGR) ready(ctx context.Context) error {
	for method, answer := range map[string]string{
		"APIerSv1.Ping":       `"Pong"`,
		"APIerSv2.GetAccount": `"NOT_FOUND"`,
		"CDRsV1.Ping":         `"Pong"`,
	} {
		body := fmt.Sprintf(`{"id":1,"method":%q,"params":[{"Tenant":"none","Account":"none"}]}`, method)
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, strings.NewReader(body))
		if err != nil {
			return err
		}
		response, err := pingClient.Do(request)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(io.LimitReader(response.Body, 1024))
		response.Body.Close()
		if err != nil || !bytes.Contains(text, []byte(answer)) {
			return fmt.Errorf("%s answered %q: %w", method, text, err)
		}
	}
	return nil
}

// pingClient keeps no connection, so that no goroutine outlives the ping.
var pingClient = &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// cgrBinary returns the program's path, built once for its module files and
// this Go version. Tests of several packages wait for the one that builds.
func cgrBinary(ctx context.Context) (string, error) {
	module, err := moduleDir("test/cgrates")
	if err != nil {
		return "", err
	}
	digest := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(module, name)) //nolint:gosec // a file of this repository
		if err != nil {
			return "", err
		}
		digest.Write(text)
	}
	digest.Write([]byte(runtime.Version()))
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "cgrates-"+hex.EncodeToString(digest.Sum(nil)[:8]))
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", err
	}
	unlock, err := lockFile(filepath.Join(dir, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	binary := filepath.Join(dir, "cgr-engine")
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	fresh := binary + "." + strconv.Itoa(os.Getpid())
	build := exec.CommandContext(ctx, "go", "build", "-o", fresh, "github.com/cgrates/cgrates/cmd/cgr-engine") //nolint:gosec // a path of our own making
	build.Dir = module
	build.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, peer.LastBytes(output, 600))
	}
	return binary, os.Rename(fresh, binary)
}

// Open makes an account of the tenant cgrates.org, named by a number without
// the plus sign, with units on its main balance.
func (c *CGR) Open(account string, units int64) {
	c.t.Helper()
	var ok string
	params := map[string]any{"Tenant": "cgrates.org", "Account": account}
	if err := c.Call("APIerSv1.SetAccount", params, &ok); err != nil {
		c.t.Fatalf("open an account: %v", err)
	}
	if units == 0 {
		return
	}
	params["BalanceType"], params["Value"], params["Balance"] = "*monetary", units, map[string]any{"ID": "*default"}
	if err := c.Call("APIerSv1.AddBalance", params, &ok); err != nil {
		c.t.Fatalf("open an account: %v", err)
	}
}

// Call makes a call of the test's own, as in APIerSv2.GetCDRs, and reads its
// result. An error that CGRateS answers is returned as it wrote it.
func (c *CGR) Call(method string, params, result any) error {
	body, err := json.Marshal(map[string]any{"id": 1, "method": method, "params": []any{params}})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := callClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct {
		Result json.RawMessage
		Error  *string
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	if answer.Error != nil {
		return errors.New(*answer.Error)
	}
	return json.Unmarshal(answer.Result, result)
}

var callClient = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
