package incident

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"unicode"
	"unicode/utf8"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// Deed is what one of the staff does to an incident. Do says which; the other fields hold what it needs.
type Deed struct {
	Do       Event                        // one of Deeds
	Text     string                       // EventNote; why, for EventRecovered and EventClosed; how, for EventDone
	Titles   map[purchase.Language]string // EventText
	Texts    map[purchase.Language]string // EventText
	Staff    auth.StaffID                 // EventOwner: the new owner, 0 for nobody
	At       purchase.Instant             // EventExpected: 0 for nobody knows
	Severity Severity                     // EventSeverity
	Party    string                       // EventParty
	Duty     string                       // EventDone: what was done of what is owed
}

// Deeds lists what staff may do to an incident.
var Deeds = []Event{EventOwner, EventText, EventExpected, EventNote, EventSeverity, EventParty, EventDone, EventRecovered, EventClosed}

// The bounds of what people write, in characters.
const (
	MaxTitle = 120
	MaxText  = 2000
	MaxParty = 80
)

// Opening is an incident that a person opens.
type Opening struct {
	Series Series
	Since  purchase.Instant // of the first failure; 0 for now
	Reason string
	Pause  bool // the series is not sold; its probes reopen it, unless Held
	Held   bool
	// What is said to the public; empty: what the system drafts.
	Titles, Texts map[purchase.Language]string
}

// deskTries bounds how often a deed is tried against what the system changes meanwhile.
const deskTries = 10

// quiet are the events that say nothing which a person who read the version before must know before acting.
var quiet = map[Event]bool{EventStep: true, EventProbe: true, EventTold: true, EventNote: true, EventPaused: true,
	EventOwed: true, EventDone: true, EventLate: true}

// Act does a deed to an incident that still says what it said in a version, and returns it as it then stands. It returns
// ErrNotFound, ErrNotAllowed, ErrStale, ErrDeed, ErrPaused for closing while its pause lasts, or ErrUnsettled.
// Closing one that never recovered by itself says that it did. Durable on return.
func (d *Desk) Act(ctx context.Context, id ID, version int64, by auth.StaffID, deed Deed) (Incident, error) {
	if err := d.who(ctx, by, auth.LeadIncidents); err != nil {
		return Incident{}, err
	}
	for try := 0; ; try++ {
		i, err := d.Incident(ctx, id)
		if err != nil {
			return Incident{}, err
		}
		same, err := d.same(ctx, &i, version)
		switch {
		case err != nil:
			return i, err
		case !same:
			return i, ErrStale
		}
		c := Change{Now: i}
		c.Now.Version++
		c.Now.ChangedAt = d.clock.Now()
		if err := d.apply(ctx, &c, Actor{by}, &deed); err != nil {
			return i, err
		}
		now, err := d.put(ctx, &c)
		if !errors.Is(err, ErrStale) || try == deskTries {
			return now, err
		}
	}
}

// same reports whether an incident says what it did in a version, as far as a person must know.
func (d *Desk) same(ctx context.Context, i *Incident, version int64) (bool, error) {
	if version >= i.Version || version < 1 {
		return version == i.Version, nil
	}
	lines, err := d.store.Entries(ctx, i.ID)
	if err != nil {
		return false, fmt.Errorf("read a timeline: %w", err)
	}
	for k := range lines {
		if lines[k].Seq/EntriesPerVersion > version && !quiet[lines[k].Event] {
			return false, nil
		}
	}
	return true, nil
}

// apply makes a deed a change.
func (d *Desk) apply(ctx context.Context, c *Change, by Actor, deed *Deed) error {
	i, now := &c.Now, c.Now.ChangedAt
	text := tidied(deed.Text, MaxText)
	nothing := fmt.Errorf("%w: it is so already", ErrDeed)
	switch deed.Do {
	case EventOwner:
		if i.Owner == deed.Staff {
			return nothing
		}
		if deed.Staff != 0 {
			if err := d.who(ctx, deed.Staff, auth.LeadIncidents); err != nil {
				return err
			}
		}
		i.Owner, text = deed.Staff, fmt.Sprintf("#%d", deed.Staff)
	case EventText:
		return d.word(c, by, deed.Titles, deed.Texts)
	case EventExpected:
		if deed.At != 0 && deed.At <= now {
			return fmt.Errorf("%w: that is over", ErrDeed)
		}
		i.ExpectedAt, text = deed.At, deed.At.String()
	case EventNote:
		if text == "" {
			return fmt.Errorf("%w: a text is needed", ErrDeed)
		}
	case EventSeverity:
		if deed.Severity < Minor || deed.Severity > Critical {
			return fmt.Errorf("%w: no such severity", ErrDeed)
		}
		i.Severity, i.Graded, text = deed.Severity, true, deed.Severity.String()
	case EventParty:
		if text = tidied(deed.Party, MaxParty); text == "" {
			return fmt.Errorf("%w: a responsible party is needed", ErrDeed)
		}
		i.Party = text
	case EventDone:
		if err := i.done(deed.Duty, now, by.Staff); err != nil {
			return err
		}
		text = strings.TrimSpace(deed.Duty + "\n" + text)
	case EventRecovered:
		if i.Status != Ongoing {
			return nothing
		}
		i.Status, i.RecoveredAt = Recovering, now
		d.draft(i)
	case EventClosed:
		if err := d.closing(ctx, i); err != nil {
			return err
		}
		for _, at := range []*purchase.Instant{&i.RecoveredAt, &i.ResolvedAt} {
			if *at == 0 {
				*at = now
			}
		}
		i.Status, i.ClosedAt = Closed, now
		d.draft(i)
	default:
		return fmt.Errorf("%w: no such deed", ErrDeed)
	}
	c.note(now, by, deed.Do, text)
	return nil
}

