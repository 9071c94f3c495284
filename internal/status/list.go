package status

import (
	"cmp"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"tenu/internal/incident"
	"tenu/internal/purchase"
)

// Listed is a purchase that an incident affects, as the list for other hosts has it.
type Listed struct {
	Reference purchase.Reference
	Incident  incident.ID
	State     purchase.State
}

// The list, in files of some kilobytes: who looks one reference up fetches one of them. Of each
// entry listTag bytes are what a reference finds it by; the last holds two bits that say what became
// of it, under two that follow from the reference. Whatever two bits come out mean something, so that
// they do not tell a real reference from another that finds the same entry. docs/INCIDENTS.md says
// what that hides and what not; pages/concerned.js reads it.
const (
	listRounds  = 500 // of PBKDF2: as many as a node can make of everybody affected
	listTag     = 4   // few enough that some 256 possible references of a shard share one
	listEntry   = listTag + 1
	listBuckets = 64
	listMost    = 100_000
	listAtOnce  = 4000 // that are made anew for one version
	saltBytes   = 16
)

// What an entry says of a purchase. Pending is two, as the reference has it.
const (
	listPending  = 0
	listCredited = 1
	listRefunded = 2
	listPending2 = 3
)

// list makes the files of the list. It keeps what follows from each reference, which takes long
// to make. It is for one goroutine.
type list struct {
	site    *Site
	derived map[purchase.Reference][listEntry]byte
}

// about are the bytes that follow from a reference.
func (l *list) about(r purchase.Reference) (b [listEntry]byte, err error) {
	key, err := pbkdf2.Key(sha256.New, string(r), l.site.cfg.Salt, listRounds, listEntry)
	if err != nil {
		return b, fmt.Errorf("status: hide a reference: %w", err)
	}
	copy(b[:], key)
	return b, nil
}

// listDocument is concerned.json.
type listDocument struct {
	At       string            `json:"at"`
	AsOf     map[string]string `json:"as_of"` // by language
	Salt     string            `json:"salt"`
	Rounds   int               `json:"rounds"`
	Complete bool              `json:"complete"` // everybody affected is listed
}

// files are the list's, the document after the buckets. Whoever there was no time for is left to
// the next version, and the document says that somebody is missing.
func (l *list) files(snap *Snapshot) ([]File, error) {
	if len(l.site.cfg.Salt) == 0 {
		return nil, nil
	}
	all := slices.Clone(snap.Listed)
	complete := !snap.ListedMore && len(all) <= listMost
	// The newest incidents first; what is listed does not depend on the order that it was read in.
	slices.SortFunc(all, func(a, b Listed) int {
		return cmp.Or(cmp.Compare(b.Incident, a.Incident), cmp.Compare(a.Reference, b.Reference))
	})
	all = all[:min(len(all), listMost)]
	fresh, kept := 0, make(map[purchase.Reference][listEntry]byte, len(all))
	buckets := make([][][listEntry]byte, listBuckets)
	for i := range all {
		about, known := l.derived[all[i].Reference]
		if !known {
			if fresh++; fresh > listAtOnce {
				complete = false
				continue
			}
			var err error
			if about, err = l.about(all[i].Reference); err != nil {
				return nil, err
			}
		}
		kept[all[i].Reference] = about
		at := int(about[0]) * listBuckets / 256
		buckets[at] = append(buckets[at], sealed(about, &all[i]))
	}
	l.derived = kept
	var files []File
	for i, entries := range buckets {
		slices.SortFunc(entries, func(a, b [listEntry]byte) int { return slices.Compare(a[:], b[:]) })
		body := make([]byte, 0, len(entries)*listEntry)
		for j := range entries {
			body = append(body, entries[j][:]...)
		}
		files = append(files, File{bucketName(i), "application/octet-stream", body})
	}
	d := listDocument{At: stamp(snap.At), AsOf: map[string]string{}, Salt: hex.EncodeToString(l.site.cfg.Salt), Rounds: listRounds, Complete: complete}
	for _, t := range l.site.tongues {
		d.AsOf[t.Code] = t.moment(snap.At)
	}
	body, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("status: write concerned.json: %w", err)
	}
	return append(files, File{"concerned.json", "application/json", append(body, '\n')}), nil
}

func bucketName(i int) string { return fmt.Sprintf("concerned-%02x.bin", i) }

// sealed is a purchase's entry.
func sealed(about [listEntry]byte, p *Listed) [listEntry]byte {
	says := byte(listPending)
	switch p.State {
	case purchase.Credited:
		says = listCredited
	case purchase.Refunded:
		says = listRefunded
	case purchase.Charging, purchase.Crediting, purchase.Refunding, purchase.Declined:
		if about[listTag]&4 != 0 {
			says = listPending2
		}
	}
	about[listTag] = about[listTag]&3 ^ says
	return about
}
