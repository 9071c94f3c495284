package purchase

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func testKeys(t rapid.TB) *Keyring {
	keys, err := NewKeyring([]byte("a secret of an installation"))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func drawID(t *rapid.T) ID {
	return MakeID(rapid.IntRange(0, 31).Draw(t, "shard"), rapid.Int64Range(0, 1<<SequenceBits-1).Draw(t, "sequence"))
}

func TestReferenceRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys, id := testKeys(t), drawID(t)
		ref := keys.Reference(id)
		written := []string{string(ref), ref.String(), strings.ToLower(ref.String()),
			strings.ReplaceAll(ref.String(), "-", " "), strings.ReplaceAll(strings.ReplaceAll(string(ref), "0", "O"), "1", "l")}
		for _, text := range written {
			if got, err := keys.Parse(text); err != nil || got != id {
				t.Fatalf("Parse(%q) = %d, %v; want %d", text, got, err, id)
			}
		}
	})
}

// TestReferenceErrors checks that any one wrong character and any two swapped are noticed.
func TestReferenceErrors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys, id := testKeys(t), drawID(t)
		ref := []byte(keys.Reference(id))
		i := rapid.IntRange(0, 9).Draw(t, "at")
		j := rapid.IntRange(0, 9).Draw(t, "with")
		wrong := append([]byte(nil), ref...)
		if wrong[i] = crockford[rapid.IntRange(0, 31).Draw(t, "char")]; wrong[i] != ref[i] {
			if _, err := keys.Parse(string(wrong)); err == nil {
				t.Fatalf("%s is taken for a reference, %s is right", wrong, ref)
			}
		}
		swapped := append([]byte(nil), ref...)
		if swapped[i], swapped[j] = swapped[j], swapped[i]; string(swapped) != string(ref) {
			if _, err := keys.Parse(string(swapped)); err == nil {
				t.Fatalf("%s is taken for a reference, %s is right", swapped, ref)
			}
		}
	})
}

func TestKeyRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys, id := testKeys(t), drawID(t)
		key := keys.Key(id, Legs[rapid.IntRange(0, 3).Draw(t, "leg")])
		if got, err := keys.ParseUUID(strings.ToUpper(key.UUID())); err != nil || got != key {
			t.Fatalf("ParseUUID(%s) = %v, %v", key.UUID(), got, err)
		}
		if got, err := keys.ParseDigits(key.Digits()); err != nil || got != key {
			t.Fatalf("ParseDigits(%s) = %v, %v", key.Digits(), got, err)
		}
		if len(key.Digits()) != 20 {
			t.Fatalf("%s has %d digits", key.Digits(), len(key.Digits()))
		}
		others, err := NewKeyring([]byte("another installation"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := others.ParseUUID(key.UUID()); err == nil {
			t.Fatal("another installation takes our key for its own")
		}
	})
}

func FuzzParseReference(f *testing.F) {
	keys := testKeys(f)
	f.Add(keys.Reference(MakeID(1, 12345)).String())
	f.Add("K7M2-Q4XD-9T")
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := keys.Parse(text); err == nil && keys.Reference(id) == "" {
			t.Errorf("%q gives %d without a reference", text, id)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	keys := testKeys(f)
	f.Add(keys.Key(MakeID(1, 12345), Credit).UUID())
	f.Add(keys.Key(MakeID(1, 12345), Credit).Digits())
	f.Fuzz(func(t *testing.T, text string) {
		if k, err := keys.ParseUUID(text); err == nil && !strings.EqualFold(k.UUID(), text) {
			t.Errorf("%q is read as %s", text, k.UUID())
		}
		if k, err := keys.ParseDigits(text); err == nil && k.Digits() != text {
			t.Errorf("%q is read as %s", text, k.Digits())
		}
	})
}

// TestSequenceFloor checks that the floor grows with time and never passes the sequence's width.
func TestSequenceFloor(t *testing.T) {
	if got := SequenceFloor(SequenceEpoch); got != 0 {
		t.Errorf("floor at the epoch is %d", got)
	}
	if got := SequenceFloor(SequenceEpoch + 10_000_000); got != 10*SequencesPerSecond {
		t.Errorf("floor after ten seconds is %d", got)
	}
	if got := SequenceFloor(1 << 62); got >= 1<<SequenceBits {
		t.Errorf("floor in the far future is %d", got)
	}
}
