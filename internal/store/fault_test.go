package store_test

import (
	"bytes"
	"database/sql"
	"errors"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tenu/internal/purchase"
	"tenu/internal/store"
	"tenu/internal/storetest"
	"tenu/internal/testpeer"
)

// The file cannot grow any more: what COMMIT writes fails half way. Another
// process holds the file: nothing begins.
func TestSQLiteFaults(t *testing.T) {
	storetest.RunFaults(t, func(t testing.TB) (storetest.Subject, []storetest.Fault) {
		path := filepath.Join(t.TempDir(), "tenu.db")
		fresh(t, "sqlite:"+path)
		s, err := store.Open(t.Context(), "sqlite:"+path, store.Options{Patience: 20 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return storetest.Subject{Store: s}, []storetest.Fault{fullDisk(path), lockedFile(t, path)}
	})
}

// fullDisk lets no file grow beyond what the log has now and a page.
func fullDisk(path string) storetest.Fault {
	var before syscall.Rlimit
	return storetest.Fault{Name: "full disk", Want: purchase.ErrCommitUnknown,
		Break: func(t testing.TB) {
			signal.Ignore(syscall.SIGXFSZ)
			log, err := os.Stat(path + "-wal")
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
				t.Fatal(err)
			}
			limit := syscall.Rlimit{Cur: uint64(log.Size()) + 4096, Max: before.Max}
			if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
				t.Fatal(err)
			}
		},
		Mend: func(t testing.TB) {
			if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
				t.Fatal(err)
			}
			signal.Reset(syscall.SIGXFSZ)
		}}
}

