package testpeer

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestPostgresGivesEachTestItsOwnDatabase(t *testing.T) {
	for _, want := range []string{"on", "off"} {
		give := map[string]func(testing.TB) string{"on": Postgres, "off": VolatilePostgres}[want]
		first, second := give(t), give(t)
		if first == second {
			t.Fatalf("two tests share %s", first)
		}
		for _, dsn := range []string{first, second} {
			conn, err := pgx.Connect(t.Context(), dsn)
			if err != nil {
				t.Fatal(err)
			}
			var fsync string
			if err := conn.QueryRow(t.Context(), "SHOW fsync").Scan(&fsync); err != nil || fsync != want {
				t.Errorf("fsync is %q (%v), want %q", fsync, err, want)
			}
			if _, err := conn.Exec(t.Context(), "CREATE TABLE mine (x int)"); err != nil {
				t.Errorf("the database is not empty: %v", err)
			}
			if err := conn.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestPostgresStopsWithItsLastUser(t *testing.T) {
	var dir string
	t.Run("user", func(t *testing.T) {
		Postgres(t)
		dir = durablePostgres.now.Dir
	})
	conn, err := pgx.Connect(t.Context(), "postgres:///postgres?user=tenu&host="+dir)
	if err == nil {
		conn.Close(t.Context())
		t.Fatal("the server still runs although nobody uses it")
	}
}
