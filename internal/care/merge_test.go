package care_test

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"tenu/internal/care"
	"tenu/internal/purchase"
)

// TestMerge: cases of one customer become one, and nothing of them is lost, a crash between included.
func TestMerge(t *testing.T) {
	offices(t, func(t *testing.T, o *office) {
		_, into := o.sell(t, saleOf{payer: payer, recipient: recipient, total: 500, doubt: true})
		_, doubt := o.sell(t, saleOf{payer: payer, recipient: recipient, total: 600, doubt: true})
		_, other := o.sell(t, saleOf{payer: payer + 1, recipient: recipient, total: 500})
		p, from := o.sell(t, saleOf{payer: payer, recipient: recipient, total: 700})
		from = o.must(t, from.ID, by(basil), care.Deed{Do: care.EventNote, Text: "called twice"})
		try := func(from, into care.Case, by care.Actor, want error) {
			t.Helper()
			if _, err := o.Merge(t.Context(), from, into, by); !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
		}
		try(from, from, by(basil), care.ErrRefused)
		try(other, into, by(basil), care.ErrRefused)
		try(doubt, into, by(basil), care.ErrRefused) // its money is nowhere yet
		try(from, into, by(emil), care.ErrRefused)
		try(from, into, customer, care.ErrRefused)
		stale := from
		stale.Version--
		try(stale, into, by(basil), care.ErrStale)
		if n := len(o.history(t, into.ID)); n != 0 {
			t.Errorf("refused, and a trace: %s", o.history(t, into.ID))
		}

		writes := 0
		o.store.fault = func(bool) error {
			if writes++; writes == 2 { // the answer is lost
				return purchase.ErrUnavailable
			}
			return nil
		}
		try(from, into, by(basil), purchase.ErrUnavailable)
		o.store.fault = nil
		now, err := o.Merge(t.Context(), o.file(t, from.ID), o.file(t, into.ID), by(basil))
		if err != nil || !now.Has(from.Matters[0]) {
			t.Fatal(err)
		}
		gone := o.file(t, from.ID)
		if gone.Status != care.Withdrawn || gone.Into != into.ID || gone.Outcome != 0 || now.Status != care.Open {
			t.Errorf("from %+v into %+v", gone, now)
		}
		if !strings.Contains(o.history(t, from.ID), "called twice") || strings.Count(o.history(t, from.ID), "merged") != 1 ||
			strings.Count(o.history(t, into.ID), "merged") != 1 {
			t.Errorf("%s\n%s", o.history(t, from.ID), o.history(t, into.ID))
		}
		if found, err := o.CasesAbout(t.Context(), p.ID); err != nil || len(found) != 0 {
			t.Errorf("the purchase's cases: %+v %v", found, err)
		}
		_, err = o.do(t, from.ID, by(basil), care.Deed{Do: care.EventReopened})
		refused(t, err, care.WhyAlready)
	})
}

// TestMergeMeanwhile: a case that others change, or close, after it was read is not merged, and nothing is left of the attempt.
func TestMergeMeanwhile(t *testing.T) {
	for name, deed := range map[string]care.Deed{"changed": {Do: care.EventNote, Text: "x"}, "settled": {Do: care.EventSettled, Outcome: care.OutcomeCredited}} {
		t.Run(name, func(t *testing.T) {
			o := openOffice(t, "sqlite:"+t.TempDir()+"/tenu.db")
			_, into := o.sell(t, saleOf{payer: payer, recipient: recipient, total: 500})
			from := o.other(t)
			o.store.fault = func(bool) error { // both were read
				o.store.fault = func(bool) error { return nil }
				o.must(t, into.ID, by(carol), deed)
				return nil
			}
			if _, err := o.Merge(t.Context(), from, into, by(basil)); !errors.Is(err, care.ErrStale) {
				t.Error(err)
			}
			if now := o.file(t, from.ID); now.Status != care.Open || now.Into != 0 || strings.Contains(o.history(t, into.ID), "merged") {
				t.Errorf("%+v, %s", now, o.history(t, into.ID))
			}
		})
	}
}

