package audit_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"

	"tenu/internal/evidence"
	"tenu/internal/evidence/audit"
	"tenu/internal/person"
	"tenu/internal/purchase"
	"tenu/internal/store"
	"tenu/internal/storetest"
)

const origin = "log.example"

// site is an installation with its log: in the database, and as files.
type site struct {
	t      testing.TB
	store  *store.Store
	file   string // of the database
	dir    string // of the log's files
	day    *storetest.Day
	signer *evidence.LogSigner
	seq    *evidence.Sequencer
	sold   []purchase.Purchase
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{t: t, file: filepath.Join(t.TempDir(), "tenu.db"), dir: t.TempDir()}
	if _, _, err := store.Migrate(t.Context(), "sqlite:"+s.file, store.Options{}); err != nil {
		t.Fatal(err)
	}
	s.open()
	var err error
	if s.signer, err = evidence.NewLogSigner(origin, bytes.Repeat([]byte{1}, 32)); err != nil {
		t.Fatal(err)
	}
	publisher := &evidence.Publisher{Dir: s.dir, From: evidence.FromStore{Store: s.store}}
	if s.seq, err = evidence.NewSequencer(evidence.SequencerConfig{Store: s.store, Signer: s.signer, Log: slog.New(slog.DiscardHandler), Publish: publisher.Publish}); err != nil {
		t.Fatal(err)
	}
	s.day = storetest.NewDay(t, s.store)
	for range 3 {
		s.sold = append(s.sold, s.day.Sell(240)...)
		s.day.Care(s.sold[len(s.sold)-1])
		s.sequence()
		s.day.Wait(10 * time.Second)
	}
	return s
}

func (s *site) open() {
	var err error
	if s.store, err = store.Open(s.t.Context(), "sqlite:"+s.file, store.Options{}); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = s.store.Close() })
}