// closing refuses to close what is closed, or is not sold. Whether everybody is settled the store says.
func (d *Desk) closing(ctx context.Context, i *Incident) error {
	switch {
	case i.Status == Closed:
		return fmt.Errorf("%w: it is so already", ErrDeed)
	case i.unsent():
		return ErrOwed
	}
	lasts, err := d.lasts(ctx, i.ID, i.ChangedAt)
	if lasts {
		return ErrPaused
	}
	return err
}

// word changes what is said to the public: the languages given, the others stay.
func (d *Desk) word(c *Change, by Actor, titles, texts map[purchase.Language]string) error {
	i := &c.Now
	i.Title, i.Text = maps.Clone(i.Title), maps.Clone(i.Text)
	changed := ""
	for _, part := range []struct {
		from, into map[purchase.Language]string
		most       int
	}{{titles, i.Title, MaxTitle}, {texts, i.Text, MaxText}} {
		for language, text := range part.from {
			if d.texts.Choose(string(language)) != string(language) {
				return fmt.Errorf("%w: no language %q", ErrDeed, language)
			}
			if utf8.RuneCountInString(text) > part.most {
				return fmt.Errorf("%w: more than %d characters", ErrDeed, part.most)
			}
			if text = tidied(text, part.most); text == "" {
				return fmt.Errorf("%w: a text is needed", ErrDeed)
			}
			if part.into[language] != text {
				part.into[language] = text
				changed = text
			}
		}
	}
	if changed == "" {
		return fmt.Errorf("%w: it is so already", ErrDeed)
	}
	i.Worded = true
	for _, code := range d.texts.Languages() { // the whole of it is kept, as it was said
		language := purchase.Language(code)
		c.note(i.ChangedAt, by, EventText, code+": "+i.Title[language]+"\n"+i.Text[language])
	}
	return nil
}

// Open opens an incident by hand. It returns *OpenError when the series has one, ErrSeries for a series that there is not,
// ErrDeed without a reason, ErrNotAllowed. Durable on return.
func (d *Desk) Open(ctx context.Context, by auth.StaffID, n Opening) (Incident, error) {
	if err := d.who(ctx, by, auth.LeadIncidents); err != nil {
		return Incident{}, err
	}
	if n.Pause {
		if err := d.who(ctx, by, auth.PauseSales); err != nil {
			return Incident{}, err
		}
	}
	now, reason := d.clock.Now(), tidied(n.Reason, MaxText)
	switch {
	case whatKeys[n.Series.By] == "" || n.Pause && !pausable(n.Series) || n.Series.Name == "" || d.cfg.Known != nil && !d.cfg.Known(n.Series):
		return Incident{}, ErrSeries
	case reason == "":
		return Incident{}, fmt.Errorf("%w: a reason is needed", ErrDeed)
	case n.Since > now:
		return Incident{}, fmt.Errorf("%w: it has not begun", ErrDeed)
	case n.Since == 0:
		n.Since = now
	}
	c := Change{Now: Incident{Version: 1, Series: n.Series, Rule: RuleHand, Status: Ongoing, Severity: d.grave(n.Series, 0),
		Party: d.cfg.Party(n.Series, RuleHand), Since: n.Since, SeenAt: now, ChangedAt: now, Share: 1000, Owner: by}}
	actor := Actor{by}
	c.note(now, actor, EventOpened, reason)
	if n.Pause {
		if err := d.suspend(ctx, &c, actor, reason, now); err != nil {
			return Incident{}, err
		}
		for i := range c.Pauses {
			c.Pauses[i].Held = c.Pauses[i].Held || n.Held
		}
	}
	d.draft(&c.Now)
	if len(n.Titles)+len(n.Texts) > 0 {
		if err := d.word(&c, actor, n.Titles, n.Texts); err != nil {
			return Incident{}, err
		}
	}
	return d.put(ctx, &c)
}

// tidied is somebody's text without control characters but line ends, cut to so many characters.
func tidied(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar) {
			return -1
		}
		return r
	}, strings.TrimSpace(text))
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most])
	}
	return text
}