// TestMergeOpposite: of two merges that begin at once, each case into the other, one is done: the other case stays.
func TestMergeOpposite(t *testing.T) {
	offices(t, func(t *testing.T, o *office) {
		_, one := o.sell(t, saleOf{payer: payer, recipient: recipient, total: 500})
		two := o.other(t)
		var both, done sync.WaitGroup
		both.Add(2)
		var begun atomic.Int32
		o.store.fault = func(after bool) error {
			if !after && begun.Add(1) <= 2 { // both have read both
				both.Done()
				both.Wait()
			}
			return nil
		}
		for _, pair := range [][2]care.Case{{one, two}, {two, one}} {
			done.Go(func() {
				if _, err := o.Merge(t.Context(), pair[0], pair[1], by(basil)); err != nil && !errors.Is(err, care.ErrStale) {
					t.Error(err)
				}
			})
		}
		done.Wait()
		if one, two = o.file(t, one.ID), o.file(t, two.ID); (one.Into == 0) == (two.Into == 0) || (one.Status == care.Open) == (two.Status == care.Open) {
			t.Errorf("%+v\n%+v", one, two)
		}
	})
}

// other is a case of the payer's that is about no purchase.
func (o *office) other(t *testing.T) care.Case {
	t.Helper()
	c, _, err := o.Open(t.Context(), by(basil), care.NewCase{Number: payer, Matter: care.MatterOther, Channel: "console", Language: "fr"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestAttach: files are kept by what they hold, not by what they are called; large, odd and too many are refused.
func TestAttach(t *testing.T) {
	o := openOffice(t, "sqlite:"+t.TempDir()+"/tenu.db")
	_, c := o.sell(t, saleOf{payer: payer, recipient: recipient, total: 500, doubt: true})
	png := append([]byte("\x89PNG\r\n\x1a\n"), bytes.Repeat([]byte{0}, 100)...)
	for name, bad := range map[string]struct {
		data []byte
		why  care.Why
	}{
		"empty.txt": {nil, care.WhySize},
		"large.png": {append(png, make([]byte, care.MaxAttachment)...), care.WhySize},
		"page.png":  {[]byte("<html><script>alert(1)</script>"), care.WhyType},
		"run.pdf":   {[]byte("MZ\x90\x00\x03\x00\x00\x00"), care.WhyType},
		"pic.svg":   {[]byte(`<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>`), care.WhyType},
		"a.zip":     {[]byte("PK\x03\x04aaaaaaaaaaaaa"), care.WhyType},
	} {
		_, err := o.Attach(t.Context(), c.ID, by(basil), name, bad.data)
		refused(t, err, bad.why)
	}
	for _, who := range []care.Actor{by(fania), by(emil), customer} {
		if _, err := o.Attach(t.Context(), c.ID, who, "a.png", png); !errors.Is(err, care.ErrRefused) {
			t.Errorf("%+v: %v", who, err)
		}
	}
	for name, want := range map[string]string{"../../etc/passwd": "passwd", `C:\Users\x\reçu.png`: "reçu.png", "a\x00b\u202egnp.exe": "abgnp.exe", "/": "file", "..": "file",
		"": "file", strings.Repeat("n", 300) + ".png": strings.Repeat("n", 80)} {
		a, err := o.Attach(t.Context(), c.ID, by(basil), name, png)
		if err != nil || a.Name != want || a.Type != "image/png" || a.Size != len(png) {
			t.Errorf("%q is kept as %q, %s: %v", name, a.Name, a.Type, err)
		}
	}
	for _, data := range [][]byte{[]byte("%PDF-1.7 ..."), []byte("plain words, en français"), append([]byte("\xff\xd8\xff"), 0)} {
		if _, err := o.Attach(t.Context(), c.ID, by(basil), "more", data); err != nil {
			t.Error(err)
		}
	}
	if _, err := o.Attach(t.Context(), c.ID, by(basil), "eleventh", png); !errors.Is(err, care.ErrFull) {
		t.Errorf("the eleventh: %v", err)
	}
	if n := strings.Count(o.history(t, c.ID), "attached"); n != care.MaxAttachments {
		t.Errorf("the history tells of %d files", n)
	}
	if _, err := o.Attach(t.Context(), 4711, by(basil), "a.png", png); !errors.Is(err, care.ErrNoCase) {
		t.Errorf("no such case: %v", err)
	}
}
