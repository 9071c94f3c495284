package seal_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"tenu/internal/seal"
)

// keeperOf makes a keeper of a fresh identity, and returns it with its recipient and file.
func keeperOf(t testing.TB, others ...string) (k *seal.Keeper, recipient, file string) {
	t.Helper()
	file, recipient, err := seal.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	k, err = seal.NewKeeper(append([]string{recipient}, others...), file)
	if err != nil {
		t.Fatal(err)
	}
	return k, recipient, file
}

func ringOf(t testing.TB, k *seal.Keeper, keys ...seal.Key) *seal.Ring {
	t.Helper()
	r, err := k.Ring(keys)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// keysOf makes data keys that follow each other.
func keysOf(t testing.TB, k *seal.Keeper, n int) (keys []seal.Key) {
	t.Helper()
	var last seal.Key
	for range n {
		var err error
		if last, err = k.Make(last); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, last)
	}
	return keys
}

func keyOf(t testing.TB, k *seal.Keeper) seal.Key { return keysOf(t, k, 1)[0] }

const words = "il dit que le 70 12 34 56 n'a rien reçu"

func TestSealedOpensWhereItStands(t *testing.T) {
	k, _, _ := keeperOf(t)
	keys := keysOf(t, k, 2)
	before, after := ringOf(t, k, keys[0]), ringOf(t, k, keys...)
	where := seal.Where("case_entry.text", int64(5), int64(3))
	text, data := before.Text(where, words), before.Bytes(where, []byte(words))
	if !seal.Sealed(text) || !seal.Sealed(data) || strings.Contains(text, "70 12") || bytes.Contains(data, []byte("70 12")) || text == before.Text(where, words) {
		t.Fatalf("sealed as %q and %q", text, data)
	}
	for _, r := range []*seal.Ring{before, after} { // an older key's values stay readable
		if s, err := r.OpenText(where, text); err != nil || s != words {
			t.Errorf("opened as %q, %v", s, err)
		}
		if b, err := r.OpenBytes(where, data); err != nil || string(b) != words {
			t.Errorf("opened as %q, %v", b, err)
		}
	}
	newer := after.Text(where, words)
	if !strings.HasPrefix(newer, seal.Prefix[string](2)) || !bytes.HasPrefix(after.Bytes(where, []byte(words)), seal.Prefix[[]byte](2)) {
		t.Errorf("the newest key does not seal: %q", newer)
	}
	var key *seal.KeyError
	if _, err := before.OpenText(where, newer); !errors.As(err, &key) || key.ID != 2 || !strings.Contains(err.Error(), where) {
		t.Errorf("by an unknown key: %v", err)
	}
	for _, other := range []string{seal.Where("case_entry.text", int64(5), int64(4)), seal.Where("report.detail", int64(5), int64(3)),
		seal.Where("case_entry.text", int64(53)), seal.Where("case_entry.text", int64(5), "3")} {
		if s, err := after.OpenText(other, text); !errors.Is(err, seal.ErrChanged) || !strings.Contains(err.Error(), other) {
			t.Errorf("moved to %s: %q, %v", other, s, err)
		}
		if b, err := after.OpenBytes(other, data); !errors.Is(err, seal.ErrChanged) {
			t.Errorf("moved to %s: %q, %v", other, b, err)
		}
	}
}

// Each bit of what is stored counts: what one less is of is refused or, where it no longer looks sealed, shown as it stands.
func TestFlippedBitIsFound(t *testing.T) {
	k, _, _ := keeperOf(t)
	r := ringOf(t, k, keyOf(t, k))
	where := seal.Where("attachment.data", int64(7))
	text, data := r.Text(where, words), r.Bytes(where, []byte(words))
	for bit := range len(data) * 8 {
		changed := bytes.Clone(data)
		changed[bit/8] ^= 1 << (bit % 8)
		if b, err := r.OpenBytes(where, changed); err == nil && !bytes.Equal(b, changed) {
			t.Errorf("bit %d of the bytes: %q", bit, b)
		}
	}
	for bit := range len(text) * 8 {
		changed := []byte(text)
		changed[bit/8] ^= 1 << (bit % 8)
		if s, err := r.OpenText(where, string(changed)); err == nil && s != string(changed) {
			t.Errorf("bit %d of the text: %q", bit, s)
		}
	}
	for n := range len(text) {
		if s, err := r.OpenText(where, text[:n]); err == nil && s != text[:n] {
			t.Errorf("cut at %d: %q", n, s)
		}
	}
}

func TestPlainStaysPlain(t *testing.T) {
	var none *seal.Ring
	for _, plain := range []string{"", words, seal.Mark, seal.Mark + "1:abc", seal.Plain[string]()} {
		stored := none.Text("a.b(1)", plain)
		if s, err := none.OpenText("a.b(1)", stored); err != nil || s != plain {
			t.Errorf("%q is kept as %q and read as %q, %v", plain, stored, s, err)
		}
	}
	for _, plain := range [][]byte{{}, []byte("PNG"), seal.Prefix[[]byte](9)} {
		if b, err := none.OpenBytes("a.b(1)", none.Bytes("a.b(1)", plain)); err != nil || !bytes.Equal(b, plain) {
			t.Errorf("%q is read as %q, %v", plain, b, err)
		}
	}
	k, _, _ := keeperOf(t)
	r := ringOf(t, k, keyOf(t, k))
	if r.Text("a.b(1)", "") != "" || len(r.Bytes("a.b(1)", nil)) != 0 {
		t.Error("what is empty did not stay so")
	}
	if s, err := r.OpenText("a.b(1)", words); err != nil || s != words {
		t.Errorf("what was written before: %q, %v", s, err)
	}
}

