// Package care keeps what customers say is wrong with their purchases, and the
// promises to call them. It knows nothing of SQL, of texts, or of how a purchase
// is decided.
package care

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"tenu/internal/phrase"
	"tenu/internal/purchase"
)

// The matters that customers report, beside those that the engine opens cases for.
// A purchase has at most one case per matter and customer.
const (
	MatterNotReceived  purchase.Matter = "not_received"  // paid, and the units are not there
	MatterWrongNumber  purchase.Matter = "wrong_number"  // another number was meant
	MatterWrongProduct purchase.Matter = "wrong_product" // another product was meant
	MatterDuplicate    purchase.Matter = "duplicate"     // bought twice by mistake
	MatterOther        purchase.Matter = "other"
)

// MatterContested says that the customer was told how it is, and says that it is not so. A person must look.
const MatterContested purchase.Matter = "contested"

// MatterBreak says that a partner's statement tells otherwise than its answers did. A person must look.
const MatterBreak purchase.Matter = "break"

// Matters lists those that customers report.
var Matters = []purchase.Matter{MatterNotReceived, MatterWrongNumber, MatterWrongProduct, MatterDuplicate, MatterOther}

// MaxDetail bounds a customer's own words, in characters.
const MaxDetail = 500

// Unreadable stands for a text that cannot be read: it was changed in the database, or its key is gone. A store that is
// given it back leaves what it stands for as it is. It shows as a replacement character, behind a separator that is not seen: nobody writes it.
const Unreadable = "\u2063\uFFFD"

// Errors that callers branch on.
var (
	// ErrMatter: not a matter that customers report.
	ErrMatter = errors.New("care: no such matter")
	// ErrWindow: the window is over, too far away, outside the hours, or none of those offered.
	ErrWindow = errors.New("care: no such window")
	// ErrFull: the window cannot take another callback that would be kept.
	ErrFull = errors.New("care: the window is full")
	// ErrNotFound: there is no such callback of that number.
	ErrNotFound = errors.New("care: not found")
	// ErrUnreadable says that something is kept that cannot be read: it was changed, or its key is gone.
	ErrUnreadable = errors.New("care: it cannot be read")
)

// Report is what a customer says is wrong with a purchase.
type Report struct {
	Purchase purchase.ID
	Number   purchase.MSISDN // who says it
	Matter   purchase.Matter
	Meant    purchase.MSISDN // the number that was meant; 0 where none is told
	Channel  string
	Detail   string // in the customer's own words
	At       purchase.Instant
}

// ReportStore keeps what customers report. What a method changed is durable on return.
// Errors wrap purchase.ErrUnavailable when nothing was changed and the call may be
// repeated.
type ReportStore interface {
	// AddReport keeps a report. When the same number reported the same matter of the
	// purchase before, that report is returned and nothing is changed.
	AddReport(ctx context.Context, r Report) (first Report, added bool, err error)
	// Reports returns what was reported of purchases, oldest first.
	Reports(ctx context.Context, purchases ...purchase.ID) ([]Report, error)
}

// Store keeps all that care knows.
type Store interface {
	ReportStore
	CallbackStore
	CaseStore
	RequestStore
	RuleStore
	DeskStore
}

// Hours are when customers are called back, and how many in one window.
type Hours struct {
	Opens, Closes time.Duration // after midnight, in Location
	Location      *time.Location
	PerWindow     int // callbacks that the staff can keep in one window at most
	Agents        int // who call in those hours, for the forecast; 0: as many as PerWindow needs
	// Lead is the least time from a promise to the beginning of its window; 0: 5 minutes.
	Lead time.Duration
}

// Window is how wide a callback's window is.
const Window = 15 * time.Minute

// standardLead is Hours.Lead where it is not said.
const standardLead = 5 * time.Minute

// daysAhead bounds how far away a window may be.
const daysAhead = 2

// Engine hears wishes about purchases; *purchase.Engine is one.
type Engine interface {
	// Ask hands a wish to a purchase, wherever it is.
	Ask(ctx context.Context, id purchase.ID, w purchase.Wish) error
	// Grants says whether the purchase would hear a wish at an instant, and if not, why.
	Grants(p *purchase.Purchase, w purchase.Wish, now purchase.Instant) purchase.Grant
}

// House sells at the house's expense.
type House interface {
	// Give makes the purchase of a request, under a key that follows from it: given again it is the same purchase.
	Give(ctx context.Context, r Request) (purchase.ID, error)
}

// References name purchases and cases to people.
type References interface {
	Reference(id purchase.ID) purchase.Reference
	Parse(text string) (purchase.ID, error)
}

