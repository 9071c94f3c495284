package status

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"tenu/internal/incident"
	"tenu/internal/purchase"
)

// newList is the list of a site that has one.
func newList(t testing.TB) *list {
	t.Helper()
	s, err := NewSite(Config{Brand: "Tenu", Public: "https://etat.example/", Platform: "https://tenu.example/etat/", Salt: []byte("0123456789abcdef"), Location: time.UTC})
	if err != nil {
		t.Fatal(err)
	}
	return &list{site: s}
}

// listed are so many purchases of an incident.
func listed(t testing.TB, n int) (all []Listed) {
	t.Helper()
	keys, err := purchase.NewKeyring([]byte("a secret of the installation"))
	if err != nil {
		t.Fatal(err)
	}
	states := []purchase.State{purchase.Credited, purchase.Refunded, purchase.Crediting, purchase.Refunding}
	for i := range n {
		all = append(all, Listed{keys.Reference(purchase.MakeID(3, int64(i)+1_000_000)), incident.ID(7 + i%2), states[i%len(states)]})
	}
	return all
}

// lookUp finds a reference in the files as pages/concerned.js does; -1 where it is not listed.
func lookUp(t *testing.T, l *list, files map[string][]byte, r purchase.Reference) int {
	t.Helper()
	about, err := l.about(r)
	if err != nil {
		t.Fatal(err)
	}
	bucket := files[fmt.Sprintf("concerned-%02x.bin", about[0]>>2)]
	for ; len(bucket) >= 5; bucket = bucket[5:] {
		if bytes.Equal(bucket[:4], about[:4]) {
			return int(bucket[4]^about[4]) & 3
		}
	}
	return -1
}

func contents(t *testing.T, l *list, snap *Snapshot) (files map[string][]byte, d listDocument) {
	t.Helper()
	all, err := l.files(snap)
	if err != nil {
		t.Fatal(err)
	}
	files = map[string][]byte{}
	for _, f := range all {
		files[f.Name] = f.Body
	}
	if err := json.Unmarshal(files["concerned.json"], &d); err != nil || len(files) != listBuckets+1 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	return files, d
}

// TestList: everybody who is listed is found with what became of them, nobody else is, and no
// reference can be read in the files.
func TestList(t *testing.T) {
	l := newList(t)
	all := listed(t, 400)
	snap := &Snapshot{At: noon, Listed: all[:300]}
	files, d := contents(t, l, snap)
	if !d.Complete || d.Rounds != listRounds || d.Salt != hex.EncodeToString(l.site.cfg.Salt) || d.AsOf["fr"] == "" || d.AsOf["en"] == "" {
		t.Errorf("%+v", d)
	}
	said := map[int]int{}
	for i := range all {
		got := lookUp(t, l, files, all[i].Reference)
		right := got == listPending || got == listPending2
		switch {
		case i >= 300:
			right = got < 0
		case all[i].State == purchase.Credited:
			right = got == listCredited
		case all[i].State == purchase.Refunded:
			right = got == listRefunded
		}
		if said[got]++; !right {
			t.Errorf("%d: %+v is said to be %d", i, all[i], got)
		}
	}
	// Nothing of an entry but its last two bits is left of what is said, and those are evenly spread.
	spread := map[byte]int{}
	for name, body := range files {
		for ; strings.HasSuffix(name, ".bin") && len(body) > 0; body = body[listEntry:] {
			spread[body[listTag]]++
		}
	}
	if len(spread) != 4 || min(spread[0], spread[1], spread[2], spread[3]) < 45 || said[listPending] < 40 || said[listPending2] < 40 {
		t.Errorf("what is hidden is %v, what is said %v", spread, said)
	}
	for name, body := range files {
		for i := range all {
			if bytes.Contains(body, []byte(all[i].Reference)) || bytes.Contains(body, []byte(all[i].Reference.String())) {
				t.Errorf("%s has a reference", name)
			}
		}
	}
	// The same again, whatever the order, and nothing is made anew but what changed.
	snap.Listed = append(append([]Listed{}, all[100:300]...), all[:100]...)
	again, _ := contents(t, l, snap)
	snap.Listed[0].State = purchase.Refunding
	if snap.Listed[0].State == all[100].State {
		t.Fatal("nothing changes")
	}
	changed, _ := contents(t, l, snap)
	differ := 0
	for name := range files {
		if !bytes.Equal(files[name], again[name]) {
			t.Errorf("%s depends on the order", name)
		}
		if !bytes.Equal(files[name], changed[name]) {
			differ++
		}
	}
	if differ != 1 {
		t.Errorf("%d files differ by one purchase", differ)
	}
}