func (s *site) sequence() {
	s.t.Helper()
	if _, err := s.seq.Step(s.t.Context(), s.day.Now()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) config() audit.Config {
	v, err := s.signer.Verifier()
	if err != nil {
		s.t.Fatal(err)
	}
	return audit.Config{Policy: evidence.Policy{Log: v}, Database: s.store, Now: s.day.Now()}
}

// published audits the files beside the database.
func (s *site) published() audit.Config {
	c := s.config()
	c.Source = evidence.Dir(s.dir)
	return c
}

func run(t testing.TB, c audit.Config) *audit.Report {
	t.Helper()
	r, err := audit.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// execute changes the database behind everybody's back.
func (s *site) execute(statement string, arguments ...any) {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+s.file)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = db.Close() }() // what was done is done
	result, err := db.ExecContext(s.t.Context(), statement, arguments...)
	if err != nil {
		s.t.Fatalf("%s: %v", statement, err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		s.t.Fatalf("%s changes %d rows: %v", statement, n, err)
	}
}

// What was not tampered with is sound, whichever way it is looked at, while it grows, and after
// somebody was forgotten.
func TestSoundLogsAreSound(t *testing.T) {
	s := newSite(t)
	sound := func(what string, c audit.Config) *audit.Report {
		t.Helper()
		r := run(t, c)
		for _, f := range r.Findings {
			t.Errorf("%s: %s", what, f)
		}
		return r
	}
	r := sound("database", s.config())
	if r.Size == 0 || r.Figures.States["purchase credited"] != 240 || r.Figures.States["purchase declined"] != 120 || r.Figures.States["callback kept"] != 3 ||
		r.Figures.Accounts["exposure/ocs XOF"] != 120*1000 || r.Figures.RefundsInTime != 240 || r.Figures.CreditsInTime != 240 || r.Figures.States["incident closed"] != 3 {
		t.Errorf("the figures are\n%s", &r.Figures)
	}
	sound("files and database", s.published())
	c := s.published()
	c.Database = nil
	sound("files alone", c)
	c = s.config()
	c.Most = 100
	if few := sound("in many passes", c); few.Figures.String() != r.Figures.String() {
		t.Errorf("in many passes the figures are\n%s", &few.Figures)
	}
	s.sold = append(s.sold, s.day.Sell(60)...)
	if r := sound("with leaves that wait", s.published()); r.Waiting == 0 {
		t.Error("nothing waits")
	}
	s.erase(s.sold[0].Recipient)
	sound("after somebody was forgotten", s.config())
	drawn := purchase.MSISDN(200_000_000_000_000_000)
	n, err := s.store.Retain(t.Context(), store.Aged{Kind: person.Numbers, Before: s.sold[100].CreatedAt, Now: s.day.Now,
		Draw: func() (purchase.MSISDN, error) { drawn++; return drawn, nil }})
	if err != nil || n == 0 {
		t.Fatalf("retention: %d, %v", n, err)
	}
	if r := sound("after retention", s.config()); r.Figures.States["erasure request"] != 1 || r.Figures.States["erasure retention"] == 0 {
		t.Errorf("the figures are\n%s", &r.Figures)
	}
	earlier, err := evidence.Dir(s.dir).Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.sequence()
	c = s.config()
	c.Earlier = [][]byte{earlier}
	sound("with an earlier checkpoint", c)
}

// attack is one way to tamper, and what must be found, with its place.
type attack struct {
	name string
	do   func(*site, *audit.Config)
	want []string // each in one finding
}

func attacks() []attack {
	victim := func(s *site) int64 { return int64(s.sold[7].ID) }
	charge := func(s *site) int64 { return int64(s.sold[6].ID) } // credited
	return []attack{
		{"a row's amount is altered", func(s *site, _ *audit.Config) {
			s.execute(`UPDATE posting SET amount = amount - 1 WHERE purchase = ? AND leg = 1`, charge(s))
		}, []string{"altered: purchase 7 version 2"}},
		{"a row's evidence is altered", func(s *site, _ *audit.Config) {
			s.execute(`UPDATE evidence SET kind = 2 WHERE purchase = ? AND leg = 1`, charge(s))
		}, []string{"altered: purchase 7 version 2"}},
		{"a row is missing", func(s *site, _ *audit.Config) {
			s.execute(`DELETE FROM evidence WHERE purchase = ? AND leg = 2`, charge(s))
		}, []string{"altered: purchase 7 version 3"}},
		{"a row is added", func(s *site, _ *audit.Config) {
			s.execute(`INSERT INTO notice (purchase, version, to_number, at, sent_at, fact, language, text) VALUES (?, 2, 1, 1, 0, 9, 'fr', 'x')`, charge(s))
		}, []string{"altered: purchase 7 version 2"}},
		{"a row is backdated", func(s *site, _ *audit.Config) {
			s.execute(`UPDATE evidence SET at = at - 3600000000 WHERE purchase = ? AND leg = 2`, charge(s))
		}, []string{"altered: purchase 7 version 3"}},
		{"a purchase's state is altered", func(s *site, _ *audit.Config) {
			s.execute(`UPDATE purchase SET state = 5 WHERE id = ?`, charge(s))
		}, []string{"altered: purchase 7 version 3", "figure: purchase credited: 240 by the log, 239 by the database", "figure: purchase refunded"}},
		{"a purchase's deadline is moved", func(s *site, _ *audit.Config) {
			s.execute(`UPDATE purchase SET refund_by = refund_by + 1000000 WHERE id = (SELECT min(id) FROM purchase WHERE state = 5)`)
		}, []string{"altered: purchase 4 version 4"}},
		{"a purchase's number is another", func(s *site, _ *audit.Config) {
			s.execute(`UPDATE purchase SET recipient = recipient + 1 WHERE id = ?`, charge(s))
		}, []string{"altered: purchase 7 version 1"}},
		{"a purchase is missing", func(s *site, _ *audit.Config) {
			for _, table := range []string{"purchase WHERE id", "attempt WHERE purchase", "evidence WHERE purchase"} {
				s.execute(`DELETE FROM `+table+` = ?`, victim(s))
			}
		}, []string{"unstored: purchase 8: the log has it, up to version 3; the database has not", "figure: purchase credited"}},
		{"a purchase is added", func(s *site, _ *audit.Config) {
			s.execute(`INSERT INTO purchase SELECT id + 100000, version, epoch, payer_number, recipient, total, fee, units, created_at, charged_at, closed_at, deliver_by,
				resolve_by, refund_by, watch_till, due_at, charged, held, offer, told, state, bundle, again, orphan, exposed, unproven, doubt, closed, acknowledged,
				client, 'added', channel, language, payer, provider, product, currency, charged_currency, digest, salt FROM purchase WHERE id = ?`, victim(s))
		}, []string{"unlogged: purchase 100008: the database has it, at version 3", "figure: purchase credited"}},
		{"a purchase is taken back to before", func(s *site, _ *audit.Config) {
			s.execute(`UPDATE purchase SET version = 2, state = 2, held = 1050, due_at = 1 WHERE id = ?`, charge(s))
		}, []string{"unstored: purchase 7: the database has version 2, the log 3"}},
		{"a balance is altered", func(s *site, _ *audit.Config) {
			s.execute(`UPDATE balance SET amount = amount + 5 WHERE account = (SELECT id FROM account WHERE name = 'exposure/ocs')`)
		}, []string{"figure: exposure/ocs XOF: 120000 by the log, 120005 by the database"}},
		{"a broken callback is made a kept one", func(s *site, _ *audit.Config) {
			s.execute(`UPDATE callback SET state = 2, closed_at = 1, due_at = 0 WHERE id = (SELECT min(id) FROM callback WHERE state = 1)`)
		}, []string{"altered: callback 2 version 1", "figure: callback kept: 3 by the log, 4 by the database"}},
		{"an incident is deleted", func(s *site, _ *audit.Config) { s.execute(`DELETE FROM incident WHERE id = 2`) },
			[]string{"unstored: incident 2", "figure: incident closed"}},
		{"a number is altered, and the salt that would show it emptied", func(s *site, _ *audit.Config) {
			s.execute(`UPDATE purchase SET recipient = recipient + 1, salt = x'' WHERE id = ?`, charge(s))
		}, []string{"figure: commitments closed by erasures: 0 by the log, 1 by the database"}},
		{"an erasure is hidden", func(s *site, _ *audit.Config) {
			s.erase(s.sold[0].Recipient)
			s.execute(`DELETE FROM erasure`)
		}, []string{"unstored: erasure 1"}},
		{"a decision is another's", func(s *site, _ *audit.Config) { s.execute(`UPDATE request SET checker = 8 WHERE id = 1`) }, []string{"altered: request 1 version 2"}},
		{"a change is written without its leaf", func(s *site, _ *audit.Config) {
			s.day.Sell(1)
			s.execute(`DELETE FROM log_batch WHERE id IN (SELECT batch FROM log_queue)`)
		}, []string{"unlogged: purchase 721: the database has it, at version 3"}},
		{"a leaf is altered", func(s *site, _ *audit.Config) { s.bundle(1, func(l [][]byte) [][]byte { l[5][40] ^= 1; return l }) },
			[]string{"leaf: leaf 261: it is not the one that was signed"}},
		{"a leaf is altered in the database", func(s *site, c *audit.Config) {
			c.Source = nil
			s.execute(`UPDATE log_batch SET leaves = ?, raw = 0 WHERE id = 2`, s.altered(2))
		}, []string{"leaf: leaf 50: it is not the one that was signed"}},
		{"packed leaves are spoiled in the database", func(s *site, c *audit.Config) {
			c.Source = nil
			s.execute(`UPDATE log_batch SET leaves = CAST(substr(leaves, 1, 40) || x'00' || substr(leaves, 42) AS BLOB) WHERE id = 2 AND raw > 0`)
		}, []string{"leaf: leaf "}},
		{"leaves are said to be packed", func(s *site, c *audit.Config) {
			c.Source = nil
			s.execute(`UPDATE log_batch SET raw = raw + 1 WHERE id = 2`)
		}, []string{"leaf: leaf 50: it is missing"}},
		{"a batch of leaves is deleted", func(s *site, c *audit.Config) {
			c.Source = nil
			s.execute(`DELETE FROM log_batch WHERE id = 3`)
		}, []string{"leaf: leaf ", "it is missing"}},
		{"a leaf is removed", func(s *site, _ *audit.Config) {
			s.bundle(1, func(l [][]byte) [][]byte { return append(l[:5:5], l[6:]...) })
		}, []string{"leaf: leaf 261: it is not the one that was signed (nor are 249 behind it in its bundle)", "leaf: leaf 511: it is missing"}},
		{"two leaves are swapped", func(s *site, _ *audit.Config) {
			s.bundle(2, func(l [][]byte) [][]byte { l[9], l[10] = l[10], l[9]; return l })
		}, []string{"leaf: leaf 521: it is not the one that was signed (nor are 1 behind it in its bundle)"}},
		{"a leaf is there twice", func(s *site, _ *audit.Config) { s.bundle(2, func(l [][]byte) [][]byte { l[10] = l[9]; return l }) },
			[]string{"leaf: leaf 522: it is not the one that was signed"}},
		{"a bundle is cut", func(s *site, _ *audit.Config) {
			s.spoil(evidence.TilePath(evidence.Entries, 1, 256), func(b []byte) []byte { return b[:1000] })
		},
			[]string{"it is missing, with all behind it in bundle 1"}},
		{"a bundle is missing", func(s *site, _ *audit.Config) {
			if err := os.Remove(filepath.Join(s.dir, evidence.TilePath(evidence.Entries, 1, 256))); err != nil {
				s.t.Fatal(err)
			}
		}, []string{"leaf: leaves 256 to 511: their bundle, tile/entries/001, is missing"}},
		{"a bit of a tile is flipped", func(s *site, _ *audit.Config) {
			s.spoil(evidence.TilePath(0, 2, 256), func(b []byte) []byte { b[99] ^= 4; return b })
		}, []string{"tree: tile tile/0/002: it does not belong to the signed tree"}},
		{"a bit of an upper tile is flipped", func(s *site, _ *audit.Config) {
			h := s.head()
			s.spoil(evidence.TilePath(1, 0, evidence.TailWidth(h.Size, 1)), func(b []byte) []byte { b[0] ^= 1; return b })
		}, []string{"tree: tile tile/1/000.p/"}},
		{"the checkpoint is of another key", func(s *site, _ *audit.Config) { s.resign(2, origin, nil) }, []string{"checkpoint: checkpoint: not a checkpoint that is signed by log.example"}},
		{"the checkpoint is of another log", func(s *site, _ *audit.Config) { s.resign(1, "other.example", nil) },
			[]string{`checkpoint: checkpoint: not a checkpoint of this log: its origin is "other.example"`}},
		{"the checkpoint claims another root", func(s *site, _ *audit.Config) { s.resign(1, origin, func(h *evidence.TreeHead) { h.Root[0] ^= 1 }) },
			[]string{"tree: root: the leaves have another root", "fork: database"}},
		{"the log is rolled back", func(s *site, c *audit.Config) {
			c.Earlier = [][]byte{s.signed(1, origin, func(h *evidence.TreeHead) { h.Size += 100 })}
		}, []string{"fork: earlier checkpoint 1: rolled back"}},
		{"the log is forked", func(s *site, c *audit.Config) {
			c.Earlier = [][]byte{s.signed(1, origin, func(h *evidence.TreeHead) { h.Size -= 300 })}
		}, []string{"a checkpoint of "}},
		{"the published log is not the database's", func(s *site, c *audit.Config) {
			other := newSite(s.t)
			other.day.Wait(time.Minute)
			other.day.Sell(12)
			other.sequence()
			c.Source = evidence.Dir(other.dir)
		}, []string{"fork: database: its log has"}},
		{"no witness cosigned", func(s *site, c *audit.Config) {
			c.Policy.Witnesses, c.Policy.Quorum = append(c.Policy.Witnesses, s.witness(1)), 1
		}, []string{"checkpoint: checkpoint: not a checkpoint that enough witnesses saw: 0 of 1"}},
		{"an unknown witness cosigned", func(s *site, c *audit.Config) {
			c.Policy.Witnesses, c.Policy.Quorum = append(c.Policy.Witnesses, s.witness(1)), 1
			s.cosign(2)
		}, []string{"0 of 1"}},
		{"a promise is logged late", func(s *site, _ *audit.Config) {
			s.day.Sell(6)
			s.day.Wait(90 * time.Second)
			s.sequence()
		}, []string{"late: leaf ", "after 1m30"}},
		{"a promise is not logged at all", func(s *site, c *audit.Config) {
			s.day.Sell(1)
			c.Now = s.day.Now().Add(2 * time.Minute)
		}, []string{"late: purchase 721 version 1, waiting: it waits for the log"}},
		// From here on the operator signs what he made up: the tree is sound.
		{"a time goes back", func(s *site, _ *audit.Config) {
			s.forge(func(b []byte) []byte { return leaf(b, 'p', 7, 4, s.sold[6].CreatedAt, s.sold[6].CreatedAt) })
		}, []string{"purchase 7 version 4: its time, ", "unstored: purchase 7: the database has version 3, the log 4"}},
		{"a time lies ahead", func(s *site, _ *audit.Config) {
			s.forge(func(b []byte) []byte { return leaf(b, 'p', 999, 1, s.day.Now()+60_000_000, s.day.Now()) })
		}, []string{"is ahead of the log's", "unstored: purchase 999"}},
		{"a leaf is logged again", func(s *site, _ *audit.Config) {
			s.forge(func(b []byte) []byte { return leaf(b, 'p', 7, 3, s.day.Now(), s.sold[6].CreatedAt) })
		}, []string{"purchase 7 version 3: it is in the log twice"}},
		{"a version is left out", func(s *site, _ *audit.Config) {
			s.forge(func(b []byte) []byte { return leaf(b, 'p', 7, 5, s.day.Now(), s.sold[6].CreatedAt) })
		}, []string{"purchase 7 version 5: version 4 is missing before it"}},
		{"an invented change of what never was", func(s *site, _ *audit.Config) {
			s.forge(func(b []byte) []byte { return leaf(b, 'p', 998, 2, s.day.Now(), s.day.Now()) })
		}, []string{"purchase 998 version 2: the log has none before it", "unstored: purchase 998"}},
		{"a leaf says nothing", func(s *site, _ *audit.Config) {
			s.forge(func(b []byte) []byte { return append(b, 0, 4, 'n', 'o', 'n', 'e') })
		}, []string{"form: leaf "}},
		{"a seal is forged", func(s *site, _ *audit.Config) {
			s.forge(func(b []byte) []byte { return evidence.AppendSeal(b, 9, 0, s.day.Now(), s.day.Now()) })
		}, []string{"seal: leaf ", "it follows seal 3", "it says that the log began"}},
	}
}

// erase erases a number after everything of it is over.
func (s *site) erase(number purchase.MSISDN) {
	s.t.Helper()
	for _, over := range []string{`UPDATE purchase SET due_at = 0 WHERE state IN (3, 5, 6)`, `UPDATE notice SET sent_at = 1 WHERE sent_at = 0`} {
		s.execute(over)
	}
	_, err := s.store.Erase(s.t.Context(), store.Wanted{Forms: person.NewForms(number, "226"), Instead: 123_456_789_012_345_678, Now: s.day.Now, By: "test", Reason: "asked"})
	if err != nil {
		s.t.Fatal(err)
	}
}

func leaf(b []byte, kind evidence.Kind, id, version int64, at, begun purchase.Instant) []byte {
	b, place := evidence.Begin(b, evidence.Head{Kind: kind, ID: id, Version: version, At: at, Begun: begun})
	return evidence.End(append(b, "s credited ocs 0 0 XOF - - - - - -\n"...), place)
}

func (s *site) head() evidence.TreeHead {
	s.t.Helper()
	c, err := evidence.Dir(s.dir).Checkpoint(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	h, err := evidence.ReadHead(c)
	if err != nil {
		s.t.Fatal(err)
	}
	return h
}

// spoil changes a file of the published log.
func (s *site) spoil(path string, with func([]byte) []byte) {
	s.t.Helper()
	path = filepath.Join(s.dir, path)
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, with(data), 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// bundle changes the leaves of a published bundle.
func (s *site) bundle(n int64, spoil func([][]byte) [][]byte) {
	s.t.Helper()
	s.spoil(evidence.TilePath(evidence.Entries, n, 256), func(data []byte) (out []byte) {
		var leaves [][]byte
		for len(data) > 0 {
			var l []byte
			var err error
			if l, data, err = evidence.NextLeaf(data); err != nil {
				s.t.Fatal(err)
			}
			leaves = append(leaves, bytes.Clone(l))
		}
		for _, l := range spoil(leaves) {
			out = append(append(out, byte(len(l)>>8), byte(len(l))), l...)
		}
		return out
	})
}

// signed is a checkpoint of the published tree, or of something like it.
func (s *site) signed(key byte, origin string, spoil func(*evidence.TreeHead)) []byte {
	s.t.Helper()
	signer, err := evidence.NewLogSigner(origin, bytes.Repeat([]byte{key}, 32))
	if err != nil {
		s.t.Fatal(err)
	}
	h := s.head()
	if h.Origin = origin; spoil != nil {
		spoil(&h)
	}
	c, err := h.Sign(signer)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (s *site) resign(key byte, origin string, spoil func(*evidence.TreeHead)) {
	c := s.signed(key, origin, spoil)
	s.spoil(evidence.CheckpointPath, func([]byte) []byte { return c })
}

// altered is a batch's leaves, unpacked, with a letter changed.
func (s *site) altered(batch int64) []byte {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+s.file)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = db.Close() }() // it was only read
	var stored []byte
	if err := db.QueryRowContext(s.t.Context(), `SELECT leaves FROM log_batch WHERE id = ? AND raw > 0`, batch).Scan(&stored); err != nil {
		s.t.Fatal(err)
	}
	leaves, err := s2.Decode(nil, stored)
	if err != nil {
		s.t.Fatal(err)
	}
	leaves[40] ^= 1
	return leaves
}

// forge has the sequencer log what nobody did, as an operator could.
func (s *site) forge(more func([]byte) []byte) {
	s.execute(`INSERT INTO log_batch (epoch, leaves) VALUES (0, ?)`, more(nil))
	s.sequence()
}

func (s *site) cosigner(fill byte) *evidence.Cosigner {
	s.t.Helper()
	k, err := evidence.NewCosigner(fmt.Sprint("w", fill), bytes.NewReader(bytes.Repeat([]byte{fill}, 32)))
	if err != nil {
		s.t.Fatal(err)
	}
	return k
}

func (s *site) witness(fill byte) interface {
	Name() string
	KeyHash() uint32
	Verify(msg, sig []byte) bool
} {
	s.t.Helper()
	v, err := evidence.ParseWitnessKey(s.cosigner(fill).VerifierKey())
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

func (s *site) cosign(fill byte) {
	s.t.Helper()
	s.spoil(evidence.CheckpointPath, func(c []byte) []byte {
		line, err := s.cosigner(fill).Cosign(c, s.day.Now())
		if err != nil {
			s.t.Fatal(err)
		}
		return evidence.AddSignatures(c, line)
	})
}

// Every attack is found, with its place.
func TestEveryAttackIsFound(t *testing.T) {
	all := attacks()
	if len(all) < 20 {
		t.Fatalf("%d attacks", len(all))
	}
	for _, a := range all {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			c := s.published()
			c.Now = 0
			a.do(s, &c)
			r := run(t, c)
			if len(r.Findings) == 0 {
				t.Fatal("nothing is found")
			}
			var text strings.Builder
			for _, f := range r.Findings {
				text.WriteString(f.String() + "\n")
			}
			for _, want := range a.want {
				if !strings.Contains(text.String(), want) {
					t.Errorf("%q is not found, but\n%.3000s", want, text.String())
				}
			}
			t.Logf("%.1500s", text.String())
		})
	}
}
