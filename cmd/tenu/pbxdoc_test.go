package main

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tenu/internal/care"
	"tenu/internal/purchase"
	"tenu/internal/testpeer"
	"tenu/internal/voice/dial"
	"tenu/internal/voice/pbx"
)

// manual is the example of a language under a heading of docs/VOICE.md.
func manual(t *testing.T, heading, language string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/VOICE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, there := strings.Cut(string(text), "\n"+heading+"\n")
	_, rest, begun := strings.Cut(rest, "\n```"+language+"\n")
	example, _, ended := strings.Cut(rest, "\n```\n")
	if !there || !begun || !ended {
		t.Fatalf("the manual has no example of %s under %q", language, heading)
	}
	return example + "\n"
}

const pbxSecret = "a secret that only these two know of each other"

// Whoever connects a telephone system of their own begins with the manual: its example with curl is taken by a node.
func TestManualWithCurl(t *testing.T) {
	kept := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(kept, []byte(pbxSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startSite(t, func(text string) string {
		return text + fmt.Sprintf("  pbx: {url: 'http://127.0.0.1:9/', secrets: ['file:%s']}\n", kept)
	})
	script := exec.CommandContext(t.Context(), "bash", "-euc", manual(t, "### With curl", "sh"))
	script.Env = append(os.Environ(), "TENU_PBX_SECRET="+pbxSecret, "TENU_URL="+s.remote.URL)
	if text, err := script.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, text)
	}
	script = exec.CommandContext(t.Context(), "bash", "-euc", manual(t, "### With curl", "sh"))
	script.Env = append(os.Environ(), "TENU_PBX_SECRET=another", "TENU_URL="+s.remote.URL)
	if text, err := script.CombinedOutput(); err == nil || !strings.Contains(string(text), "401") {
		t.Errorf("signed by a stranger: %v: %s", err, text)
	}
}

// The manual's program, between tenu and an Asterisk, has a telephone ring, once, and says so when none can.
func TestManualWithAsterisk(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		testpeer.Missing(t, "python3 is not installed: as root, `apt-get install python3`")
	}
	asked := make(chan string, 10)
	var down atomic.Bool
	asterisk := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		asked <- r.Method + " " + r.URL.Path + " " + r.FormValue("endpoint")
	}))
	defer asterisk.Close()
	at, err := free(t.Context(), "127.0.0.1", 0)
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan dial.Event, 10)
	p, err := pbx.New(pbx.Config{URL: "http://" + at.String(), Secrets: [][]byte{[]byte(pbxSecret)}, Clock: newSteady(), Log: slog.New(slog.DiscardHandler),
		Heard: func(e dial.Event) { heard <- e }, Agents: struct{ pbx.Agents }{}, Calls: struct{ pbx.Calls }{},
		Number: func(string) (purchase.MSISDN, bool) { return 0, false }})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	tenu := httptest.NewServer(p)
	defer tenu.Close()
	program := filepath.Join(t.TempDir(), "asterisk.py")
	if err := os.WriteFile(program, []byte(manual(t, "### With Asterisk", "python")), 0o600); err != nil {
		t.Fatal(err)
	}
	between := exec.CommandContext(t.Context(), python, program)
	between.Env = append(os.Environ(), "TENU_PBX_SECRET="+pbxSecret, "TENU_URL="+tenu.URL, "ARI_URL="+asterisk.URL, fmt.Sprintf("PORT=%d", at.Port()))
	between.Stderr = t.Output()
	if err := between.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = between.Process.Kill(); _ = between.Wait() }()
	soon(t, "the program listens", 30*time.Second, func() bool {
		answer, err := http.Get("http://" + at.String()) //nolint:noctx // of the loopback
		if err == nil {
			_, _ = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
		}
		return err == nil
	})
	if err := p.Call(t.Context(), dial.Call{Name: "ouaga-12-1", Extension: "201", Number: 22670112233, Language: "fr"}); err != nil {
		t.Fatal(err)
	}
	if got := <-asked; got != "POST /channels/ouaga-12-1 PJSIP/201" {
		t.Errorf("Asterisk is asked: %s", got)
	}
	down.Store(true)
	if err := p.Call(t.Context(), dial.Call{Name: "ouaga-13-1", Extension: "201", Number: 22670112233, Language: "fr"}); err != nil {
		t.Fatal(err)
	}
	select {
	case e := <-heard:
		if want := (dial.Event{Call: "ouaga-13-1", News: dial.Ended, Ring: care.Undialled, Down: true}); e != want {
			t.Errorf("heard %+v, want %+v", e, want)
		}
	case <-time.After(30 * time.Second):
		t.Error("nothing is heard of a telephone that cannot ring")
	}
}
