package status

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/incident"
	"tenu/internal/notify/gsm7"
	"tenu/internal/phrase"
	"tenu/internal/purchase"
)

// Errors that callers branch on.
var (
	// ErrFull: a number follows as many series as it may.
	ErrFull = errors.New("status: the number follows too many series already")
	// ErrSeries: there is no such component.
	ErrSeries = errors.New("status: no such component")
)

// mostOfNumber bounds what one number follows.
const mostOfNumber = 10

// Subscription is the wish of a number to be told of the incidents of a series, or of all:
// the zero series.
type Subscription struct {
	Number   purchase.MSISDN
	Language purchase.Language
	Series   incident.Series
	At       purchase.Instant
}

// Subscriptions keeps who wants to be told. What a method changed is durable on return.
// Errors wrap purchase.ErrUnavailable when nothing was changed and the call may be repeated.
type Subscriptions interface {
	// Subscribe keeps a subscription, or changes the language of the number's one of the
	// series, which keeps its time. A number that has most others is refused with ErrFull.
	Subscribe(ctx context.Context, s Subscription, most int) error
	// Unsubscribe forgets the number's subscription of a series, or all of them for the
	// zero series, and returns how many there were.
	Unsubscribe(ctx context.Context, number purchase.MSISDN, s incident.Series) (int, error)
	// Subscribers returns who has followed the series or all since an instant or before, each
	// number once, those above after by number.
	Subscribers(ctx context.Context, s incident.Series, since purchase.Instant, after purchase.MSISDN, limit int) ([]Subscription, error)
	// SubscriptionsOf returns those of a number, by series.
	SubscriptionsOf(ctx context.Context, number purchase.MSISDN) ([]Subscription, error)
}

// Codes makes and accepts one-time codes, within limits against floods. auth.Codes does; it
// is to have a secret of its own here, so that no code of one kind is taken for the other,
// and the store of sign-in, so that both count against the same limits.
type Codes interface {
	New(ctx context.Context, number purchase.MSISDN, source string) (string, error)
	Accept(ctx context.Context, number purchase.MSISDN, typed string) error
}

// Desk takes subscriptions and writes their messages. It is safe for concurrent use.
type Desk struct {
	store Subscriptions
	codes Codes
	send  func(number purchase.MSISDN, language, text string) error
	clock purchase.Clock
	texts *phrase.Texts
	site  *Site
}

// NewDesk returns a desk. send sends one message with a code, at once.
func NewDesk(site *Site, store Subscriptions, codes Codes, send func(number purchase.MSISDN, language, text string) error,
	clock purchase.Clock) (*Desk, error) {
	if site == nil || store == nil || codes == nil || send == nil || clock == nil {
		return nil, errors.New("status: a site, a store, codes, messages and a clock are needed")
	}
	texts, err := texts()
	if err != nil {
		return nil, err
	}
	return &Desk{store, codes, send, clock, texts, site}, nil
}

// Ask sends a code to a number that somebody at a source (an address of the internet, or "")
// wants to be told, or not any more. It returns auth.ErrTooMany beyond the limits.
func (d *Desk) Ask(ctx context.Context, number purchase.MSISDN, language, source string) error {
	code, err := d.codes.New(ctx, number, source)
	if err != nil {
		return fmt.Errorf("confirm a subscription: %w", err)
	}
	t := d.texts.In(language)
	if err := d.send(number, t.Code, gsm7.Fit(t.Say("text_code", "Brand", d.site.cfg.Brand, "Code", code))); err != nil {
		return fmt.Errorf("send a code: %w", err)
	}
	return nil
}

// Confirm keeps a subscription when the code is the one sent to its number. It returns
// auth.ErrCode, or ErrFull.
func (d *Desk) Confirm(ctx context.Context, number purchase.MSISDN, language string, s incident.Series, code string) error {
	if err := d.codes.Accept(ctx, number, code); err != nil {
		return fmt.Errorf("confirm a subscription: %w", err)
	}
	return d.store.Subscribe(ctx, Subscription{number, purchase.Language(d.texts.In(language).Code), s, d.clock.Now()}, mostOfNumber)
}

// End ends a number's subscription of a series, or all for the zero series, when the code
// is the one sent to it. It returns auth.ErrCode.
func (d *Desk) End(ctx context.Context, number purchase.MSISDN, s incident.Series, code string) error {
	if err := d.codes.Accept(ctx, number, code); err != nil {
		return fmt.Errorf("confirm the end of a subscription: %w", err)
	}
	return d.Stop(ctx, number, s)
}

// Stop ends it for whoever is known to hold the number: who writes STOP from it.
func (d *Desk) Stop(ctx context.Context, number purchase.MSISDN, s incident.Series) error {
	_, err := d.store.Unsubscribe(ctx, number, s)
	return err
}

// Messages are what subscribers whose number is above after are told of an incident's
// event: EventOpened or EventResolved, and EventClosed as that. To those who subscribed
// after it happened it is no news. The last number is the next call's after; there are no
// more when there is none. Each has a key, so that whoever keeps them twice sends them once: one
// for what began, and one each time that the incident, opened again, is resolved.
func (d *Desk) Messages(ctx context.Context, in *incident.Incident, what incident.Event, after purchase.MSISDN, limit int) ([]care.Message, error) {
	key, once, at := "text_opened", "opened", in.SeenAt
	switch what {
	case incident.EventOpened:
	case incident.EventResolved, incident.EventClosed:
		key, once, at = "text_resolved", fmt.Sprintf("resolved.%d", in.ResolvedAt), in.ResolvedAt
	default:
		return nil, fmt.Errorf("status: subscribers are not told that an incident is %q", what)
	}
	subscribers, err := d.store.Subscribers(ctx, in.Series, at, after, limit)
	if err != nil {
		return nil, fmt.Errorf("tell subscribers of incident I-%d: %w", in.ID, err)
	}
	now := d.clock.Now()
	messages := make([]care.Message, len(subscribers))
	for i, s := range subscribers {
		messages[i] = care.Message{To: s.Number, Language: s.Language, Text: d.text(key, in, string(s.Language)), At: now,
			Key: fmt.Sprintf("status/I-%d/%s/%d", in.ID, once, s.Number)}
	}
	return messages, nil
}

// text is a message of at most 160 characters: the title gives way, never the address.
func (d *Desk) text(key string, in *incident.Incident, language string) string {
	t := d.texts.In(language)
	title := said(in.Title, t.Code)
	if title == "" {
		title = t.Say("incident", "Ref", fmt.Sprintf("I-%d", in.ID))
	}
	title = strings.TrimRight(short(gsm7.Fit(title), gsm7.MaxSeptets), ".!? ")
	link := d.site.cfg.Public + named(base(in.ID), t.Code, ".html")
	for room := len([]rune(title)); ; room-- {
		text := t.Say(key, "Brand", short(d.site.cfg.Brand, 20), "Title", strings.TrimSpace(string([]rune(title)[:room])), "Link", link)
		if room == 0 || gsm7.Fits(plain(text)) {
			return gsm7.Fit(text)
		}
	}
}

// plain is a text in the alphabet of messages, of whatever length.
func plain(text string) string {
	var b strings.Builder
	for _, ch := range text {
		b.WriteString(gsm7.Fit(string(ch)))
	}
	return b.String()
}

var _ Codes = (*auth.Codes)(nil)
