package show

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"tenu/internal/evidence"
	"tenu/internal/money"
	"tenu/internal/purchase"
	"tenu/internal/receipt"
)

// testLog is a log of some leaves, in memory, with a witness.
type testLog struct {
	signer   *evidence.LogSigner
	verifier note.Verifier
	cosigner *evidence.Cosigner
	witness  note.Verifier
	leaves   [][]byte
	hashes   []tlog.Hash
}

func newLog(t testing.TB, origin string) *testLog {
	t.Helper()
	l := &testLog{}
	var err error
	check := func() {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	l.signer, err = evidence.NewLogSigner(origin, bytes.Repeat([]byte{7}, 32))
	check()
	l.verifier, err = l.signer.Verifier()
	check()
	l.cosigner, err = evidence.NewCosigner("witness.example", bytes.NewReader(bytes.Repeat([]byte{9}, 32)))
	check()
	l.witness, err = evidence.ParseWitnessKey(l.cosigner.VerifierKey())
	check()
	for n := range int64(20) {
		l.add(t, evidence.AppendSeal(nil, n+1, 0, 1, 1)[2:])
	}
	return l
}

func (l *testLog) ReadHashes(indexes []int64) (found []tlog.Hash, err error) {
	for _, i := range indexes {
		found = append(found, l.hashes[i])
	}
	return found, nil
}

func (l *testLog) add(t testing.TB, leaf []byte) (index int64) {
	t.Helper()
	index = int64(len(l.leaves))
	more, err := tlog.StoredHashes(index, leaf, l)
	if err != nil {
		t.Fatal(err)
	}
	l.leaves, l.hashes = append(l.leaves, leaf), append(l.hashes, more...)
	return index
}

// leafOf is the leaf of a purchase's last change.
func leafOf(p *purchase.Purchase) []byte {
	return evidence.AppendPurchase(nil, &purchase.Change{Now: *p, At: p.ClosedAt})[2:]
}

// checkpoint is the signed head, cosigned where it should be.
func (l *testLog) checkpoint(t testing.TB, size int64, cosigned bool) []byte {
	t.Helper()
	root, err := tlog.TreeHash(size, l)
	if err != nil {
		t.Fatal(err)
	}
	text, err := evidence.TreeHead{Origin: l.signer.Name(), Size: size, Root: root}.Sign(l.signer)
	if err != nil {
		t.Fatal(err)
	}
	if !cosigned {
		return text
	}
	line, err := l.cosigner.Cosign(text, purchase.At(time.Date(2026, 7, 9, 13, 45, 9, 0, time.UTC)))
	if err != nil {
		t.Fatal(err)
	}
	return evidence.AddSignatures(text, line)
}

// prove is the proof of a leaf in the tree of a size.
func (l *testLog) prove(t testing.TB, index, size int64, cosigned bool) *evidence.Proof {
	t.Helper()
	path, err := tlog.ProveRecord(size, index, l)
	if err != nil {
		t.Fatal(err)
	}
	return &evidence.Proof{Leaf: l.leaves[index], Index: index, Path: path, Checkpoint: l.checkpoint(t, size, cosigned)}
}

// provenCorpus is receipts with proofs of every kind, and what is no proof of them.
func provenCorpus(t *testing.T, i *receipt.Issuer, l *testLog, chance *rand.Rand) (all [][]byte) {
	t.Helper()
	genuine := signed(t, i, purchase.Credited, money.XOF, true)
	p := bought(purchase.Credited, money.XOF)
	join := func(p *evidence.Proof) []byte { return receipt.Join(genuine, p.Text()) }
	for _, state := range purchase.States[1:] {
		q := bought(state, money.GHS)
		at := l.add(t, leafOf(&q))
		all = append(all, receipt.Join(signed(t, i, state, money.GHS, true), l.prove(t, at, at+1, state%2 == 0).Text()))
		all = append(all, join(l.prove(t, at, at+1, true))) // says something else, but for the one that is credited in another currency
	}
	at := l.add(t, leafOf(&p))
	for _, change := range []func(q *purchase.Purchase){func(q *purchase.Purchase) { q.ID++ }, func(q *purchase.Purchase) { q.Version-- }, func(q *purchase.Purchase) { q.Charged.Minor++ },
		func(q *purchase.Purchase) { q.ResolveBy += 1_000_000 }, func(q *purchase.Purchase) { q.ChargedAt -= 1 }} {
		q := p
		change(&q)
		n := l.add(t, leafOf(&q))
		all = append(all, join(l.prove(t, n, n+1, false)))
	}
	size := int64(len(l.leaves))
	good := join(l.prove(t, at, size, true))
	all = append(all, good, join(l.prove(t, at, at+1, false)), join(l.prove(t, 3, size, false)))
	for bit := chance.IntN(200); bit < len(good)*8; bit += 1 + chance.IntN(250) {
		bad := bytes.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		all = append(all, bad)
	}
	swapped := l.prove(t, at, size, false)
	for _, n := range []int64{5, at, size - 1} {
		swapped.Checkpoint = l.checkpoint(t, n, false)
		all = append(all, join(swapped))
	}
	other := newLog(t, "other.example/log")
	n := other.add(t, leafOf(&p))
	all = append(all, join(other.prove(t, n, n+1, false)))
	other = newLog(t, "tenu.example/log")
	other.cosigner, _ = evidence.NewCosigner("stranger.example", bytes.NewReader(bytes.Repeat([]byte{3}, 32)))
	n = other.add(t, leafOf(&p))
	all = append(all, join(other.prove(t, n, n+1, true)), join(other.prove(t, n, n+1, false)))
	text := string(l.prove(t, at, size, true).Text())
	for _, swap := range [][2]string{{"extra ", "Extra "}, {"index ", "index 0"}, {"index ", "index -"}, {"index ", "index 99999999999999999"}, {"tenu.example/log\n", "other.example/log\n"}, {"\n— witness", "\n\n— witness"},
		{"— witness.example", "— other.example"}, {"— tenu.example/log", "— tenu.example/Log"}, {"\n\ntenu", "\ntenu"}} {
		all = append(all, receipt.Join(genuine, []byte(strings.Replace(text, swap[0], swap[1], 1))))
	}
	lines := strings.SplitAfter(text, "\n")
	for n := range lines {
		without := strings.Join(append(append([]string{}, lines[:n]...), lines[n+1:]...), "")
		twice := strings.Join(append(append([]string{}, lines[:n+1]...), lines[n:]...), "")
		all = append(all, receipt.Join(genuine, []byte(without)), receipt.Join(genuine, []byte(twice)), receipt.Join(genuine, []byte(strings.Join(lines[:n+1], ""))))
	}
	return all
}

// Each bit of a receipt and its proof counts: whichever is flipped, it is refused.
func TestEveryBitOfAProof(t *testing.T) {
	i, l := issuer(t), newLog(t, "tenu.example/log")
	p := bought(purchase.Credited, money.XOF)
	at := l.add(t, leafOf(&p))
	good := receipt.Join(signed(t, i, purchase.Credited, money.XOF, true), l.prove(t, at, at+1, true).Text())
	trust := receipt.Trust{Keys: i.Keys(), Logs: []note.Verifier{l.verifier}, Required: []note.Verifier{l.witness}}
	_, proven, err := trust.Check(good)
	if err != nil || proven == nil || proven.Leaf != at || proven.Size != at+1 || len(proven.Cosigned) != 1 || proven.Cosigned[0].By != "witness.example" {
		t.Fatalf("a genuine one: %+v, %v", proven, err)
	}
	for bit := range len(good) * 8 {
		bad := bytes.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		if _, _, err := trust.Check(bad); err == nil {
			t.Errorf("bit %d, of byte %q in %q, is flipped and accepted", bit, good[bit/8], good[max(0, bit/8-20):min(len(good), bit/8+20)])
		}
	}
	var refusal *receipt.Refusal
	if _, _, err := trust.Check(receipt.Join(signed(t, i, purchase.Credited, money.XOF, true), l.prove(t, at, at+1, false).Text())); !errors.As(err, &refusal) || refusal.Reason != receipt.Unwitnessed {
		t.Errorf("the witness that must have cosigned did not: %v", err)
	}
}