func lockedFile(t testing.TB, path string) storetest.Fault {
	t.Helper()
	db, err := sql.Open("sqlite", path+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	var tx *sql.Tx
	return storetest.Fault{Name: "locked file", Want: purchase.ErrUnavailable,
		Break: func(t testing.TB) {
			if tx, err = db.BeginTx(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		},
		Mend: func(t testing.TB) {
			if err := tx.Rollback(); err != nil {
				t.Fatal(err)
			}
		}}
}

// The connection is cut by the network: before anything is asked, before COMMIT
// reaches the server, and before its answer reaches us.
func TestPostgresFaults(t *testing.T) {
	storetest.RunFaults(t, func(t testing.TB) (storetest.Subject, []storetest.Fault) {
		link, _ := linked(t)
		fault := func(name string, cut func([]byte) cut, f storetest.Fault) storetest.Fault {
			f.Name, f.Break, f.Mend = name, func(testing.TB) { link.set(cut) }, func(testing.TB) { link.set(nil) }
			return f
		}
		at := func(c cut) func([]byte) cut {
			return func(sent []byte) cut {
				if bytes.Contains(sent, []byte("commit\x00")) {
					return c
				}
				return pass
			}
		}
		s := open(t, link.dsn)
		return storetest.Subject{Store: s}, []storetest.Fault{
			fault("no connection", func([]byte) cut { return cutBefore }, storetest.Fault{Want: purchase.ErrUnavailable}),
			fault("cut before COMMIT", at(cutBefore), storetest.Fault{Want: purchase.ErrCommitUnknown, Lost: true}),
			fault("cut after COMMIT", at(cutAfter), storetest.Fault{Want: purchase.ErrCommitUnknown, Written: true}),
		}
	})
}

// A takeover waits for a commit that had passed the fence before it: the new
// purchase is moved with the others.
func TestPostgresTakeoverWaitsForACommit(t *testing.T) {
	link, dsn := linked(t)
	slow, quick := open(t, link.dsn), open(t, dsn)
	lost, err := slow.Acquire(t.Context(), "slow")
	if err != nil {
		t.Fatal(err)
	}
	heir, err := quick.Acquire(t.Context(), "quick")
	if err != nil {
		t.Fatal(err)
	}
	held, release := make(chan struct{}), make(chan struct{})
	link.set(func(sent []byte) cut {
		if bytes.Contains(sent, []byte("commit\x00")) {
			close(held)
			<-release
		}
		return pass
	})
	var both sync.WaitGroup
	both.Go(func() {
		p := purchase.Purchase{ID: 1, Version: 1, Epoch: lost.Epoch, State: purchase.Charging, DueAt: 1, Request: purchase.Request{Total: 2, Fee: 1, Units: 1}}
		verdicts, err := slow.Commit(t.Context(), lost.Epoch, []purchase.Change{{Now: p}})
		if err != nil || verdicts[0].Result != purchase.Written {
			t.Errorf("commit: %+v, %v", verdicts, err)
		}
	})
	<-held
	taken := make(chan struct{})
	both.Go(func() {
		defer close(taken)
		if moved, err := quick.Takeover(t.Context(), lost, heir.Epoch, 10); err != nil || moved != 1 {
			t.Errorf("takeover moved %d, %v", moved, err)
		}
	})
	if !waits(t, dsn, taken) {
		t.Error("the takeover did not wait for the commit")
	}
	link.set(nil)
	close(release)
	both.Wait()
}

// waits reports whether a session of the database comes to wait for a lock
// before something else is over.
func waits(t *testing.T, dsn string, over <-chan struct{}) bool {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for {
		var waiting int
		if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
		if waiting > 0 {
			return true
		}
		select {
		case <-over:
			return false
		default:
		}
	}
}

// A server that was restarted while nobody wrote costs no commit.
func TestPostgresConnectionsThatWereLost(t *testing.T) {
	link, _ := linked(t)
	s, lease := held(t, link)
	for i := range int64(4) {
		link.cutAll()
		if err := s.Renew(t.Context(), lease.Epoch); err != nil {
			t.Errorf("renew %d over a lost connection: %v", i, err)
		}
		link.cutAll()
		p := purchase.Purchase{ID: purchase.ID(i + 1), Version: 1, Epoch: lease.Epoch, State: purchase.Charging, DueAt: 1,
			Request: purchase.Request{ClientKey: string(rune('a' + i)), Total: 2, Fee: 1, Units: 1}}
		verdicts, err := s.Commit(t.Context(), lease.Epoch, []purchase.Change{{Now: p}})
		if err != nil || verdicts[0].Result != purchase.Written {
			t.Errorf("commit %d over a lost connection: %+v, %v", i, verdicts, err)
		}
	}
}

// A commit that is undone because its lease was lost, over a connection that is
// lost as well, says what it says over a good one.
func TestPostgresConnectionLostWhileUndoing(t *testing.T) {
	link, _ := linked(t)
	s, lease := held(t, link)
	p := purchase.Purchase{ID: 1, Version: 1, State: purchase.Charging, DueAt: 1,
		Request: purchase.Request{ClientKey: "a", Total: 2, Fee: 1, Units: 1}}
	link.set(func(sent []byte) cut {
		if bytes.Contains(sent, []byte("rollback\x00")) {
			return cutBefore
		}
		return pass
	})
	for range 2 {
		if _, err := s.Commit(t.Context(), lease.Epoch+1, []purchase.Change{{Now: p}}); !errors.Is(err, purchase.ErrFenced) {
			t.Errorf("commit under a lease that is not ours: %v", err)
		}
	}
	p.Epoch = lease.Epoch
	verdicts, err := s.Commit(t.Context(), lease.Epoch, []purchase.Change{{Now: p}})
	if err != nil || verdicts[0].Result != purchase.Written {
		t.Errorf("commit after it: %+v, %v", verdicts, err)
	}
}

// A network that keeps connections and loses what they carry stops nobody for ever.
func TestPostgresSilence(t *testing.T) {
	link, _ := linked(t)
	s, lease := held(t, link)
	silent := make(chan struct{})
	link.set(func([]byte) cut { <-silent; return pass })
	var both sync.WaitGroup
	both.Go(func() {
		if err := s.Renew(t.Context(), lease.Epoch); !errors.Is(err, purchase.ErrUnavailable) && !errors.Is(err, purchase.ErrCommitUnknown) {
			t.Errorf("renew without an answer: %v", err)
		}
	})
	both.Go(func() {
		if _, err := s.Leases(t.Context()); !errors.Is(err, purchase.ErrUnavailable) {
			t.Errorf("read without an answer: %v", err)
		}
	})
	both.Wait()
	link.set(nil)
	close(silent)
	if err := s.Renew(t.Context(), lease.Epoch); err != nil {
		t.Errorf("renew when the network is back: %v", err)
	}
}

// cut is what becomes of a message to the server.
type cut int

const (
	pass      cut = iota
	cutBefore     // the message does not arrive
	cutAfter      // it arrives, the answer does not
)

// link is a network between store and server that can be cut.
type link struct {
	dsn    string
	server string
	mu     sync.Mutex
	rule   func(sent []byte) cut
	conns  map[net.Conn]bool
}

// linked is a fresh database behind a link, and its address before it.
func linked(t testing.TB) (l *link, dsn string) {
	t.Helper()
	dsn = fresh(t, testpeer.VolatilePostgres(t))
	return newLink(t, dsn), dsn
}

// held is a store behind a link, and a lease of it.
func held(t testing.TB, l *link) (*store.Store, purchase.Lease) {
	t.Helper()
	s := open(t, l.dsn)
	lease, err := s.Acquire(t.Context(), "node")
	if err != nil {
		t.Fatal(err)
	}
	return s, lease
}

func newLink(t testing.TB, dsn string) *link {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "link") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	query := u.Query()
	port := query.Get("port")
	if port == "" {
		port = "5432"
	}
	l := &link{server: filepath.Join(query.Get("host"), ".s.PGSQL."+port), conns: map[net.Conn]bool{}}
	query.Set("host", dir)
	u.RawQuery = query.Encode()
	l.dsn = u.String()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", filepath.Join(dir, ".s.PGSQL."+port))
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { l.serve(client) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		l.cutAll()
		serving.Wait()
	})
	return l
}