// TestListIsBounded: of many who are new a version has some, says so, and the next has the rest;
// a bucket of the largest list fits a first answer.
func TestListIsBounded(t *testing.T) {
	l := newList(t)
	snap := &Snapshot{At: noon, Listed: listed(t, listAtOnce+100)}
	entries := func(files map[string][]byte) (n int) {
		for name, body := range files {
			if strings.HasSuffix(name, ".bin") {
				n += len(body) / listEntry
			}
		}
		return n
	}
	files, d := contents(t, l, snap)
	if d.Complete || entries(files) != listAtOnce {
		t.Errorf("%d entries, %+v", entries(files), d)
	}
	files, d = contents(t, l, snap)
	if !d.Complete || entries(files) != listAtOnce+100 {
		t.Errorf("%d entries, %+v", entries(files), d)
	}
	snap.ListedMore = true
	if _, d = contents(t, l, snap); d.Complete {
		t.Error("it is said to be complete, and there are more")
	}
	if most := listMost / listBuckets * listEntry; most > Most {
		t.Errorf("a bucket has %d bytes", most)
	}
	if _, err := l.files(&Snapshot{At: noon}); err != nil || len(l.derived) != 0 {
		t.Errorf("%d are remembered of nobody", len(l.derived))
	}
}

// TestLookupPages: a copy with the list leads to it from the first page, asks the platform for
// nothing, and runs no script but its own.
func TestLookupPages(t *testing.T) {
	l := newList(t)
	list, err := l.site.Files(ongoing())
	if err != nil {
		t.Fatal(err)
	}
	files := byName(list)
	for _, name := range []string{"index.html", "index.en.html", "incident-12.html"} {
		if strings.Contains(files[name], "<form") || strings.Contains(files[name], "<script") || !strings.Contains(files[name], `href="concerned`) {
			t.Errorf("%s: %s", name, files[name])
		}
	}
	for _, name := range []string{"concerned.html", "concerned.en.html"} {
		body := files[name]
		if len(body) > Most || strings.Count(body, "<script") != 1 || !strings.Contains(body, `<script src="concerned.js" defer></script>`) ||
			!strings.Contains(body, "script-src &#39;self&#39;; connect-src &#39;self&#39;") || !strings.Contains(body, "<noscript>") {
			t.Errorf("%s has %d bytes: %s", name, len(body), body)
		}
	}
	if len(files["concerned.js"]) == 0 || len(files["concerned.js"]) > Most {
		t.Errorf("the script has %d bytes", len(files["concerned.js"]))
	}
	// The platform's own pages ask the platform, which knows more.
	own, err := l.site.files(ongoing(), true)
	if err != nil {
		t.Fatal(err)
	}
	served := byName(own)
	if served["concerned.js"] != "" || served["concerned.html"] != "" || !strings.Contains(served["index.html"], `action="concerned"`) {
		t.Error("the platform serves the copy's page")
	}
}

// BenchmarkAbout is what hiding one reference takes.
func BenchmarkAbout(b *testing.B) {
	l := newList(b)
	r := listed(b, 1)[0].Reference
	for b.Loop() {
		if _, err := l.about(r); err != nil {
			b.Fatal(err)
		}
	}
}
