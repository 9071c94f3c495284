package e2e

import (
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const pageSize = 4096 // SQLite's

// TestDamagedFile overwrites the heads of pages in the file of a SQLite database
// in which a node has sold: tenu verify reports it.
func TestDamagedFile(t *testing.T) {
	random := seeded(t)
	r, _ := soldOut(t)
	file := strings.TrimPrefix(r.dsn, "sqlite:")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pages, found := r.pages(), 0
	tries := count(20)
	bar := start(t, tries)
	for range tries {
		page := pages[random.IntN(len(pages))]
		overwrite(t, file, random, page)
		output, err := exec.CommandContext(t.Context(), program, "verify", "--config", filepath.Join(r.dir, "n1.yaml")).CombinedOutput()
		if err == nil {
			t.Errorf("page %d of %d is damaged, and tenu verify says: %s", page, len(pages), output)
		} else {
			found++
		}
		if err := os.WriteFile(file, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		bar.step()
	}
	r.verify(filepath.Join(r.dir, "n1.yaml")) // as it was, it is sound
	bar.end("damaged pages %d, found by tenu verify %d", tries, found)
}

// TestDamagedUnderway damages the file under a running node: the node ends by
// itself and says why, and acknowledges nothing from then on.
func TestDamagedUnderway(t *testing.T) {
	random := seeded(t)
	r, n := soldOut(t)
	file := strings.TrimPrefix(r.dsn, "sqlite:")
	n.start()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	for page := 2; page <= int(info.Size()/pageSize); page++ {
		overwrite(t, file, random, page)
	}
	clients := r.crowd(10_000, 16, n)
	select {
	case <-n.done:
	case <-time.After(drainWithin):
		t.Fatalf("the node goes on: %s", n.output.tail())
	}
	if code := n.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("the node ended with code %d", code)
	}
	if said := n.output.tail(); !strings.Contains(said, "the database is damaged: stop, keep its files, and restore a backup") {
		t.Errorf("the node does not say why it ended: %s", said)
	}
	clients.giveUp()
}

// pages are the numbers of those pages of a SQLite database that hold something.
func (r *rig) pages() (numbers []int) {
	r.t.Helper()
	db := r.db()
	defer func() { _ = db.Close() }() // only read
	rows, err := db.QueryContext(r.t.Context(), `SELECT pageno FROM dbstat WHERE ncell > 0`)
	if err != nil {
		r.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var n int
		if err := rows.Scan(&n); err != nil {
			r.t.Fatal(err)
		}
		numbers = append(numbers, n)
	}
	if err := rows.Err(); err != nil || len(numbers) == 0 {
		r.t.Fatalf("the database has %d pages: %v", len(numbers), err)
	}
	return numbers
}

// soldOut is a node that sold and was stopped.
func soldOut(t *testing.T) (*rig, *node) {
	t.Helper()
	r := newSandboxRig(t, "")
	n := r.node("n1", quick)
	n.start()
	refs := r.sell(0, 500, 64, n)
	r.balance(refs, time.Minute)
	n.stop()
	return r, n
}

// overwrite writes noise over the head of a page, which starts at 1; the first
// 100 bytes of the first page are the file's own head.
func overwrite(t *testing.T, file string, random *rand.Rand, page int) {
	t.Helper()
	at := int64(page-1) * pageSize
	if page == 1 {
		at += 100
	}
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 12)
	for i := range noise {
		noise[i] = 0x11 + byte(random.IntN(0x80)) // no kind of page
	}
	if _, err := f.Seek(at, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(noise); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
