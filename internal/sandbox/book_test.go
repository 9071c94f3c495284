package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"tenu/internal/purchase"
)

func openTestBook(t testing.TB, path string) *Book {
	t.Helper()
	b, err := OpenBook(context.Background(), &chargingClock{}, path, "MP")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func add(t testing.TB, b *Book, m Movement) Movement {
	t.Helper()
	if err := b.Do(t.Context(), func(p *Page) error { return p.AddMovement(&m) }); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestBookIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a name with spaces?#%.db")
	b := openTestBook(t, path)
	first := add(t, b, Movement{Key: "k", Leg: "charge", Number: "22670112233", Amount: 1050, Currency: "XOF", Product: "airtime",
		Status: StatusDone, Reason: "r", Original: "o", Note: "n", At: 5, Moved: 6})
	if err := b.Do(t.Context(), func(p *Page) error {
		return errors.Join(p.PutAccount(Account{"22670112233", "XOF", 7, "XOF", "available", 8, 9}), p.AddDue(10, "kind", "data"))
	}); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = openTestBook(t, path)
	if got, err := b.Movement(t.Context(), first.Ref); err != nil || got != first || got.Ref != "MP0000000001" {
		t.Errorf("got %+v, %v, want %+v", got, err, first)
	}
	if got, err := b.Account(t.Context(), "22670112233", "XOF"); err != nil || got != (Account{"22670112233", "XOF", 7, "XOF", "available", 8, 9}) {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := b.DueBy(t.Context(), 10, 9); err != nil || len(got) != 1 || got[0] != (Due{1, 10, "kind", "data"}) {
		t.Errorf("got %+v, %v", got, err)
	}
	if next := add(t, b, Movement{}); next.Ref != "MP0000000002" {
		t.Errorf("the next reference is %s", next.Ref)
	}
	for _, ref := range []string{"", "MP", "MP1", "XX0000000001", "MP0000000003", "MP99999999999999999999"} {
		if got, err := b.Movement(t.Context(), ref); !errors.Is(err, ErrNoEntry) {
			t.Errorf("%q: got %+v, %v", ref, got, err)
		}
	}
}

func TestWritesOfAFailedTaskAreUndone(t *testing.T) {
	b := openTestBook(t, filepath.Join(t.TempDir(), "book.db"))
	sorry := errors.New("sorry")
	var wg sync.WaitGroup
	for i := range 50 { // some of them share a transaction
		wg.Go(func() {
			err := b.Do(t.Context(), func(p *Page) error {
				if err := p.AddMovement(&Movement{Key: fmt.Sprint(i % 2)}); err != nil {
					return err
				}
				if i%2 == 1 {
					return sorry
				}
				return nil
			})
			if (i%2 == 1) != errors.Is(err, sorry) {
				t.Errorf("task %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	good, err := b.ByKey(t.Context(), "0")
	bad, err2 := b.ByKey(t.Context(), "1")
	if len(good) != 25 || len(bad) != 0 || errors.Join(err, err2) != nil {
		t.Fatalf("%d and %d are there, %v", len(good), len(bad), errors.Join(err, err2))
	}
	if last := good[24]; last.Seq != 25 {
		t.Errorf("the last has number %d, want no gaps", last.Seq)
	}
}

func TestTasksFollowEachOther(t *testing.T) {
	b := openTestBook(t, filepath.Join(t.TempDir(), "book.db"))
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if err := b.Do(t.Context(), func(p *Page) error {
				a, err := p.Account(t.Context(), "1", "XOF")
				if err != nil && !errors.Is(err, ErrNoEntry) {
					return err
				}
				return p.PutAccount(Account{Number: "1", Pocket: "XOF", Balance: a.Balance + 1})
			}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if a, err := b.Account(t.Context(), "1", "XOF"); err != nil || a.Balance != 200 {
		t.Errorf("got %+v, %v, want 200", a, err)
	}
}

// fullDisk is a journal on a disk with little room.
type fullDisk struct {
	journal
	room int64
}

func (d *fullDisk) WriteAt(data []byte, at int64) (int, error) {
	if left := max(d.room-at, 0); int64(len(data)) > left {
		n, err := d.journal.WriteAt(data[:left], at)
		return n, errors.Join(syscall.ENOSPC, err)
	}
	return d.journal.WriteAt(data, at)
}

// A disk that is full fails the tasks, and harms nothing that was written.
func TestFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "book")
	b := openTestBook(t, path)
	disk := &fullDisk{b.file, 20_000}
	b.file = disk // nothing is under way
	written := 0
	for range 100 {
		if b.Do(t.Context(), func(p *Page) error { return p.AddMovement(&Movement{Key: "k", Note: strings.Repeat("n", 3000)}) }) != nil {
			break
		}
		written++
	}
	if written == 100 {
		t.Fatal("the disk is never full")
	}
	disk.room = 1 << 30
	add(t, b, Movement{Key: "k"})
	for range 2 {
		if got, err := b.ByKey(t.Context(), "k"); err != nil || len(got) != written+1 || got[written].Seq != int64(written+1) {
			t.Errorf("%d are there, %v, want %d", len(got), err, written+1)
		}
		_ = b.Close()
		b = openTestBook(t, path)
	}
}

// What a process was writing when it died is as if it had not begun.
func TestTornJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "book")
	b := openTestBook(t, path)
	for i := range 3 {
		add(t, b, Movement{Key: fmt.Sprint(i)})
	}
	_ = b.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(whole) {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		b := openTestBook(t, path)
		kept := bytes.Count(whole[:cut], []byte("\n"))
		if m := add(t, b, Movement{}); m.Seq != int64(kept+1) {
			t.Fatalf("cut at byte %d: the next is %d, want %d", cut, m.Seq, kept+1)
		}
		_ = b.Close()
	}
	for name, text := range map[string]string{"damage": "[{]\n", "gap": `[{"movement":{"seq":2}}]` + "\n", "another file": "SQLite format 3\n"} {
		if err := os.WriteFile(path, []byte(text+string(whole)), 0o600); err != nil {
			t.Fatal(err)
		}
		if b, err := OpenBook(context.Background(), &chargingClock{}, path, "MP"); err == nil {
			_ = b.Close()
			t.Errorf("%s: opened", name)
		}
	}
}

func TestBookIsForOneProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "book")
	openTestBook(t, path)
	if b, err := OpenBook(context.Background(), &chargingClock{}, path, "MP"); err == nil {
		_ = b.Close()
		t.Error("opened twice at once")
	}
}

func TestClosedBook(t *testing.T) {
	b := openTestBook(t, filepath.Join(t.TempDir(), "book.db"))
	over, cancel := context.WithCancel(t.Context())
	cancel()
	_ = b.Do(over, func(p *Page) error { return p.AddMovement(&Movement{}) }) // may be either
	if err := errors.Join(b.Close(), b.Close()); err != nil && !strings.Contains(err.Error(), "closed") {
		t.Error(err)
	}
	for range 2 * maxBatch { // more than the queue holds
		if err := b.Do(t.Context(), func(*Page) error { t.Error("ran"); return nil }); !errors.Is(err, ErrClosed) {
			t.Fatalf("got %v", err)
		}
	}
}

// BenchmarkBook measures durable movements of concurrent callers, each as a
// wallet's charge does it: look for the key, read the account, write both.
func BenchmarkBook(b *testing.B) {
	book := openTestBook(b, filepath.Join(b.TempDir(), "book.db"))
	ctx := context.Background()
	var wg sync.WaitGroup
	work := make(chan int)
	for range 256 {
		wg.Go(func() {
			for i := range work {
				number := purchase.MSISDN(22670000000 + i).String()
				err := book.Do(ctx, func(p *Page) error {
					if had, err := p.ByKey(ctx, number); err != nil || len(had) > 0 {
						return errors.Join(err, errors.New("had"))
					}
					a, err := p.Account(ctx, number, "XOF")
					if errors.Is(err, ErrNoEntry) {
						a, err = Account{Number: number, Pocket: "XOF", Balance: 100_000, Unit: "XOF", Status: "available"}, nil
					}
					a.Balance -= 1050
					m := Movement{Key: number, Leg: "charge", Number: number, Amount: 1050, Currency: "XOF", Status: StatusDone, At: 1, Moved: 1}
					return errors.Join(err, p.PutAccount(a), p.AddMovement(&m), p.AddDue(1, "callback", m.Ref))
				})
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	b.ResetTimer()
	for i := range b.N {
		work <- i
	}
	close(work)
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "movements/s")
}
