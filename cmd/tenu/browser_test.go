package main

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// TestApp drives the customers' pages in a real browser; each check of
// test/browser/app.js is a test.
func TestApp(t *testing.T) {
	at := map[string]string{"chromium": chromium(t), "only": os.Getenv("TENU_BROWSER_ONLY")}
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
	s := startSite(t, func(text string) string {
		// As short as a test may take; the rest is the demonstration's.
		text = strings.Replace(text, "deliver_within: 20s", "deliver_within: 4s\n  resolve_within: 16s\n  resolve_margin: 6s\n  retry_first: 500ms", 1)
		return text + "\napp: {cancel_for: 1s, codes: {number: 100, number_daily: 100, source: 1000}}\n"
	})
	sandbox := s.sandbox.addresses()
	at["app"], at["sms"], at["charging"], at["wallet"] = "http://"+s.at.app.Addr().String(), sandbox.SMS, sandbox.Charging, sandbox.Wallet
	argument, err := json.Marshal(at)
	if err != nil {
		t.Fatal(err)
	}
	script := testpeer.RunNode(t, "test/browser", "app.js", string(argument))
	for {
		var line struct {
			Name, Error, Note string
			Over              bool
		}
		if err := json.Unmarshal([]byte(script.LineWithin(browserWithin)), &line); err != nil {
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
