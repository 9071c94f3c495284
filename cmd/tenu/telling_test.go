package main

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	netmail "net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"tenu/internal/hook"
	"tenu/internal/incident"
)

// hearer is a mail server, and another system over HTTPS.
type hearer struct {
	mu     sync.Mutex
	mails  map[string][]string // subjects, by mailbox
	events []string
}

// NewSession is smtp.Backend.
func (h *hearer) NewSession(*smtp.Conn) (smtp.Session, error) { return &mailing{h: h}, nil }

// mailing is one mail.
type mailing struct {
	h  *hearer
	to string
}

func (*mailing) Mail(string, *smtp.MailOptions) error { return nil }
func (*mailing) Reset()                               {}
func (*mailing) Logout() error                        { return nil }

func (m *mailing) Rcpt(to string, _ *smtp.RcptOptions) error {
	m.to = to
	return nil
}

func (m *mailing) Data(r io.Reader) error {
	letter, err := netmail.ReadMessage(r)
	if err != nil {
		return err
	}
	m.h.mu.Lock()
	defer m.h.mu.Unlock()
	m.h.mails[m.to] = append(m.h.mails[m.to], letter.Header.Get("Subject"))
	_, err = io.Copy(io.Discard, letter.Body)
	return err
}

// ServeHTTP takes a webhook.
func (h *hearer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var event struct{ Type string }
	if err := json.Unmarshal(body, &event); err != nil || hook.Verify(r.Header.Get(hook.HeaderSignature), body, time.Now(), []byte(strings.Repeat("s", 32))) != nil {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, event.Type)
}

// A real installation tells operations by mail, another system by webhook, and the regulator by mail; the incident says that it did.
func TestTelling(t *testing.T) {
	h := &hearer{mails: map[string][]string{}}
	web := httptest.NewTLSServer(h)
	t.Cleanup(web.Close)
	certificate := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(filepath.Dir(certificate), "secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("s", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	server := smtp.NewServer(h)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() { defer close(over); _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close(); <-over })
	s := startSite(t, func(text string) string {
		host := strings.TrimPrefix(web.URL, "https://")
		return text + "mail: {server: \"" + listener.Addr().String() + "\", security: none, from: tenu@tenu.example}\n" +
			"incidents: {mail: [noc@operator.example], regulator: {mail: [arcep@regulator.example], lasts: 1s, within: 1h}}\n" +
			"webhooks:\n  ca: " + certificate + "\n  targets: [{host: \"" + host + "\", secrets: [\"file:" + secret + "\"], private: true}]\n" +
			"  listeners: [{name: noc, about: incidents, url: \"" + web.URL + "/\"}]\n"
	})
	soon(t, "the listeners", 10*time.Second, func() bool {
		all, err := s.node.store.IncidentEvents().Listeners(t.Context())
		return err == nil && len(all) == 3
	})
	now := s.app.clock.Now()
	if err := s.node.incidents.Record(t.Context(), now, incident.Finding{Series: incident.Series{By: incident.ByProvider, Name: "ocs"}, Rule: incident.RuleSlowBurn, Since: now, At: now, Detail: "slow"}); err != nil {
		t.Fatal(err)
	}
	soon(t, "the notice is noted as sent", 30*time.Second, func() bool {
		i := s.open(t)
		o := i.Owes("own-regulator")
		return o != nil && o.Kept()
	})
	soon(t, "everybody heard", 20*time.Second, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.mails["noc@operator.example"]) == 2 && slices.Contains(h.events, "IncidentNoticeEvent")
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	if mails := h.mails["noc@operator.example"]; mails[0] != "tenu I-1: provider ocs" || mails[1] != "Re: tenu I-1: provider ocs" {
		t.Errorf("operations got %q", mails)
	}
	if mails := h.mails["arcep@regulator.example"]; len(mails) != 1 {
		t.Errorf("the regulator got %q", mails)
	}
	if h.events[0] != "IncidentOpenedEvent" {
		t.Errorf("told %q", h.events)
	}
}