// A data key that was wrapped again is closed to who is no recipient any more, and what it sealed opens as before.
func TestRetiredIdentityOpensNothing(t *testing.T) {
	old, first, oldFile := keeperOf(t)
	key := keyOf(t, old)
	text := ringOf(t, old, key).Text("a.b(1)", words)
	newFile, second, err := seal.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	change, err := seal.NewKeeper([]string{second}, oldFile+newFile) // both identities, while it changes
	if err != nil {
		t.Fatal(err)
	}
	if change.Recipients() == key.Recipients {
		t.Error("the recipients are the same")
	}
	again, err := change.Again(key)
	if err != nil {
		t.Fatal(err)
	}
	alone, err := seal.NewKeeper([]string{second}, newFile)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := ringOf(t, alone, again).OpenText("a.b(1)", text); err != nil || s != words {
		t.Errorf("the new identity reads %q, %v", s, err)
	}
	if _, err := old.Ring([]seal.Key{again}); err == nil || !strings.Contains(err.Error(), second) || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("the retired identity: %v", err)
	}
	if _, err := alone.Ring([]seal.Key{key}); err == nil || !strings.Contains(err.Error(), first) {
		t.Errorf("the new identity and the old wrapping: %v", err)
	}
	again.ID = 2 // the rows of two keys are exchanged
	if _, err := alone.Ring([]seal.Key{again}); err == nil {
		t.Error("a key under another's number was taken")
	}
	for bit := range len(again.Wrapped) * 8 {
		k := seal.Key{ID: 1, Wrapped: bytes.Clone(again.Wrapped)}
		k.Wrapped[bit/8] ^= 1 << (bit % 8)
		if _, err := alone.Ring([]seal.Key{k}); err == nil {
			t.Errorf("bit %d of a wrapped key was not missed", bit)
		}
	}
}

// A data key is taken only behind the one that it was made after: anybody can encrypt for a recipient.
func TestForeignKeyIsRefused(t *testing.T) {
	k, _, _ := keeperOf(t)
	ours, theirs := keysOf(t, k, 3), keysOf(t, k, 3)
	for name, keys := range map[string][]seal.Key{
		"another's second": {ours[0], theirs[1]}, "another's third": {ours[0], ours[1], theirs[2]}, "another's first": {theirs[0], ours[1]},
		"none between": {ours[0], ours[2]}, "no first": {ours[1]}, "twice": {ours[0], ours[0]},
	} {
		if _, err := k.Ring(keys); err == nil || !strings.Contains(err.Error(), "data key ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	before, after := ringOf(t, k, ours[:2]...), ringOf(t, k, ours...)
	if !after.Follows(before) || !before.Follows(nil) || before.Follows(after) || ringOf(t, k, theirs...).Follows(before) {
		t.Error("which ring follows which is wrong")
	}
	again, err := k.Again(ours[1])
	if err != nil || !ringOf(t, k, ours[0], again, ours[2]).Follows(after) {
		t.Errorf("wrapped again it is another: %v", err)
	}
}

func TestKeeperIsStrict(t *testing.T) {
	file, recipient, err := seal.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	_, other, _ := keeperOf(t)
	secret := strings.TrimSpace(file[strings.Index(file, "AGE-SECRET"):])
	for name, c := range map[string]struct {
		recipients []string
		identities string
	}{
		"no recipient":             {nil, file},
		"no identity":              {[]string{recipient}, "# nothing\n"},
		"a recipient twice":        {[]string{recipient, recipient}, file},
		"no such recipient":        {[]string{recipient, "age1xyz"}, file},
		"an identity as recipient": {[]string{secret}, file},
		"a recipient as identity":  {[]string{recipient}, recipient},
		"a broken identity":        {[]string{recipient}, file + secret[:40]},
		"another's identity":       {[]string{other}, file},
	} {
		_, err := seal.NewKeeper(c.recipients, c.identities)
		if err == nil || strings.Contains(err.Error(), secret[20:30]) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if k, err := seal.NewKeeper([]string{other, recipient}, "\n"+file); err != nil || len(strings.Fields(k.Recipients())) != 2 {
		t.Errorf("two recipients: %v", err)
	}
}

func BenchmarkText(b *testing.B) {
	k, _, _ := keeperOf(b)
	r := ringOf(b, k, keyOf(b, k))
	text := strings.Repeat("x", 160)
	b.ReportAllocs()
	for b.Loop() {
		r.Text(seal.Where("report.detail", int64(123456789), int64(22670123456), "other"), text)
	}
}

func BenchmarkOpenText(b *testing.B) {
	k, _, _ := keeperOf(b)
	r := ringOf(b, k, keyOf(b, k))
	where := seal.Where("report.detail", int64(123456789), int64(22670123456), "other")
	sealed := r.Text(where, strings.Repeat("x", 160))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.OpenText(where, sealed); err != nil {
			b.Fatal(err)
		}
	}
}
