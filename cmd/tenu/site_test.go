package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// site is a whole installation on this machine: partners, node, and its data.
type site struct {
	*demo
	stop func() // ends the node, and then the partners
	once sync.Once
}

// startSite starts an installation that ends with the test. adapt changes the
// demonstration's configuration; nil leaves it.
func startSite(t testing.TB, adapt func(string) string) *site {
	t.Helper()
	return startLogged(t, adapt, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})))
}

// startLogged is startSite with a log of the test's own.
func startLogged(t testing.TB, adapt func(string) string, log *slog.Logger) *site {
	t.Helper()
	a := &app{out: io.Discard, err: io.Discard, env: noEnv, clock: newSteady(), random: rand.Reader}
	d := &demo{demoCmd: &demoCmd{Dir: filepath.Join(t.TempDir(), "site"), Host: "127.0.0.1", Pauses: true}, app: a, adapt: adapt}
	if err := d.open(t.Context(), log); err != nil {
		t.Fatal(err)
	}
	partners, stopPartners := context.WithCancel(context.Background())
	partnersOver := make(chan struct{})
	go func() { defer close(partnersOver); d.sandbox.run(partners) }()
	serving, stopServing := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- d.node.run(serving, d.at) }()
	s := &site{demo: d, stop: func() {
		stopServing()
		if err := <-over; err != nil {
			t.Errorf("the node ended: %v", err)
		}
		d.node.hangUp()
		http.DefaultClient.CloseIdleConnections()
		stopPartners()
		<-partnersOver
		if err := d.close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}}
	t.Cleanup(s.halt)
	if err := d.ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// halt stops it, unless it was before.
func (s *site) halt() { s.once.Do(s.stop) }

// fault makes the sandbox's charging system meet faults, as `tenu demo` tells to do.
func (s *site) fault(t testing.TB, partner, fault string) {
	t.Helper()
	response, err := http.Post(partner+"/faults", "application/json", strings.NewReader(fault)) //nolint:noctx // of the loopback
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		text, _ := io.ReadAll(response.Body)
		t.Fatalf("fault: %s: %s", response.Status, text)
	}
}

// count counts the rows of a table.
func (s *site) count(t testing.TB, table string) (n int) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.Dir, "tenu.db")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
