package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tenu/internal/money"
	"tenu/internal/purchase"
	"tenu/internal/store"
	"tenu/internal/testpeer"
)

// traced are the system calls on a database's files that are made to fail.
const traced = "pread64,pwrite64,fsync,fdatasync,ftruncate,fallocate,unlink"

// ioCall is one of a thread's system calls: its name, and which of that name.
type ioCall struct {
	name  string
	count int
}

var calledName = regexp.MustCompile(`(?m)^\d+ +(\w+)\(`)

// strace runs a program with arguments under strace, which logs the calls on a
// SQLite database, and injects what is asked for.
func strace(t *testing.T, path, log, inject string, program ...string) *exec.Cmd {
	t.Helper()
	arguments := []string{"-f", "--seccomp-bpf", "-qq", "-o", log, "-P", path, "-P", path + "-wal", "-P", path + "-shm", "-e", "trace=" + traced}
	if inject != "" {
		arguments = append(arguments, "-e", "inject="+inject)
	}
	return exec.Command(testpeer.Strace(t), append(arguments, program...)...) //nolint:noctx // it is signalled, not cancelled
}

// TestDiskFails lets each of the first 200 calls of a sale on its database's
// files fail, one per run, with EIO and ENOSPC by turns (in make soak, every call
// with both). The sale goes on by what the store says; opened again, the
// database holds all that was acknowledged.
func TestDiskFails(t *testing.T) {
	dir := t.TempDir()
	template := filepath.Join(dir, "template.db")
	if _, _, err := store.Migrate(t.Context(), "sqlite:"+template, store.Options{}); err != nil {
		t.Fatal(err)
	}
	whole := newDiskRun(t, template, filepath.Join(dir, "whole"))
	whole.sell("")
	counts := map[string]int{}
	var calls []ioCall
	for _, call := range calledName.FindAllSubmatch(whole.trace, -1) {
		counts[string(call[1])]++
		calls = append(calls, ioCall{string(call[1]), counts[string(call[1])]})
	}
	turns := 2
	if count(1) == 1 {
		turns, calls = 1, calls[:min(200, len(calls))]
	}
	if len(calls) < 200 {
		t.Fatalf("the sale makes %d calls only: %v", len(calls), counts)
	}
	bar := start(t, len(calls)*turns)
	var mu sync.Mutex
	hit, acknowledged, doubts := map[string]int{}, 0, 0
	next := make(chan int)
	var workers sync.WaitGroup
	for range runtime.NumCPU() {
		workers.Go(func() {
			for i := range next {
				call, fault := calls[i/turns], []string{"EIO", "ENOSPC"}[i%2]
				if call.name == "pread64" {
					fault = "EIO" // reading needs no space
				}
				run := newDiskRun(t, template, filepath.Join(dir, fmt.Sprint(i)))
				run.sell(fmt.Sprintf("%s:error=%s:when=%d", call.name, fault, call.count))
				mu.Lock()
				hit[call.name+" "+fault]++
				acknowledged += run.acknowledged
				doubts += run.doubts
				mu.Unlock()
				bar.step()
			}
		})
	}
	for i := range len(calls) * turns {
		next <- i
	}
	close(next)
	workers.Wait()
	bar.end("calls failed one by one %v, changes acknowledged %d, commits in doubt %d", hit, acknowledged, doubts)
}

// TestServeOnFailingDisk lets a node sell while every so often a write or flush
// of its SQLite database fails. Like a supervisor, the test starts it again where
// it ends.
func TestServeOnFailingDisk(t *testing.T) {
	for _, fault := range []string{"EIO", "ENOSPC"} {
		t.Run(fault, func(t *testing.T) {
			r := newSandboxRig(t, "")
			n := r.node("n1", quick)
			path, log := strings.TrimPrefix(r.dsn, "sqlite:"), filepath.Join(r.dir, "trace")
			inject := "pwrite64,fsync,ftruncate:error=" + fault + ":when=100+197"
			n.under = append(strace(t, path, log, inject).Args, "-D")
			n.start()
			sales := count(20)
			bar := start(t, sales)
			clients, ended := r.crowd(0, 64, n), 0
			for range sales {
				clients.await(t, 60)
				ended += n.revive()
				bar.step()
			}
			refs := clients.end()
			n.signal(syscall.SIGTERM)
			<-n.done
			trace, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			n.under = nil
			n.start()
			res := r.balance(refs, time.Minute)
			n.stop()
			failed := bytes.Count(trace, []byte("(INJECTED)"))
			bar.end("calls failed with %s: %d, node ended %d times, %s", fault, failed, ended, res)
			if failed == 0 {
				t.Error("no call failed")
			}
		})
	}
}

