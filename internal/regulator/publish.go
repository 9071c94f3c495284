package regulator

import (
	"context"
	"crypto/aes"
	"crypto/ed25519"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// Monthly is what is published of a month.
type Monthly struct {
	Month     string           `json:"month"`
	Zone      string           `json:"zone"`
	From      purchase.Instant `json:"from"` // microseconds since 1970, UTC
	Till      purchase.Instant `json:"till"`
	Published purchase.Instant `json:"published"`
	Version   string           `json:"version"` // of the software
	Head      string           `json:"head"`    // of the log, "" where there is none
	Profile   string           `json:"profile"`
	Limits    map[string]int64 `json:"limits"` // in milliseconds, by the figure that they are of
	Figures   *Figures         `json:"figures"`
	Days      []MonthlyDay     `json:"days"`
	// Corrections are those that were known when the month was published.
	Corrections []MonthlyCorrection `json:"corrections"`
	Open        []MonthlyItem       `json:"open"` // what was held and in exposure at the end (invariant R3)
}

// MonthlyDay is a day of a month that is published.
type MonthlyDay struct {
	Day     string   `json:"day"`
	Figures *Figures `json:"figures"`
	Digest  string   `json:"digest"`
}

// MonthlyCorrection is a correction of one of its days.
type MonthlyCorrection struct {
	Day     string           `json:"day"`
	At      purchase.Instant `json:"at"`
	Changed []Change         `json:"changed"`
}

// MonthlyItem is money of one purchase that was held, or in exposure, under a name that says nothing of it.
type MonthlyItem struct {
	Name     string           `json:"name"`
	Account  string           `json:"account"`
	Currency string           `json:"currency"`
	Amount   int64            `json:"amount"`
	Since    purchase.Instant `json:"since"`
	Late     bool             `json:"late"` // held for longer than the profile's limit
}

// Draw makes the files of a month that is published.
type Draw func(m *Monthly) ([]File, error)

// Compose makes of a month what would be published of it now. The month must be over and summed up (ErrOpen).
func (d *Desk) Compose(ctx context.Context, month string, l *Limits) (*Monthly, error) {
	s, err := d.Month(month)
	if err != nil {
		return nil, err
	}
	now := d.cfg.Clock.Now()
	if now < s.Till {
		return nil, ErrOpen
	}
	p, err := d.Over(ctx, s)
	if err != nil {
		return nil, err
	}
	if p.Summed != s.Till {
		return nil, ErrOpen
	}
	m := &Monthly{Month: month, Zone: d.cfg.Location.String(), From: s.From, Till: s.Till, Published: now, Version: d.cfg.Version, Profile: l.Profile, Figures: p.Figures,
		Limits: map[string]int64{}, Days: []MonthlyDay{}, Corrections: []MonthlyCorrection{}, Open: []MonthlyItem{}}
	for name, limit := range map[string]time.Duration{"refund_within": l.Refund, "settle_within": l.Settle, "resolution_within": l.Resolve, "wait_within": l.Call} {
		if limit > 0 {
			m.Limits[name] = limit.Milliseconds()
		}
	}
	if m.Head, err = d.cfg.Head(ctx); err != nil {
		return nil, fmt.Errorf("read the head of the log: %w", err)
	}
	for i := range p.Days {
		digest, err := digest(p.Days[i].Figures)
		if err != nil {
			return nil, err
		}
		m.Days = append(m.Days, MonthlyDay{p.Days[i].Day, p.Days[i].Figures, digest})
	}
	for _, c := range p.Corrections {
		m.Corrections = append(m.Corrections, MonthlyCorrection{c.Day, c.At, c.Changed})
	}
	if len(p.Days) == 0 {
		return m, nil
	}
	items, err := d.cfg.Store.ItemsAt(ctx, p.Days[len(p.Days)-1].Day)
	if err != nil {
		return nil, err
	}
	for _, i := range items {
		late := i.Account == Held && l.Settle > 0 && s.Till.Sub(i.Since) > l.Settle
		m.Open = append(m.Open, MonthlyItem{d.Pseudonym(month, i.Purchase), i.Account, string(i.Currency), i.Amount, i.Since, late})
	}
	return m, nil
}

// Publish publishes a month once: its days are looked at once more, then what is told of it is signed, drawn as files, and
// kept. It returns ErrPublished when it was, ErrOpen when it is not over.
func (d *Desk) Publish(ctx context.Context, month string, by auth.StaffID, l *Limits, draw Draw) (Publication, error) {
	if _, err := d.Publication(ctx, month); !errors.Is(err, ErrNotFound) {
		if err == nil {
			err = ErrPublished
		}
		return Publication{}, err
	}
	s, err := d.Month(month)
	if err != nil {
		return Publication{}, err
	}
	if last, _ := d.dayOf(s.Till - 1); d.cfg.Clock.Now() >= s.Till {
		if _, err := d.Check(ctx, last, 32, d.cfg.Clock.Now()); err != nil {
			return Publication{}, err
		}
	}
	m, err := d.Compose(ctx, month, l)
	if err != nil {
		return Publication{}, err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return Publication{}, fmt.Errorf("write the report of %s: %w", month, err)
	}
	p := Publication{Month: month, At: m.Published, By: by, Version: m.Version, Head: m.Head, Profile: m.Profile, Data: string(text), Digest: Digest(text)}
	p.Signature = hex.EncodeToString(ed25519.Sign(d.key, []byte(signed(p.Month, p.Digest))))
	files, err := draw(m)
	if err != nil {
		return Publication{}, fmt.Errorf("draw the report of %s: %w", month, err)
	}
	for i := range files {
		f := &files[i]
		f.Digest = Digest(f.Data)
		f.Name = "tenu-" + month + "-" + f.Digest[:16] + f.Name
	}
	return p, d.cfg.Store.Publish(ctx, p, files)
}

// signed is the text that a publication's signature is of.
func signed(month, digest string) string { return "tenu report " + month + " " + digest + "\n" }

// Key is the public key that publications are signed with, in hexadecimal.
func (d *Desk) Key() string {
	public, _ := d.key.Public().(ed25519.PublicKey)
	return hex.EncodeToString(public)
}

// Genuine reports whether a publication is what was signed with a public key, in hexadecimal.
func (p *Publication) Genuine(key string) bool {
	public, err := hex.DecodeString(key)
	if err != nil || len(public) != ed25519.PublicKeySize || Digest([]byte(p.Data)) != p.Digest {
		return false
	}
	signature, err := hex.DecodeString(p.Signature)
	return err == nil && ed25519.Verify(public, []byte(signed(p.Month, p.Digest)), signature)
}

// Publications returns the published months, newest first.
func (d *Desk) Publications(ctx context.Context) ([]Publication, error) {
	return d.cfg.Store.Publications(ctx)
}

// Publication returns a published month, or ErrNotFound.
func (d *Desk) Publication(ctx context.Context, month string) (Publication, error) {
	all, err := d.cfg.Store.Publications(ctx)
	if err != nil {
		return Publication{}, err
	}
	if i := slices.IndexFunc(all, func(p Publication) bool { return p.Month == month }); i >= 0 {
		return all[i], nil
	}
	return Publication{}, ErrNotFound
}

// Since are the corrections that were found after a month was published: its dated additions (invariant R2).
func (d *Desk) Since(ctx context.Context, p *Publication) ([]Correction, error) {
	all, err := d.cfg.Store.Corrections(ctx, p.Month+"-01", p.Month+"-31")
	return slices.DeleteFunc(all, func(c Correction) bool { return c.At <= p.At }), err
}

// DuePublication is the month that is to be published by itself now: the one before, from the third day of a month on, "" where
// it is published or nothing happened in it.
func (d *Desk) DuePublication(ctx context.Context) (string, error) {
	then := d.cfg.Clock.Now().Time().In(d.cfg.Location)
	if then.Day() < again {
		return "", nil
	}
	month := time.Date(then.Year(), then.Month()-1, 1, 0, 0, 0, 0, d.cfg.Location).Format("2006-01")
	if _, err := d.Publication(ctx, month); !errors.Is(err, ErrNotFound) {
		return "", err
	}
	s, err := d.Month(month)
	if err != nil {
		return "", err
	}
	days, err := d.cfg.Store.Days(ctx, s)
	if err != nil || len(days) == 0 || days[len(days)-1].Span.Till != s.Till {
		return "", err
	}
	return month, nil
}

// encoding of pseudonyms.
var encoding = base32.NewEncoding("ABCDEFGHJKMNPQRSTVWXYZ0123456789").WithPadding(base32.NoPadding)

// Pseudonym names a purchase in a month without saying which it is: the name is another in each month, and only this
// installation finds the purchase again.
func (d *Desk) Pseudonym(month string, id purchase.ID) string {
	var b [aes.BlockSize]byte
	binary.BigEndian.PutUint64(b[8:], uint64(id)) //nolint:gosec // an ID is never negative
	if block, err := aes.NewCipher(derived(d.cfg.Secret, "pseudonyms "+month)); err == nil {
		block.Encrypt(b[:], b[:])
	}
	return encoding.EncodeToString(b[:])
}

// Unveil finds the purchase of a name, or returns ErrNotFound.
func (d *Desk) Unveil(month, name string) (purchase.ID, error) {
	name = strings.ToUpper(name)
	b, err := encoding.DecodeString(name)
	if err != nil || len(b) != aes.BlockSize || encoding.EncodeToString(b) != name { // its last letter has bits that say nothing
		return 0, ErrNotFound
	}
	block, err := aes.NewCipher(derived(d.cfg.Secret, "pseudonyms "+month))
	if err != nil {
		return 0, ErrNotFound
	}
	block.Decrypt(b, b)
	id := binary.BigEndian.Uint64(b[8:])
	if binary.BigEndian.Uint64(b[:8]) != 0 || id == 0 || id > 1<<62 {
		return 0, ErrNotFound
	}
	return purchase.ID(id), nil
}
