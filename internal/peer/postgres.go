package peer

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrNoPostgres says that PostgreSQL's server programs are not on this machine.
var ErrNoPostgres = errors.New("PostgreSQL 15 is not on this machine: as root, `apt-get install postgresql-15` " +
	"(any PostgreSQL from 15 on whose initdb is on the PATH will do)")

// Postgres is a private PostgreSQL server: it listens on a socket in a temporary
// directory and nowhere else, runs as an unprivileged user where we are root,
// and dies with us.
type Postgres struct {
	// Dir is the temporary directory.
	Dir     string
	bin     string
	fsync   string
	as      *syscall.Credential
	now     *Process
	pgbench bool // its tables are made
}

// StartPostgres starts a server whose commits wait for the disk if durable is
// set. It returns ErrNoPostgres where there is none. The caller stops it.
func StartPostgres(durable bool) (*Postgres, error) {
	s := &Postgres{bin: postgresBin(), fsync: "off"}
	if s.bin == "" {
		return nil, ErrNoPostgres
	}
	dir, err := os.MkdirTemp("", "tenu-pg-")
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	s.Dir = dir
	if durable {
		s.fsync = "on"
	}
	if err := s.create(); err != nil {
		_ = os.RemoveAll(dir) // the reason to report is why it did not start
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	return s, nil
}

// Stop ends the server and removes what it kept.
func (s *Postgres) Stop() {
	s.now.Kill()
	_ = os.RemoveAll(s.Dir) // a temporary directory is the system's to sweep
}

// Crash ends the server at once, without a word to its clients or to its log:
// SIGKILL to all of its processes.
func (s *Postgres) Crash() error {
	if err := s.now.Cmd.Process.Signal(syscall.SIGSTOP); err != nil { // it starts no more children
		return fmt.Errorf("crash PostgreSQL: %w", err)
	}
	children, err := s.now.Children()
	s.now.Kill()
	if err != nil {
		return fmt.Errorf("crash PostgreSQL: %w", err)
	}
	for _, pid := range children {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("crash PostgreSQL: %w", err)
		}
	}
	return nil
}

// Abort ends the server as `pg_ctl stop -m immediate` does: its clients are
// told, nothing is tidied up.
func (s *Postgres) Abort() error {
	if err := s.now.Cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		return fmt.Errorf("abort PostgreSQL: %w", err)
	}
	<-s.now.Done
	return nil
}

// Restart starts a server that was ended, on the same data and at the same address.
func (s *Postgres) Restart() error {
	if err := s.run(); err != nil {
		return fmt.Errorf("restart PostgreSQL: %w", err)
	}
	return nil
}

// Create makes an empty database and returns its address.
func (s *Postgres) Create(ctx context.Context, name string) (dsn string, err error) {
	if err := s.execute(ctx, "CREATE DATABASE "+name); err != nil {
		return "", fmt.Errorf("create a database: %w", err)
	}
	return s.address(name), nil
}

// Drop removes a database, whoever uses it.
func (s *Postgres) Drop(ctx context.Context, name string) error {
	if err := s.execute(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("drop a database: %w", err)
	}
	return nil
}

// Program is the path of a program that stands beside the server's, or on the
// PATH, "" where there is none of that name.
func (s *Postgres) Program(name string) string {
	if first, err := filepath.EvalSymlinks(filepath.Join(s.bin, "initdb")); err == nil {
		path := filepath.Join(filepath.Dir(first), name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return ""
	}
	return path
}

// CPU is the processor time that the server and its children, ended or not, have used.
func (s *Postgres) CPU() (time.Duration, error) {
	children, err := s.now.Children()
	if err != nil {
		return 0, fmt.Errorf("list the server's processes: %w", err)
	}
	used, err := cpuOf(s.now.Cmd.Process.Pid, true)
	for _, pid := range children {
		child, childErr := cpuOf(pid, false)
		if !errors.Is(childErr, os.ErrNotExist) { // one that ended is counted with its parent
			err = errors.Join(err, childErr)
		}
		used += child
	}
	return used, err
}

func (s *Postgres) address(database string) string {
	query := url.Values{"host": {s.Dir}, "user": {"tenu"}, "sslmode": {"disable"}}
	return "postgres:///" + database + "?" + query.Encode()
}

func (s *Postgres) execute(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, s.address("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}

// create makes a cluster and runs its server.
func (s *Postgres) create() error {
	if err := s.ownedByOther(); err != nil {
		return err
	}
	data := filepath.Join(s.Dir, "data")
	made, err := LaunchAs(s.as, s.Dir, filepath.Join(s.bin, "initdb"), "--no-sync", "--auth=trust",
		"--username=tenu", "--encoding=UTF8", "--locale=C", "--pgdata="+data)
	if err != nil {
		return err
	}
	<-made.Done
	if !made.Cmd.ProcessState.Success() {
		return fmt.Errorf("initdb: %s", made.Tail())
	}
	return s.run()
}

// run starts the server and waits until it answers.
func (s *Postgres) run() error {
	server, err := LaunchAs(s.as, s.Dir, filepath.Join(s.bin, "postgres"), "-D", filepath.Join(s.Dir, "data"), "-k", s.Dir,
		"-c", "listen_addresses=", "-c", "fsync="+s.fsync, "-c", "max_connections=200",
		"-c", "shared_buffers=256MB", "-c", "log_min_messages=fatal",
		"-c", "min_wal_size=2GB", "-c", "max_wal_size=4GB") // segments are used again: a new one holds a commit up
	if err != nil {
		return err
	}
	if err := s.await(server); err != nil {
		server.Kill()
		return err
	}
	s.now = server
	return nil
}

func (s *Postgres) await(server *Process) error {
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
		case <-server.Done:
			return fmt.Errorf("ended at once: %s", server.Tail())
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w: %s", err, server.Tail())
		case <-tick.C:
		}
	}
}

// ownedByOther gives the directory to an unprivileged user where we are root,
// because PostgreSQL refuses to run as root.
func (s *Postgres) ownedByOther() error {
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
		return os.Chown(s.Dir, int(uid), int(gid))
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