// diskRun is a sale into a database of its own.
type diskRun struct {
	t            *testing.T
	dir, path    string
	trace        []byte
	acknowledged int // changes
	doubts       int // commits without an answer
}

func newDiskRun(t *testing.T, template, dir string) *diskRun {
	t.Helper()
	r := &diskRun{t: t, dir: dir, path: filepath.Join(dir, "tenu.db")}
	data, err := os.ReadFile(template)
	if err == nil {
		err = os.Mkdir(dir, 0o750)
	}
	if err == nil {
		err = os.WriteFile(r.path, data, 0o600)
	}
	if err != nil {
		t.Error(err)
	}
	return r
}

// sell runs the sale with at most one failing call, and checks what it left.
func (r *diskRun) sell(inject string) {
	log := filepath.Join(r.dir, "log")
	sale := strace(r.t, r.path, log, inject, os.Args[0])
	sale.Env = append(os.Environ(), diskSale+"="+r.path)
	var said, complaint bytes.Buffer
	sale.Stdout, sale.Stderr = &said, &complaint
	err := sale.Run()
	if err != nil {
		r.t.Errorf("%s: the sale did not end well: %v: %s", inject, err, complaint.String())
	}
	if r.trace, err = os.ReadFile(log); err != nil {
		r.t.Error(err)
	}
	if n := bytes.Count(r.trace, []byte("(INJECTED)")); inject != "" && n != 1 {
		r.t.Errorf("%s: %d calls failed", inject, n)
	}
	r.doubts = strings.Count(complaint.String(), "in doubt")
	if r.acknowledged, err = kept(r.path, &said); err != nil {
		r.t.Errorf("%s: %v\n%s", inject, err, complaint.String())
		return
	}
	_ = os.RemoveAll(r.dir) // it is only for looking at when something is wrong
}

