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
	"time"
	"unicode"

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

// Matters lists those that customers report.
var Matters = []purchase.Matter{MatterNotReceived, MatterWrongNumber, MatterWrongProduct, MatterDuplicate, MatterOther}

// MaxDetail bounds a customer's own words, in characters.
const MaxDetail = 500

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

// State of a callback.
type State uint8

// The states.
const (
	Promised  State = iota + 1 // open: it is to be kept within its window
	Kept                       // the customer was spoken with
	Cancelled                  // the customer does not want it any more
	Broken                     // the window is over, and it was not kept
)

// Callback is the promise to call a number within a window.
type Callback struct {
	ID       int64 // given by the store
	Number   purchase.MSISDN
	Purchase purchase.ID // that it is about; 0 for none
	WindowAt purchase.Instant
	At       purchase.Instant // promised
	ClosedAt purchase.Instant // zero while it is open
	State    State
	Channel  string
	Language purchase.Language
	Reason   string
}

// Store keeps reports and callbacks. What a method changed is durable on return.
// Errors wrap purchase.ErrUnavailable when nothing was changed and the call may be
// repeated.
type Store interface {
	// AddReport keeps a report. When the same number reported the same matter of the
	// purchase before, that report is returned and nothing is changed.
	AddReport(ctx context.Context, r Report) (first Report, added bool, err error)
	// Reports returns what was reported of purchases, oldest first.
	Reports(ctx context.Context, purchases ...purchase.ID) ([]Report, error)
	// AddCallback keeps a promise and gives it its ID. When the number has one that
	// is open, that one is returned and nothing is changed. When the window holds so
	// many open ones already it returns ErrFull.
	AddCallback(ctx context.Context, c Callback, most int) (kept Callback, added bool, err error)
	// CancelCallback cancels an open callback of a number, and returns it as it then
	// stands, or ErrNotFound. One that is closed already stays as it is.
	CancelCallback(ctx context.Context, id int64, number purchase.MSISDN, at purchase.Instant) (Callback, error)
	// Callbacks returns a number's callbacks, newest first.
	Callbacks(ctx context.Context, number purchase.MSISDN, limit int) ([]Callback, error)
	// Promised counts the open callbacks of each window that begins within [from, till).
	Promised(ctx context.Context, from, till purchase.Instant) (map[purchase.Instant]int, error)
}

// Hours are when customers are called back, and how many in one window.
type Hours struct {
	Opens, Closes time.Duration // after midnight, in Location
	Location      *time.Location
	PerWindow     int // callbacks that the staff can keep in one window
}

// Window is how wide a callback's window is.
const Window = 15 * time.Minute

// lead is the least time before a window begins that a promise for it is made.
const lead = 5 * time.Minute

// daysAhead bounds how far away a window may be.
const daysAhead = 2

// Desk takes reports and makes promises. It is safe for concurrent use.
type Desk struct {
	store Store
	clock purchase.Clock
	hours Hours
}

// NewDesk returns a desk, or an error that says what of the hours cannot be.
func NewDesk(store Store, clock purchase.Clock, hours Hours) (*Desk, error) {
	switch {
	case store == nil || clock == nil || hours.Location == nil:
		return nil, errors.New("care: a store, a clock and a location are needed")
	case hours.Opens < 0 || hours.Closes > 24*time.Hour || hours.Opens+Window > hours.Closes:
		return nil, fmt.Errorf("care: hours from %s to %s hold no window of %s", hours.Opens, hours.Closes, Window)
	case hours.Opens%Window != 0:
		return nil, fmt.Errorf("care: the hours must begin at a multiple of %s", Window)
	case hours.PerWindow < 1:
		return nil, errors.New("care: at least one callback must fit in a window")
	}
	return &Desk{store, clock, hours}, nil
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
	return first, added, nil
}

// Reports returns what was reported of purchases, oldest first.
func (d *Desk) Reports(ctx context.Context, purchases ...purchase.ID) ([]Report, error) {
	return d.store.Reports(ctx, purchases...)
}

// plain is a customer's text without control characters, cut to MaxDetail.
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return ' '
		case unicode.IsControl(r), r == unicode.ReplacementChar, unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, strings.TrimSpace(text))
	if runes := []rune(text); len(runes) > MaxDetail {
		text = string(runes[:MaxDetail])
	}
	return text
}

// Windows are the next windows that can still take a callback, soonest first, at
// most so many.
func (d *Desk) Windows(ctx context.Context, most int) ([]purchase.Instant, error) {
	return d.WindowsAt(ctx, d.clock.Now(), most)
}

// WindowsAt is Windows as it was at an instant, but for the windows that filled since:
// what was offered then keeps its place. One that is over meanwhile is not promised.
func (d *Desk) WindowsAt(ctx context.Context, at purchase.Instant, most int) ([]purchase.Instant, error) {
	candidates := d.windows(at)
	if len(candidates) == 0 {
		return nil, nil
	}
	last := candidates[len(candidates)-1]
	promised, err := d.store.Promised(ctx, candidates[0], last.Add(Window))
	if err != nil {
		return nil, fmt.Errorf("read promised callbacks: %w", err)
	}
	free := slices.DeleteFunc(candidates, func(at purchase.Instant) bool { return promised[at] >= d.hours.PerWindow })
	return free[:min(len(free), most)], nil
}

// windows are all that may be promised at an instant, soonest first.
func (d *Desk) windows(now purchase.Instant) []purchase.Instant {
	var all []purchase.Instant
	today := now.Time().In(d.hours.Location)
	for day := range daysAhead {
		// The clock's reading decides, not the hours since midnight: they differ on
		// the day that the clock is put forward or back.
		for after := d.hours.Opens; after+Window <= d.hours.Closes; after += Window {
			at := purchase.At(time.Date(today.Year(), today.Month(), today.Day()+day, 0, int(after.Minutes()), 0, 0, d.hours.Location))
			if at >= now.Add(lead) && (len(all) == 0 || at > all[len(all)-1]) {
				all = append(all, at)
			}
		}
	}
	return all
}

// Promise promises a callback in the window that begins at c.WindowAt, and returns
// the promise that stands: the number's open one, when there is one. It returns
// ErrWindow for a window that is not offered, ErrFull for one that cannot take
// another. Durable on return.
func (d *Desk) Promise(ctx context.Context, c Callback) (kept Callback, added bool, err error) {
	now := d.clock.Now()
	if !slices.Contains(d.windows(now), c.WindowAt) {
		return Callback{}, false, ErrWindow
	}
	c.At, c.ClosedAt, c.State, c.Reason = now, 0, Promised, plain(c.Reason)
	kept, added, err = d.store.AddCallback(ctx, c, d.hours.PerWindow)
	if err != nil {
		return Callback{}, false, fmt.Errorf("promise a callback: %w", err)
	}
	return kept, added, nil
}

// Cancel cancels a number's open callback, and returns it as it then stands. It
// returns ErrNotFound when the number has no such callback. Durable on return.
func (d *Desk) Cancel(ctx context.Context, id int64, number purchase.MSISDN) (Callback, error) {
	c, err := d.store.CancelCallback(ctx, id, number, d.clock.Now())
	if err != nil {
		return Callback{}, fmt.Errorf("cancel callback %d: %w", id, err)
	}
	return c, nil
}

// Callbacks returns a number's callbacks, newest first.
func (d *Desk) Callbacks(ctx context.Context, number purchase.MSISDN, limit int) ([]Callback, error) {
	return d.store.Callbacks(ctx, number, limit)
}
