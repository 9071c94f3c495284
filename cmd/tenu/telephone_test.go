package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"tenu/internal/console"
	"tenu/internal/purchase"
	"tenu/internal/voice/centre"
)

// exchange is a telephone line as a browser's test speaks to it: callers wait, telephones are answered, calls end.
type exchange struct {
	*centre.Queue
	site  *site
	calls map[string]centre.Agent
}

func (e *exchange) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := r.FormValue("call")
	var err error
	switch r.URL.Path {
	case "/wait":
		var place *centre.Place
		number, _, parsed := e.site.node.parts.directory.Parse(r.FormValue("number"))
		if place, err = e.Enter(centre.Waiter{Call: call, Number: number}); err != nil || parsed != nil {
			break
		}
		select {
		case e.calls[call] = <-place.Given():
		case <-r.Context().Done():
		}
	case "/take":
		_, err = e.Take(r.Context(), e.calls[call])
	case "/over":
		a, now := e.calls[call], e.site.app.clock.Now()
		err = e.Over(r.Context(), a)
		if err == nil {
			err = e.site.node.store.AddCalls(r.Context(), []centre.Call{{ID: call, Trunk: "carrier", Number: a.Number, Language: "fr", Staff: a.Staff,
				At: a.Since.Add(-8 * time.Second), Answered: a.Since.Add(-7 * time.Second), Queued: a.Since.Add(-5 * time.Second), Taken: a.Since, Ended: now, Release: centre.Spoken}}, nil)
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
	}
}

// morning keeps calls of strangers, so that the board has figures to show.
func (e *exchange) morning(t *testing.T) {
	t.Helper()
	now := e.site.app.clock.Now()
	var calls []centre.Call
	for release, n := range map[centre.Release]int{centre.Informed: 181, centre.Reported: 14, centre.Promised: 9, centre.Spoken: 22, centre.Abandoned: 6} {
		for i := range n {
			at := now.Add(-time.Duration(i+1) * 10 * time.Second)
			c := centre.Call{ID: string(release) + strconv.Itoa(i), Trunk: "carrier", Language: "fr", At: at, Answered: at.Add(time.Second), Ended: at.Add(45 * time.Second), Release: release}
			if release == centre.Spoken {
				c.Queued, c.Taken, c.Staff = at.Add(8*time.Second), at.Add(time.Duration(12+2*i)*time.Second), 1
				c.Ended = c.Taken.Add(2 * time.Minute)
			}
			calls = append(calls, c)
		}
	}
	if err := e.site.node.store.AddCalls(t.Context(), calls, nil); err != nil {
		t.Fatal(err)
	}
}

// TestConsoleTelephone drives what agents see of the telephone line in a real browser: the bar, the customer on the line, the
// board, with and without scripts.
func TestConsoleTelephone(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	secret, err := secret(t.Context(), s.app, s.node.store)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := purchase.NewKeyring(secret)
	if err != nil {
		t.Fatal(err)
	}
	var c *console.Console
	e := &exchange{site: s, calls: map[string]centre.Agent{}}
	e.Queue = centre.New(centre.Config{Store: s.node.store, Clock: s.app.clock, RingFor: time.Hour, WrapFor: time.Minute, Changed: func(a centre.Agent) { c.AgentChanged(a) }})
	cfg := s.node.consoleOf(keys, secret)
	cfg.Line = &console.Line{Agents: e, Record: s.node.store, Dials: true}
	if c, err = console.New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{}, 2)
	go func() { e.Run(ctx); over <- struct{}{} }()
	go func() { c.Run(ctx); over <- struct{}{} }()
	pages, line := httptest.NewServer(c), httptest.NewServer(e)
	t.Cleanup(func() {
		c.Drain()
		pages.Close()
		line.Close()
		cancel()
		<-over
		<-over
	})
	s.bought(t, "+22670112255", 1050)
	e.morning(t)
	browse(t, "telephone.js", map[string]any{"console": pages.URL, "line": line.URL, "password": s.password, "viewport": map[string]int{"width": 1440, "height": 900}})
}
