package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"tenu/internal/purchase"
	"tenu/internal/sandbox"
)

// demoSettings is what tenu demo writes of itself.
type demoSettings struct {
	Listen   struct{ API string }
	Partners []struct{ Name, URL string }
}

// demo runs tenu demo and returns its node and its partners' addresses.
func demo(t *testing.T, flags ...string) (n *node, partners map[string]string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "demo")
	r := &rig{t: t, dir: dir, dsn: "sqlite:" + filepath.Join(dir, "tenu.db")}
	n = &node{r: r, name: "demo", config: filepath.Join(dir, "tenu.yaml"), output: &lockedBuffer{}}
	n.run(append([]string{"demo", "--port", "0", "--dir", dir}, flags...)...)
	var settings demoSettings
	deadline := time.Now().Add(time.Minute)
	for settings.Listen.API == "" {
		if text, err := os.ReadFile(n.config); err == nil {
			if err := yaml.Unmarshal(text, &settings); err != nil {
				t.Fatalf("read the demo's settings: %v", err)
			}
		}
		if time.Now().After(deadline) {
			n.kill()
			t.Fatalf("the demo does not start: %s", n.output.tail())
		}
		time.Sleep(20 * time.Millisecond)
	}
	n.url = "http://" + settings.Listen.API
	n.ready()
	key, err := os.ReadFile(filepath.Join(dir, "api-key"))
	if err != nil {
		t.Fatal(err)
	}
	r.key = strings.TrimSpace(string(key))
	partners = map[string]string{}
	for _, p := range settings.Partners {
		partners[p.Name] = strings.TrimSuffix(p.URL, "/Air")
	}
	return n, partners
}

func fault(t *testing.T, partner string, f sandbox.Fault) {
	t.Helper()
	body, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post(partner+"/faults", "application/json", bytes.NewReader(body)) //nolint:noctx // a test's own call
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode >= http.StatusBadRequest {
		t.Fatalf("switch on %s of %s: %s", f.Kind, f.Operation, response.Status)
	}
}

// TestFaultyPartners sells 10 000 purchases to the demonstration's sandbox while
// a fifth of the partners' calls are faulty: requests and replies lost, late
// execution, duplicates. That is enough to pause their sales, which is not what is tested here.
func TestFaultyPartners(t *testing.T) {
	t.Parallel()
	n, partners := demo(t, "--no-pauses")
	for _, each := range []struct {
		partner string
		sandbox.Fault
	}{
		{"wallet", sandbox.Fault{Operation: "charge", Kind: sandbox.LoseReply, Rate: 0.08}},
		{"wallet", sandbox.Fault{Operation: "charge", Kind: sandbox.LoseRequest, Rate: 0.06}},
		{"wallet", sandbox.Fault{Operation: "charge", Kind: sandbox.Late, Rate: 0.06, DelayMS: 1500}},
		{"wallet", sandbox.Fault{Operation: "refund", Kind: sandbox.LoseReply, Rate: 0.2}},
		{"wallet", sandbox.Fault{Operation: "query", Kind: sandbox.LoseReply, Rate: 0.2}},
		{"wallet", sandbox.Fault{Operation: "callback", Kind: sandbox.CallbackTwice, Rate: 0.2}},
		{"ocs", sandbox.Fault{Operation: "credit", Kind: sandbox.LoseReply, Rate: 0.08}},
		{"ocs", sandbox.Fault{Operation: "credit", Kind: sandbox.LoseRequest, Rate: 0.04}},
		{"ocs", sandbox.Fault{Operation: "credit", Kind: sandbox.Late, Rate: 0.06, DelayMS: 1500}},
		{"ocs", sandbox.Fault{Operation: "credit", Kind: sandbox.Refuse, Rate: 0.01, Code: "126"}},
		{"ocs", sandbox.Fault{Operation: "credit", Kind: sandbox.Twice, Rate: 0.02}},
	} {
		fault(t, partners[each.partner], each.Fault)
	}
	r := n.r
	for i := range lineCount {
		r.lines = append(r.lines, purchase.MSISDN(22670200000+i))
	}
	r.again = true
	refs := r.sell(0, 10_000, 128, n)
	records := r.records(refs, 4*time.Minute)
	n.signal(syscall.SIGINT)
	<-n.done
	r.verify(n.config)
	states, exposed := map[purchase.State]int{}, 0
	for i := range records {
		p := &records[i].Purchase
		states[p.State]++
		if p.Exposed {
			exposed++
			if len(records[i].Cases) == 0 {
				t.Errorf("purchase %d is in exposure without a case", p.ID)
			}
		}
	}
	t.Logf("settled: %v, in exposure: %d", states, exposed)
	if states[purchase.Refunded] == 0 || states[purchase.Credited] < 9000 {
		t.Errorf("the partners were not faulty as planned: %v", states)
	}
}
