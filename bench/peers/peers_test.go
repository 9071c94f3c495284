package main

import (
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"tenu/internal/testpeer"
)

func TestMain(m *testing.M) { os.Exit(testpeer.Main(m)) }

// Every version keeps the same invariants, and what breaks one of them is seen.
func TestVersions(t *testing.T) {
	for _, of := range versions {
		t.Run(of.name, func(t *testing.T) {
			const count = 200
			dsn := testpeer.VolatilePostgres(t)
			w := &world{dsn: dsn, inFlight: 32, wallet: newPartner("wallet", count), ocs: newPartner("ocs", count)}
			v, err := of.begin(t.Context(), w)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := v.close(t.Context()); err != nil {
					t.Error(err)
				}
			}()
			times, _, err := w.load(t.Context(), v, 0, count)
			if err != nil || len(times) != count {
				t.Fatalf("%d sold: %v", len(times), err)
			}
			if err := v.sell(t.Context(), orderOf(count/2)); err != nil {
				t.Errorf("a client key that was used before: %v", err)
			}
			b, err := v.books(t.Context())
			if err == nil {
				err = w.check(b, count)
			}
			if err != nil {
				t.Fatal(err)
			}
			w.ocs.move(firstNumber)
			if err := w.check(b, count); err == nil {
				t.Error("a credit that is done twice is not seen")
			}
			w.ocs.done[0].Store(1)
			conn, err := pgx.Connect(t.Context(), dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(t.Context())
			entries := "entry"
			if of.name == "tenu" {
				entries = "posting"
			}
			if _, err := conn.Exec(t.Context(), "DELETE FROM "+entries+" WHERE purchase = (SELECT max(id) FROM purchase)"); err != nil {
				t.Fatal(err)
			}
			b, err = v.books(t.Context())
			if err == nil {
				err = w.check(b, count)
			}
			if err == nil {
				t.Error("entries that are gone are not missed")
			}
		})
	}
}