// kept opens a database again and compares it with what was acknowledged, as
// lines of purchase and version.
func kept(path string, said *bytes.Buffer) (acknowledged int, err error) {
	versions := map[purchase.ID]int64{}
	for lines := bufio.NewScanner(said); lines.Scan(); acknowledged++ {
		var id purchase.ID
		var version int64
		if _, err := fmt.Sscan(lines.Text(), &id, &version); err != nil {
			return acknowledged, err
		}
		versions[id] = version
	}
	ctx := context.Background()
	s, err := store.Open(ctx, "sqlite:"+path, store.Options{})
	if err != nil {
		return acknowledged, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	records, err := s.Load(ctx, slices.Collect(maps.Keys(versions))...)
	if err != nil {
		return acknowledged, err
	}
	for i := range records {
		p := &records[i].Purchase
		if p.Version < versions[p.ID] {
			return acknowledged, fmt.Errorf("version %d of purchase %d was acknowledged, %d is stored", versions[p.ID], p.ID, p.Version)
		}
		delete(versions, p.ID)
	}
	if len(versions) > 0 || acknowledged == 0 {
		return acknowledged, fmt.Errorf("of %d acknowledged changes, purchases %v are lost", acknowledged, versions)
	}
	violations, err := s.Verify(ctx, store.Verification{Now: purchase.At(time.Now())})
	if len(violations) > 0 {
		err = errors.Join(err, fmt.Errorf("violated: %v", violations))
	}
	if err == nil {
		_, err = s.Acquire(ctx, "next")
	}
	return acknowledged, err
}

// diskSale names, in the environment, the database of a sale that this test
// binary runs instead of its tests.
const diskSale = "TENU_E2E_DISK"

// diskSteps are how often each purchase of a sale changes: intent, charge, credit.
const diskSteps, diskRounds = 3, 6

// sellToDisk sells into a SQLite database, and prints each change that it may
// acknowledge. All of its calls on files come from one thread, so that strace
// can count them.
func sellToDisk(path string) (code int) {
	runtime.LockOSThread()
	if err := diskSell(path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func diskSell(path string) error {
	s, err := insist(func() (*store.Store, error) {
		return store.Open(context.Background(), "sqlite:"+path, store.Options{})
	})
	if err != nil {
		return err
	}
	lease, err := insist(func() (purchase.Lease, error) { return s.Acquire(context.Background(), "node") })
	if err != nil {
		return err
	}
	able := purchase.Capability{Supported: true, Query: true, Lateness: time.Minute, Timeout: time.Second}
	terms := purchase.Terms{Rules: purchase.DefaultRules(),
		Capability: func(string, purchase.Leg) purchase.Capability { return able },
		Alternate:  func(*purchase.Purchase) string { return "" }}
	var open []purchase.Purchase
	now := purchase.At(time.Now())
	for round := range diskRounds + diskSteps - 1 {
		var changes []purchase.Change
		for i := range open {
			leg := []purchase.Leg{purchase.Charge, purchase.Credit}[open[i].Version-1]
			changes = append(changes, diskStep(&terms, &open[i], leg, now).Change)
		}
		if n := int64(round + 1); n <= diskRounds {
			line := purchase.MSISDN(22670000000 + n)
			r := purchase.Request{Client: "app", ClientKey: fmt.Sprint(n), Channel: "app", Language: "fr", PayerNumber: line, Recipient: line,
				Payer: "wallet", Provider: "ocs", Product: "airtime", Offer: 1, Total: 1050, Fee: 50, Units: 1000, Currency: money.XOF}
			changes = append(changes, terms.Begin(&r, purchase.MakeID(0, n), lease.Epoch, now).Change)
		}
		if err := diskCommit(s, lease.Epoch, changes); err != nil {
			return err
		}
		open = open[:0]
		for i := range changes {
			p := changes[i].Now
			fmt.Println(int64(p.ID), p.Version)
			if !p.State.Final() {
				open = append(open, p)
			}
		}
	}
	_ = s.Close() // all is durable; what the close leaves undone is done by the next open
	return nil
}

// diskStep is the change that the partner's word "done" makes.
func diskStep(terms *purchase.Terms, p *purchase.Purchase, leg purchase.Leg, now purchase.Instant) *purchase.Step {
	amount := money.Amount{Minor: p.Total, Currency: money.XOF}
	if leg == purchase.Credit {
		amount.Minor = p.Units
	}
	step := terms.Next(p, purchase.Event{Leg: leg, Source: purchase.FromAnswer,
		Outcome: purchase.Outcome{Kind: purchase.Done, Ref: fmt.Sprint(leg, p.ID), Amount: amount}}, now, false, p.Epoch)
	for _, fact := range step.Facts {
		if fact != purchase.FactReceived {
			step.Change.Notices = append(step.Change.Notices, purchase.Notice{Purchase: p.ID, Fact: fact, To: p.PayerNumber,
				Language: p.Language, Text: fact.String(), At: now})
		}
	}
	return step
}

// diskCommit commits as the engine does: again what was not written, and what is
// in doubt is read back.
func diskCommit(s *store.Store, epoch int64, changes []purchase.Change) error {
	for try := 1; ; try++ {
		verdicts, err := s.Commit(context.Background(), epoch, changes)
		switch {
		case err == nil:
			for i, v := range verdicts {
				if v.Result != purchase.Written {
					return fmt.Errorf("change %d: %+v", i, v)
				}
			}
			return nil
		case errors.Is(err, purchase.ErrCommitUnknown):
			fmt.Fprintln(os.Stderr, "in doubt:", err)
			written, err := diskWritten(s, changes)
			if err != nil || written {
				return err
			}
		case !errors.Is(err, purchase.ErrUnavailable) || try == 3:
			return err
		}
	}
}

// diskWritten reads changes back: all of them are there, or none.
func diskWritten(s *store.Store, changes []purchase.Change) (bool, error) {
	found := 0
	for i := range changes {
		records, err := insist(func() ([]purchase.Record, error) { return s.Load(context.Background(), changes[i].Now.ID) })
		if err != nil {
			return false, err
		}
		if len(records) == 1 && records[0].Purchase.Version == changes[i].Now.Version {
			found++
		}
	}
	if found != 0 && found != len(changes) {
		return false, fmt.Errorf("of a batch of %d changes, %d were written", len(changes), found)
	}
	return found > 0, nil
}

// insist tries again what was unavailable: only one call fails.
func insist[T any](do func() (T, error)) (v T, err error) {
	for range 3 {
		if v, err = do(); !errors.Is(err, purchase.ErrUnavailable) && !errors.Is(err, purchase.ErrCommitUnknown) {
			return v, err
		}
	}
	return v, err
}
