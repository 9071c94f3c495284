package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"tenu/internal/receipt"
	"tenu/internal/testpeer"
)

var screenshots = flag.String("screenshots", "", "folder that screenshots are written to")

// browserWithin bounds one check in a browser.
const browserWithin = 3 * time.Minute

// chromium is a browser on this machine.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	testpeer.Missing(t, "Chromium is not installed: as root, `apt-get install chromium`")
	return ""
}

// browse runs a script of test/browser; each of its checks is a test.
func browse(t *testing.T, script string, at map[string]any) {
	t.Helper()
	at["chromium"], at["only"] = chromium(t), os.Getenv("TENU_BROWSER_ONLY")
	if *screenshots != "" {
		dir, err := filepath.Abs(*screenshots)
		if err == nil {
			err = os.MkdirAll(dir, 0o750)
		}
		if err != nil {
			t.Fatal(err)
		}
		at["shots"] = dir
	}
	argument, err := json.Marshal(at)
	if err != nil {
		t.Fatal(err)
	}
	run := testpeer.RunNode(t, "test/browser", script, string(argument))
	for {
		var line struct {
			Name, Error, Note string
			Over              bool
		}
		if err := json.Unmarshal([]byte(run.LineWithin(browserWithin)), &line); err != nil {
			t.Fatal(err)
		}
		if line.Over {
			return
		}
		if line.Note != "" {
			t.Logf("%s: %s", line.Name, line.Note)
			continue
		}
		t.Run(line.Name, func(t *testing.T) {
			if line.Error != "" {
				t.Error(line.Error)
			}
		})
	}
}

// TestApp drives the customers' pages in a real browser.
func TestApp(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(text string) string {
		// As short as a test may take; the rest is the demonstration's.
		text = strings.Replace(text, "deliver_within: 20s", "deliver_within: 4s\n  resolve_within: 16s\n  resolve_margin: 6s\n  retry_first: 500ms", 1)
		return text + "\napp: {cancel_for: 1s, codes: {number: 100, number_daily: 100, source: 1000}}\n"
	})
	sandbox := s.sandbox.addresses()
	browse(t, "app.js", map[string]any{"app": "http://" + s.at.app.Addr().String(), "sms": sandbox.SMS, "charging": sandbox.Charging, "wallet": sandbox.Wallet})
}

// TestConsole drives the agents' console in a real browser, with two agents, a
// supervisor, an administrator and a customer; and the books are right afterwards.
func TestConsole(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(text string) string {
		text = strings.Replace(text, "deliver_within: 20s", "deliver_within: 4s\n  resolve_within: 1h\n  retry_first: 500ms", 1)
		text = strings.Replace(text, "retry_most: 15s", "retry_most: 2s", 1)
		return text + "\napp: {cancel_for: 1s, codes: {number: 100, number_daily: 100, source: 1000}}\ncallbacks: {opens: 0s, closes: 24h}\n"
	})
	sandbox := s.sandbox.addresses()
	browse(t, "console.js", map[string]any{"console": "http://" + s.at.console.Addr().String(), "status": "http://" + s.at.status.Addr().String(), "app": "http://" + s.at.app.Addr().String(), "sms": sandbox.SMS,
		"charging": sandbox.Charging, "wallet": sandbox.Wallet, "password": s.password, "viewport": map[string]int{"width": 1440, "height": 900}})
	s.quiet(t)
	if code, stdout, stderr := tenu(t, noEnv, "verify", "--config", filepath.Join(s.Dir, "tenu.yaml")); code != 0 {
		t.Errorf("verify: %d\n%s%s", code, stdout, stderr)
	}
}

// TestReceipts downloads receipts in a real browser and checks them with the page that was
// kept, from the disk and without a network; and by the command, which agrees.
func TestReceipts(t *testing.T) {
	t.Parallel()
	s := startSite(t, func(text string) string {
		return text + "\napp: {cancel_for: 1s, codes: {number: 100, number_daily: 100, source: 1000}}\n"
	})
	dir := t.TempDir()
	browse(t, "receipts.js", map[string]any{"app": "http://" + s.at.app.Addr().String(), "console": "http://" + s.at.console.Addr().String(), "password": s.password,
		"api": "http://" + s.at.api.Addr().String(), "sms": s.sandbox.addresses().SMS, "charging": s.sandbox.addresses().Charging, "dir": dir})
	files, err := filepath.Glob(filepath.Join(dir, "*.receipt.txt"))
	if err != nil || len(files) != 2 {
		t.Fatalf("receipts %q were downloaded, %v", files, err)
	}
	slices.Sort(files) // the older first
	config := filepath.Join(s.Dir, "tenu.yaml")
	keys := filepath.Join(dir, "keys")
	code, stdout, stderr := tenu(t, noEnv, "receipt", "verify", "--keys", keys, "--proof", "--number", "+226 70 11 22 40", files[1])
	if code != exitDone || !strings.Contains(stdout, "genuine") || !strings.Contains(stdout, "both") || !strings.Contains(stdout, "proven, leaf ") {
		t.Errorf("verify: %d\n%s%s", code, stdout, stderr)
	}
	if code, stdout, _ = tenu(t, noEnv, "receipt", "verify", "--config", config, files[1]); code != exitFailed || !strings.Contains(stdout, "refused: unknown log: ") {
		t.Errorf("verify by who does not know the log: %d\n%s", code, stdout)
	}
	scanned(t, dir, files[1], keys)
	code, stdout, _ = tenu(t, noEnv, "receipt", "verify", "--keys", keys, files[0], files[1])
	if code != exitFailed || !strings.Contains(stdout, "stale, line 5") || !strings.Contains(stdout, "genuine") {
		t.Errorf("verify an older one beside: %d\n%s", code, stdout)
	}
}

// scanned reads the codes that the browser drew with a decoder that knows nothing of the encoder: they are the receipt.
func scanned(t *testing.T, dir, file, keys string) {
	t.Helper()
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	signed, _ := receipt.Split(whole)
	pictures, err := filepath.Glob(filepath.Join(dir, "code-*.png"))
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, name := range pictures {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		picture, err := png.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		bits, err := gozxing.NewBinaryBitmapFromImage(picture)
		if err != nil {
			t.Fatal(err)
		}
		found, err := qrcode.NewQRCodeReader().Decode(bits, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_TRY_HARDER: true})
		if err != nil { // a phone looks again, from nearer
			continue
		}
		read++
		if got, err := receipt.Unwrap([]byte(found.GetText())); err != nil || !bytes.Equal(got, signed) {
			t.Errorf("%s says %.100q: %v", filepath.Base(name), found.GetText(), err)
		}
		if code, stdout, stderr := tenu(t, noEnv, "receipt", "verify", "--keys", keys, found.GetText()); code != exitDone {
			t.Errorf("verify what is scanned: %d\n%s%s", code, stdout, stderr)
		}
	}
	if read == 0 {
		t.Errorf("none of %d pictures of the code can be read", len(pictures))
	}
}

// quiet waits until no purchase acts by itself any more but for late evidence.
func (s *site) quiet(t *testing.T) {
	t.Helper()
	for range 200 {
		if s.count(t, "purchase WHERE state IN (1, 2, 4)") == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}
