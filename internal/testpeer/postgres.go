package testpeer

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tenu/internal/peer"
)

// postgresServer is the one PostgreSQL of this test process.
type postgresServer struct {
	durable bool
	mu      sync.Mutex
	users   int
	now     *peer.Postgres
	names   atomic.Int64
}

// The servers of this test process, by whether they wait for the disk.
var durablePostgres, volatilePostgres = postgresServer{durable: true}, postgresServer{}

// Postgres returns the address of a fresh, empty PostgreSQL database that ends
// with the test. Its server is private: it listens on a socket in a temporary
// directory and nowhere else, runs as an unprivileged user where the test is
// root, and dies with the test process. It starts with the first test that asks
// and stops with the last; between two tests it goes on if the package's
// TestMain calls Main. Commits wait for the disk. Without PostgreSQL's programs
// the test is skipped, saying what to install; it fails instead when CI is
// "true" or TENU_REQUIRE_PEERS is "1".
func Postgres(t testing.TB) (dsn string) {
	t.Helper()
	return durablePostgres.database(t)
}

// VolatilePostgres is Postgres without waiting for the disk, for tests that are
// not about durability.
func VolatilePostgres(t testing.TB) (dsn string) {
	t.Helper()
	return volatilePostgres.database(t)
}

// OwnPostgres starts a server for this test alone, to crash and restart, whose
// commits wait for the disk, and makes a database. Where there is no PostgreSQL
// it does as Postgres does.
func OwnPostgres(t testing.TB) (server *peer.Postgres, dsn string) {
	t.Helper()
	server, err := peer.StartPostgres(true)
	if errors.Is(err, peer.ErrNoPostgres) {
		Missing(t, "%v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	if dsn, err = server.Create(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	return server, dsn
}

// Main runs a package's tests and keeps the servers that they share until all
// are over: func TestMain(m *testing.M) { os.Exit(testpeer.Main(m)) }.
func Main(m *testing.M) (code int) {
	servers := []*postgresServer{&durablePostgres, &volatilePostgres}
	for _, s := range servers {
		s.hold()
	}
	defer func() {
		for _, s := range servers {
			s.release()
		}
	}()
	return m.Run()
}

func (s *postgresServer) hold() {
	s.mu.Lock()
	s.users++
	s.mu.Unlock()
}

// release stops the server when nobody needs it any more.
func (s *postgresServer) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users--; s.users > 0 || s.now == nil {
		return
	}
	s.now.Stop()
	s.now = nil
}

// database makes a database of its own for a test.
func (s *postgresServer) database(t testing.TB) string {
	t.Helper()
	s.hold()
	t.Cleanup(s.release)
	server := s.server(t)
	name := "test" + strconv.FormatInt(s.names.Add(1), 10)
	dsn, err := server.Create(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := server.Drop(ctx, name); err != nil {
			t.Error(err)
		}
	})
	return dsn
}

// server starts the server unless it runs.
func (s *postgresServer) server(t testing.TB) *peer.Postgres {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil {
		var err error
		if s.now, err = peer.StartPostgres(s.durable); errors.Is(err, peer.ErrNoPostgres) {
			Missing(t, "%v", err)
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return s.now
}
