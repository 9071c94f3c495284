package testpeer

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// postgresServer is the one PostgreSQL of this test process.
type postgresServer struct {
	mu    sync.Mutex
	users int
	dir   string
	bin   string
	as    *syscall.Credential
	now   *process
	names atomic.Int64
}

// The servers of this test process, by whether they wait for the disk.
var durablePostgres, volatilePostgres postgresServer

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
	return durablePostgres.database(t, "on")
}

// VolatilePostgres is Postgres without waiting for the disk, for tests that are
// not about durability.
func VolatilePostgres(t testing.TB) (dsn string) {
	t.Helper()
	return volatilePostgres.database(t, "off")
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
	s.now.kill()
	s.now = nil
	_ = os.RemoveAll(s.dir) // a temporary directory is the system's to sweep
}

// database makes a database of its own for a test.
func (s *postgresServer) database(t testing.TB, fsync string) string {
	t.Helper()
	s.hold()
	t.Cleanup(s.release)
	if err := s.ensure(t, fsync); err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	name := "test" + strconv.FormatInt(s.names.Add(1), 10)
	if err := s.execute(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatalf("create a database: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.execute(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
	})
	return s.address(name)
}

func (s *postgresServer) address(database string) string {
	query := url.Values{"host": {s.dir}, "user": {"tenu"}, "sslmode": {"disable"}}
	return "postgres:///" + database + "?" + query.Encode()
}

func (s *postgresServer) execute(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, s.address("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}

// ensure starts the server unless it runs.
func (s *postgresServer) ensure(t testing.TB, fsync string) error {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now != nil {
		return nil
	}
	if s.bin = postgresBin(); s.bin == "" {
		missing(t, "PostgreSQL 15 is not on this machine: as root, `apt-get install postgresql-15` "+
			"(any PostgreSQL from 15 on whose initdb is on the PATH will do)")
	}
	dir, err := os.MkdirTemp("", "tenu-pg-")
	if err != nil {
		return err
	}
	s.dir = dir
	if err := s.start(fsync); err != nil {
		_ = os.RemoveAll(dir) // the reason to report is why it did not start
		return err
	}
	return nil
}

// start makes a cluster and runs its server until it answers.
func (s *postgresServer) start(fsync string) error {
	if err := s.ownedByOther(); err != nil {
		return err
	}
	data := filepath.Join(s.dir, "data")
	made, err := launchAs(s.as, s.dir, filepath.Join(s.bin, "initdb"), "--no-sync", "--auth=trust",
		"--username=tenu", "--encoding=UTF8", "--locale=C", "--pgdata="+data)
	if err != nil {
		return err
	}
	<-made.done
	if !made.cmd.ProcessState.Success() {
		return fmt.Errorf("initdb: %s", made.tail())
	}
	server, err := launchAs(s.as, s.dir, filepath.Join(s.bin, "postgres"), "-D", data, "-k", s.dir,
		"-c", "listen_addresses=", "-c", "fsync="+fsync, "-c", "max_connections=200",
		"-c", "shared_buffers=256MB", "-c", "max_wal_size=4GB", "-c", "log_min_messages=fatal")
	if err != nil {
		return err
	}
	if err := s.await(server); err != nil {
		server.kill()
		return err
	}
	s.now = server
	return nil
}

func (s *postgresServer) await(server *process) error {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.execute(ctx, "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-server.done:
			return fmt.Errorf("ended at once: %s", server.tail())
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w: %s", err, server.tail())
		case <-tick.C:
		}
	}
}

// ownedByOther gives the directory to an unprivileged user where we are root,
// because PostgreSQL refuses to run as root.
func (s *postgresServer) ownedByOther() error {
	if os.Getuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(account.Uid, 10, 32)
		if err != nil {
			continue
		}
		gid, err := strconv.ParseUint(account.Gid, 10, 32)
		if err != nil {
			continue
		}
		s.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		return os.Chown(s.dir, int(uid), int(gid))
	}
	return fmt.Errorf("no user named postgres or nobody to run it as")
}

// postgresBin is the folder of PostgreSQL's server programs: on the PATH, or the
// newest version where Debian puts them; "" if there is none.
func postgresBin() string {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return ""
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // 0 for a name that is no number
		return n
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(newest)
}