// Config is what a desk is built from. Store, Clock and Hours are needed; without an
// engine nothing can be asked for, without a house nothing given.
type Config struct {
	Store  Store
	Clock  purchase.Clock
	Hours  Hours
	Clocks Clocks // DefaultClocks when zero
	Policy Policy
	Engine Engine
	House  House
	// Purchases and References name purchases, Files names cases, in the same way under another secret.
	References References
	Files      References
	Dialler    Dialler // ClickToCall when nil
	// Format writes a number as people read it.
	Format func(purchase.MSISDN) string
	// Staffed is how many agents can call now, for the forecast of the next windows; nil: as many as Hours says.
	Staffed func() int
	// Changed is told, without waiting, of cases, callbacks and requests that changed here; nil: nobody is.
	Changed func(Changed)
	// Validity is how long a bundle lasts, 0 when it is not known; nil: of none it is.
	Validity func(product string) time.Duration
	// Written is called, without waiting, after messages were committed; nil: nobody is.
	Written func()
}

// Changed says what changed; zero fields say nothing.
type Changed struct {
	Case     CaseID
	Number   purchase.MSISDN
	Purchase purchase.ID
	Callback int64
	Request  int64
}

// Desk is where everything about care is done: reports, cases, requests, callbacks. It
// is safe for concurrent use.
type Desk struct {
	cfg   Config
	store Store
	clock purchase.Clock
	hours Hours
	texts *phrase.Texts
	wake  chan struct{}

	forecast atomic.Pointer[forecast]

	mu      sync.Mutex
	settled []purchase.ID // purchases with cases that got their outcome, to be looked at
}

// New returns a desk, or an error that says what cannot be.
func New(cfg Config) (*Desk, error) {
	hours := cfg.Hours
	switch {
	case cfg.Store == nil || cfg.Clock == nil || hours.Location == nil:
		return nil, errors.New("care: a store, a clock and a location are needed")
	case hours.Opens < 0 || hours.Closes > 24*time.Hour || hours.Opens+Window > hours.Closes:
		return nil, fmt.Errorf("care: hours from %s to %s hold no window of %s", hours.Opens, hours.Closes, Window)
	case hours.Opens%time.Minute != 0 || hours.Lead < 0:
		return nil, errors.New("care: the hours must begin at a whole minute, and windows after their promises")
	case hours.PerWindow < 1:
		return nil, errors.New("care: at least one callback must fit in a window")
	}
	if cfg.Clocks == (Clocks{}) {
		cfg.Clocks = DefaultClocks()
	}
	if cfg.Dialler == nil {
		cfg.Dialler = ClickToCall{}
	}
	if cfg.Format == nil {
		cfg.Format = purchase.MSISDN.String
	}
	texts, err := loadTexts()
	if err != nil {
		return nil, err
	}
	return &Desk{cfg: cfg, store: cfg.Store, clock: cfg.Clock, hours: hours, texts: texts, wake: make(chan struct{}, 1)}, nil
}

// Wake tells the desk's loop that there is something to do. It never waits.
func (d *Desk) Wake() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// changed tells whoever listens.
func (d *Desk) changed(c Changed) {
	if d.cfg.Changed != nil {
		d.cfg.Changed(c)
	}
}

// written tells the outbox.
func (d *Desk) written() {
	if d.cfg.Written != nil {
		d.cfg.Written()
	}
}

// Report takes a report down, and returns the one that stands: the first, when the
// same was reported before. It returns ErrMatter for a matter that is not among
// Matters. What the customer wrote is cut to MaxDetail characters, without control
// characters. Durable on return.
func (d *Desk) Report(ctx context.Context, r Report) (first Report, added bool, err error) {
	if !slices.Contains(Matters, r.Matter) {
		return Report{}, false, ErrMatter
	}
	r.Detail, r.At = plain(r.Detail), d.clock.Now()
	first, added, err = d.store.AddReport(ctx, r)
	if err != nil {
		return Report{}, false, fmt.Errorf("report purchase %d: %w", r.Purchase, err)
	}
	d.Wake()
	return first, added, nil
}

// Reports returns what was reported of purchases, oldest first.
func (d *Desk) Reports(ctx context.Context, purchases ...purchase.ID) ([]Report, error) {
	return d.store.Reports(ctx, purchases...)
}

// plain is a customer's text without control characters, cut to MaxDetail.
func plain(text string) string { return cleaned(text, MaxDetail) }

// cleaned is somebody's text on one line, without control characters, cut to so many characters.
func cleaned(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return ' '
		case unicode.IsControl(r), r == unicode.ReplacementChar, unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, strings.TrimSpace(text))
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most])
	}
	return text
}
