package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tenu/internal/testpeer"
)

// TestMessagesSurviveKills kills tenu serve and the SMS centre in turn while notices go
// out over SMPP. None is lost, and none comes to the centre again without a mark
// (invariant N3).
func TestMessagesSurviveKills(t *testing.T) {
	r := newSandboxRig(t, "")
	journal, port := filepath.Join(r.dir, "journal"), "0"
	var centre *testpeer.Node
	open := func() {
		centre = testpeer.RunNode(t, "test/smpp", "server.js", port, journal)
		port = centre.Line()
		centre.Ask(`{"set": {"silent": 50}}`) // now and then the answer is lost too
	}
	open()
	if err := os.WriteFile(filepath.Join(r.dir, "smpp-password"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.messages = fmt.Sprintf(`{timeout: 2s, smpp: {name: peer, address: "127.0.0.1:%s", system_id: tenu, password: "file:smpp-password", binds: 2}}`, port)
	n := r.node("n1", quick)
	n.start()
	clients := r.crowd(0, 32, n)
	kills := count(12)
	bar := start(t, kills)
	for i := range kills {
		clients.await(t, 80)
		switch i % 3 {
		case 0:
			n.kill()
			n.start()
		case 1:
			centre.Kill()
			open()
		default:
			centre.Ask(`{"drop": true}`)
		}
		bar.step()
	}
	refs := clients.end()
	res := r.balance(refs, 2*time.Minute)
	type message struct {
		To, Text string
		Resend   bool
	}
	wanted := map[message]bool{}
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		unsent := 0
		clear(wanted)
		for _, record := range r.records(refs, time.Minute) {
			for _, notice := range record.Notices {
				wanted[message{To: notice.To.String()[1:], Text: notice.Text}] = true
				if notice.SentAt == 0 {
					unsent++
				}
			}
		}
		if unsent == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d notices of %d are not sent", unsent, len(wanted))
		}
	}
	var taken []message
	if err := json.Unmarshal([]byte(centre.Ask(`{"messages": true}`)), &taken); err != nil {
		t.Fatal(err)
	}
	n.stop()
	first, again := map[message]bool{}, 0
	for _, m := range taken {
		plain := message{To: m.To, Text: m.Text}
		switch {
		case !first[plain]:
			first[plain] = true
		case !m.Resend:
			t.Errorf("%q came again without a mark", m.Text)
		default:
			again++
		}
		if !wanted[plain] {
			t.Errorf("%q was sent, and is no notice", m.Text)
		}
	}
	for m := range wanted {
		if !first[m] {
			t.Errorf("%q is lost", m.Text)
		}
	}
	if len(refs) < 80*kills || again == 0 {
		t.Errorf("%d purchases, %d messages came again", len(refs), again)
	}
	bar.end("kills and cuts %d, %d notices, %d of them again with a mark, %s", kills, len(wanted), again, res)
}
