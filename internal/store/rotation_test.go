package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tenu/internal/care"
	"tenu/internal/seal"
	"tenu/internal/store"
)

// After a rotation new values have a new key, nodes that run take it up when they meet it, an identity that is retired
// opens nothing, and what is sealed again has the new key alone.
func TestRotation(t *testing.T) {
	products(t, func(t *testing.T, kind, dsn string) {
		old, _, oldFile := keeper(t)
		node := openSealed(t, dsn, old, nil)
		write := func(s *store.Store, text string) {
			t.Helper()
			if err := s.Write(t.Context(), []care.Message{{To: gone, At: 1, Language: "fr", Text: text}}); err != nil {
				t.Fatal(err)
			}
		}
		texts := func(s *store.Store) (all []string) {
			t.Helper()
			letters, err := store.NewLetters(s).UnsentNotices(t.Context(), 10)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range letters {
				all = append(all, l.Text)
			}
			return all
		}
		write(node, "one")
		newFile, recipient, err := seal.NewIdentity()
		if err != nil {
			t.Fatal(err)
		}
		change, err := seal.NewKeeper([]string{recipient}, oldFile+newFile)
		if err != nil {
			t.Fatal(err)
		}
		// While both identities are there, as a node restarted with the new configuration.
		both := openSealed(t, dsn, change, nil)
		operator := openSealed(t, dsn, change, nil)
		if id, err := operator.RotateKeys(t.Context()); err != nil || id != 2 {
			t.Fatalf("rotated to %d, %v", id, err)
		}
		write(operator, "two")
		if got := texts(both); !slices.Equal(got, []string{"one", "two"}) {
			t.Errorf("a node that runs reads %q", got)
		}
		// One that has the retired identity alone reads what it had the key of; the rest is left out.
		if got := texts(node); !slices.Equal(got, []string{"one"}) {
			t.Errorf("a node with the retired identity reads %q", got)
		}
		if _, err := store.Open(t.Context(), dsn, store.Options{Sealing: &store.Sealing{Keeper: old}}); err == nil || !strings.Contains(err.Error(), recipient) {
			t.Errorf("the retired identity opens it: %v", err)
		}
		r, err := operator.SealRows(t.Context(), store.SealWork{Again: true})
		if err != nil || r.Sealed != 1 || r.Lost != 0 {
			t.Errorf("sealed again: %+v, %v", r, err)
		}
		alone, err := seal.NewKeeper([]string{recipient}, newFile)
		if err != nil {
			t.Fatal(err)
		}
		if got := texts(openSealed(t, dsn, alone, nil)); !slices.Equal(got, []string{"one", "two"}) {
			t.Errorf("the new identity reads %q", got)
		}
		for _, v := range valuesOf(t, behind(t, kind, dsn), alone)["care_message.text"] {
			if !bytes.HasPrefix(v.stored, []byte(seal.Prefix[string](2))) {
				t.Errorf("%s is %q", v.place, v.stored)
			}
		}
	})
}

// A node that only sells reads nothing that is sealed: it takes a new key up when it renews its lease, so that what is sealed
// again after that leaves nothing to an older one. One that cannot open it goes on.
func TestRotationReachesWhoReadsNothing(t *testing.T) {
	products(t, func(t *testing.T, kind, dsn string) {
		old, _, oldFile := keeper(t)
		newFile, recipient, err := seal.NewIdentity()
		if err != nil {
			t.Fatal(err)
		}
		change, err := seal.NewKeeper([]string{recipient}, oldFile+newFile)
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		retired, seller, operator := openSealed(t, dsn, old, &log), openSealed(t, dsn, change, nil), openSealed(t, dsn, change, nil)
		if _, err := operator.RotateKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i, s := range []*store.Store{seller, retired} {
			lease, err := s.Acquire(t.Context(), fmt.Sprint(i))
			for range 2 {
				err = errors.Join(err, s.Renew(t.Context(), lease.Epoch))
			}
			if err = errors.Join(err, s.Write(t.Context(), []care.Message{{To: gone, At: 1, Language: "fr", Text: "tamarin"}})); err != nil {
				t.Fatal(err)
			}
		}
		stored := valuesOf(t, behind(t, kind, dsn), change)["care_message.text"]
		for i, id := range []int64{2, 1} {
			if !bytes.HasPrefix(stored[i].stored, []byte(seal.Prefix[string](id))) {
				t.Errorf("message %d is %q", i, stored[i].stored)
			}
		}
		if n := strings.Count(log.String(), "a new data key cannot be opened here"); n != 1 {
			t.Errorf("the node with the retired identity says so %d times: %s", n, log.String())
		}
		if r, err := operator.SealRows(t.Context(), store.SealWork{Check: true}); err != nil || r.Opened != 2 || r.Older != 1 {
			t.Errorf("the check finds %+v, %v", r, err)
		}
	})
}
