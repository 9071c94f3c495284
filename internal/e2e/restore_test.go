package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tenu/internal/purchase"
)

// TestRestoredBackup puts back an older copy of the database, taken while the
// node sold, and starts the node on it. What was open in the copy is settled
// without charging or crediting anybody twice, and no number or key is used
// again. What was bought after the copy is not in the books any more: the
// partners' books have it, and no statement is read yet to tell.
func TestRestoredBackup(t *testing.T) {
	r := newSandboxRig(t, "")
	file := strings.TrimPrefix(r.dsn, "sqlite:")
	backup := filepath.Join(r.dir, "backup.db")
	n := r.node("n1", quick)
	n.start()
	bar := start(t, 1)
	clients := r.crowd(0, 64, n)
	clients.await(t, 300)
	db := r.db()
	if _, err := db.ExecContext(t.Context(), `VACUUM INTO ?`, backup); err != nil {
		t.Fatal(err)
	}
	_ = db.Close()
	clients.await(t, 300)
	before := clients.end()
	r.balance(before, time.Minute)
	n.kill()
	known := map[string]bool{}
	for _, ref := range before {
		known[ref] = true
	}

	for _, name := range []string{file + "-wal", file + "-shm"} {
		if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	if err := os.Rename(backup, file); err != nil {
		t.Fatal(err)
	}
	open := r.open()
	n.start()
	after := r.sell(100_000, 300, 64, n)
	r.settle(time.Minute)
	n.stop()
	for _, ref := range after {
		if known[ref] {
			t.Errorf("%s was used again", ref)
		}
	}
	res := r.compare(after)
	once := moves{charges: 1, credits: 1}
	for id, m := range res.strangers {
		if m != once {
			t.Errorf("the partners have %+v of purchase %d, which was lost", m, id)
		}
	}
	if res.states[purchase.Credited] != res.purchases || len(res.strangers) == 0 || open == 0 {
		t.Errorf("the copy was not taken in the thick of it: %d open, %d lost, %v", open, len(res.strangers), res.states)
	}
	bar.end("purchases open in the copy %d, lost after it %d, %s", open, len(res.strangers), res)
}