func (l *link) set(rule func([]byte) cut) {
	l.mu.Lock()
	l.rule = rule
	l.mu.Unlock()
}

func (l *link) cutAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		c.Close()
	}
}

func (l *link) serve(client net.Conn) {
	server, err := net.Dial("unix", l.server) //nolint:noctx // of a test
	if err != nil {
		client.Close()
		return
	}
	l.mu.Lock()
	l.conns[client], l.conns[server] = true, true
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.conns, client)
		delete(l.conns, server)
		l.mu.Unlock()
	}()
	var deaf atomic.Bool // the answer is not passed on
	var answering sync.WaitGroup
	answering.Go(func() {
		defer client.Close()
		pump(server, client, func([]byte) cut {
			if deaf.Load() {
				return cutBefore
			}
			return pass
		})
	})
	pump(client, server, func(sent []byte) cut {
		l.mu.Lock()
		rule := l.rule
		l.mu.Unlock()
		if rule == nil {
			return pass
		}
		c := rule(sent)
		if c == cutAfter {
			deaf.Store(true)
			return pass
		}
		return c
	})
	if !deaf.Load() {
		server.Close()
	}
	answering.Wait()
	server.Close()
}

// pump passes bytes on until either side ends or a rule cuts.
func pump(from, to net.Conn, rule func([]byte) cut) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if rule(buffer[:n]) == cutBefore {
				from.Close()
				to.Close()
				return
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				from.Close()
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// Pages that make no sense are believed once the file was opened again, and
// from then on the store does nothing.
func TestSQLiteDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tenu.db")
	fresh(t, "sqlite:"+path)
	told := 0
	s, err := store.Open(t.Context(), "sqlite:"+path, store.Options{Damaged: func(error) { told++ }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // it may complain of the file
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 4096; at < len(whole); at += 4096 {
		copy(whole[at:], "nonsense")
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, true, true} {
		_, err := s.Leases(t.Context())
		if !errors.Is(err, purchase.ErrUnavailable) || errors.Is(err, store.ErrDamaged) != want {
			t.Errorf("read %d of a damaged file: %v", i, err)
		}
	}
	if _, err := s.Acquire(t.Context(), "node"); !errors.Is(err, store.ErrDamaged) || told != 1 {
		t.Errorf("write to a damaged file: %v, told %d times", err, told)
	}
}

func TestOpenRefusesAnotherSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tenu.db")
	for name, dsn := range map[string]string{"sqlite": "sqlite:" + path, "postgres": testpeer.VolatilePostgres(t)} {
		var schema *store.SchemaError
		if name == "sqlite" {
			if _, err := store.Open(t.Context(), dsn, store.Options{}); err == nil {
				t.Error("opened a file that does not exist")
			}
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("opening made the file: %v", err)
			}
		} else if _, err := store.Open(t.Context(), dsn, store.Options{}); !errors.As(err, &schema) || schema.Have != 0 {
			t.Errorf("%s: open an empty database: %v", name, err)
		}
		fresh(t, dsn)
		if from, to, err := store.Migrate(t.Context(), dsn, store.Options{}); err != nil || from != to {
			t.Errorf("%s: migrate again from %d to %d: %v", name, from, to, err)
		}
		execute(t, name, dsn, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, "+map[string]string{"sqlite": "1", "postgres": "true"}[name]+")")
		if _, err := store.Open(t.Context(), dsn, store.Options{}); !errors.As(err, &schema) || schema.Have != 99 || !strings.Contains(err.Error(), "newer") {
			t.Errorf("%s: open a newer schema: %v", name, err)
		}
		if _, _, err := store.Migrate(t.Context(), dsn, store.Options{}); !errors.As(err, &schema) || schema.Have != 99 {
			t.Errorf("%s: migrate a newer schema: %v", name, err)
		}
	}
}

func TestOpenRefusesAddresses(t *testing.T) {
	for _, dsn := range []string{"", "mysql://x", "sqlite:", "sqlite::memory:", "postgres://%zz", "tenu.db"} {
		if _, err := store.Open(t.Context(), dsn, store.Options{}); err == nil || errors.Is(err, purchase.ErrUnavailable) {
			t.Errorf("open %q: %v", dsn, err)
		}
	}
	if _, err := store.Open(t.Context(), "postgres:///x?host="+t.TempDir(), store.Options{}); !errors.Is(err, purchase.ErrUnavailable) {
		t.Errorf("open a server that does not run: %v", err)
	}
}
