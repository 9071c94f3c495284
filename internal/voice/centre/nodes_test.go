package centre_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"tenu/internal/auth"
	"tenu/internal/store"
	"tenu/internal/voice/centre"
)

// Two nodes on one database give every caller an agent, and no agent two callers at once.
func TestNodesOnOneDatabase(t *testing.T) {
	const agents, callers = 3, 40
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "tenu.db")
	if _, _, err := store.Migrate(t.Context(), dsn, store.Options{}); err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	var running, together sync.WaitGroup
	var nodes [2]*centre.Queue
	for i := range nodes {
		s, err := store.Open(t.Context(), dsn, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		nodes[i] = centre.New(centre.Config{Store: s, Clock: clock{}, Node: fmt.Sprint(i), WrapFor: -1})
		running.Go(func() { nodes[i].Run(ctx) })
	}
	defer running.Wait()
	defer end()
	for id := range auth.StaffID(agents) {
		if err := nodes[id%2].Sign(ctx, id+1, fmt.Sprint("20", id)); err != nil {
			t.Fatal(err)
		}
	}
	var talks sync.Map
	for i := range callers {
		together.Go(func() {
			q := nodes[i%2]
			p, err := q.Enter(centre.Waiter{Call: fmt.Sprint(i)})
			if err != nil {
				t.Error(err)
				return
			}
			var a centre.Agent
			select {
			case a = <-p.Given():
			case <-time.After(time.Minute):
				t.Errorf("caller %d waits for ever: %+v", i, q.Standing())
				return
			}
			if a, err = q.Take(ctx, a); err != nil {
				t.Error(err)
				return
			}
			if other, talks := talks.LoadOrStore(a.Staff, i); talks {
				t.Errorf("agent %d speaks with %v, and with %d", a.Staff, other, i)
			}
			time.Sleep(time.Millisecond)
			talks.Delete(a.Staff)
			if err := q.Over(ctx, a); err != nil {
				t.Error(err)
			}
		})
	}
	together.Wait()
}
