package reconcile

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"tenu/internal/money"
	"tenu/internal/purchase"
)

func drain(t *rapid.T, in stream) (all [][]byte) {
	for {
		record, err := in.next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, bytes.Clone(record))
	}
}

// However many runs there are, records come out in order, each as often as it was added, as often as asked.
func TestSpoolSorts(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		records := rapid.SliceOf(rapid.SliceOfN(rapid.Byte(), 1, 40)).Draw(t, "records")
		s := newSpool(dir)
		defer s.close()
		s.most = rapid.IntRange(1, 200).Draw(t, "run")
		for _, r := range records {
			if err := s.add(r); err != nil {
				t.Fatal(err)
			}
		}
		slices.SortFunc(records, bytes.Compare)
		for range 2 {
			in, err := s.sorted()
			if err != nil {
				t.Fatal(err)
			}
			if got := drain(t, in); !slices.EqualFunc(got, records, bytes.Equal) {
				t.Fatalf("%q, want %q", got, records)
			}
		}
	})
}

var texts = rapid.StringMatching(`[A-Za-z0-9#é ]{0,12}`)

func drawLine(t *rapid.T) Line {
	return Line{Place: rapid.Int64Range(1, 1e9).Draw(t, "place"), Kind: Kind(rapid.IntRange(1, 6).Draw(t, "kind")), Key: texts.Draw(t, "key"),
		Ref: texts.Draw(t, "ref"), Original: texts.Draw(t, "original"), Number: purchase.MSISDN(rapid.Int64Range(0, maxNumber).Draw(t, "number")),
		Amount:  money.Amount{Minor: rapid.Int64().Draw(t, "amount"), Currency: "XOF"},
		Product: texts.Draw(t, "product"), At: purchase.Instant(rapid.Int64Range(0, 1<<60).Draw(t, "at")),
		Purchase: purchase.ID(rapid.Int64Range(0, 1<<45-1).Draw(t, "id")), Leg: purchase.Leg(rapid.IntRange(0, 4).Draw(t, "leg"))}
}

// What is kept is read back as it was, and what is damaged is no line.
func TestLinesAreReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawLine(t)
		record := l.encode(nil)
		if got, err := decodeLine(record); err != nil || got != l {
			t.Fatalf("%+v, want %+v, %v", got, l, err)
		}
		same := l
		same.Place++
		if !bytes.Equal(identity(record), identity(same.encode(nil))) {
			t.Fatal("the place in the file tells lines apart")
		}
		cut := record[:rapid.IntRange(0, len(record)-1).Draw(t, "cut")]
		if _, err := decodeLine(cut); err == nil {
			t.Fatal("a line that is cut is read")
		}
	})
}

func TestMovementsAreReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		told := func(name string) []Told {
			return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Told {
				return Told{Ref: texts.Draw(t, "ref"), Amount: money.Amount{Minor: rapid.Int64().Draw(t, "amount"), Currency: "XOF"}, Account: 5, Product: texts.Draw(t, "product"), At: 9}
			}), 0, 3).Draw(t, name)
		}
		m := Movement{Purchase: 7, Leg: purchase.Refund, State: purchase.Refunded, Version: rapid.Int64().Draw(t, "version"), Account: 22670112233,
			Amount: money.Amount{Minor: -5, Currency: "XAF"}, Product: texts.Draw(t, "product"), Tries: 3, First: 1, Last: 2, Done: told("done"),
			Undone: told("undone"), Denied: rapid.Bool().Draw(t, "denied"), Seen: 4}
		lied := told("lied")
		got, gotLied, err := decodeMovement(encodeMovement(nil, &m, lied))
		if err != nil || got.Version != m.Version || got.Denied != m.Denied || got.Product != m.Product || !slices.Equal(got.Done, m.Done) ||
			!slices.Equal(got.Undone, m.Undone) || !slices.Equal(gotLied, lied) || got.Amount != m.Amount {
			t.Fatalf("%+v %+v, want %+v %+v, %v", got, gotLied, m, lied, err)
		}
		whole := encodeMovement(nil, &m, lied)
		if _, _, err := decodeMovement(whole[:len(whole)-1]); err == nil {
			t.Fatal("a movement that is cut is read")
		}
	})
}

func FuzzKeptLine(f *testing.F) {
	l := Line{Kind: KindCredit, Key: "k", Ref: "r", Amount: money.Amount{Minor: 5, Currency: "XOF"}}
	f.Add(l.encode(nil))
	f.Fuzz(func(t *testing.T, record []byte) {
		_ = identity(record)
		_ = content(record)
		_, _ = named2(record)
		if l, err := decodeLine(record); err == nil && !bytes.Equal(l.encode(nil), record) {
			t.Errorf("%+v is written otherwise than it was read", l)
		}
	})
}
