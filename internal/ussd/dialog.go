package ussd

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"tenu/internal/purchase"
)

// Dialogs answer a centre that brings one text at a time, as over SMPP, instead of
// all that was typed. They are kept in memory, by the node that a session's texts
// come to: a session that a crash drops goes on in the next, as others do. It is safe
// for concurrent use.
type Dialogs struct {
	menu *Menu

	mu   sync.Mutex
	open map[purchase.MSISDN]*dialog
}

// dialog is a number's session.
type dialog struct {
	mu      sync.Mutex
	session string
	typed   []string
	mark    string // of the last text, as the centre counts them
	text    string
	at      purchase.Instant
	screen  Screen
}

// The bounds of dialogs.
const (
	maxDialogs  = 50_000
	dialogFor   = 5 * time.Minute // without a text
	repeatAfter = time.Second     // no person reads a screen and answers within it
)

// NewDialogs returns the dialogs of menus.
func NewDialogs(menu *Menu) *Dialogs {
	return &Dialogs{menu: menu, open: map[purchase.MSISDN]*dialog{}}
}

// Said is a text as a centre brings it.
type Said struct {
	Number purchase.MSISDN
	Begins bool // the customer dialled Text; otherwise Text answers a screen
	// Session names the session, and may be used again by another one later; Mark
	// changes with each text of it, and is "" where the centre does not count them.
	Session, Mark string
	Text          string
}

// Answer returns the screen of a text. A text that the centre brings again, because
// it did not hear the answer, has the same screen and does nothing else.
func (d *Dialogs) Answer(ctx context.Context, said Said) Screen {
	now := d.menu.cfg.Clock.Now()
	g := d.of(said, now)
	g.mu.Lock()
	defer g.mu.Unlock()
	again := g.at != 0 && g.text == said.Text && (said.Mark != "" && g.mark == said.Mark || said.Mark == "" && now < g.at.Add(repeatAfter))
	if again {
		return g.screen
	}
	if said.Begins {
		g.typed = typed(said.Text, code(said.Text))
	} else {
		g.typed = append(g.typed, typed(said.Text, "")...)
	}
	g.mark, g.text, g.at = said.Mark, said.Text, now
	g.screen = d.menu.Answer(ctx, Turn{Session: g.session, Number: said.Number, Typed: g.typed})
	return g.screen
}

// of is the dialog that a text belongs to: a new one when the customer dialled.
func (d *Dialogs) of(said Said, now purchase.Instant) *dialog {
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.open[said.Number]
	if g != nil && (!said.Begins && now < g.at.Add(dialogFor) || said.Begins && g.is(said, now)) {
		return g
	}
	if len(d.open) >= maxDialogs {
		for number, other := range d.open {
			if now >= other.at.Add(dialogFor) {
				delete(d.open, number)
			}
		}
	}
	g = &dialog{session: fmt.Sprintf("smpp-%s-%d", said.Session, int64(now))}
	if len(d.open) < maxDialogs {
		d.open[said.Number] = g
	}
	return g
}

// is reports whether a dialog began with a text, brought again.
func (g *dialog) is(said Said, now purchase.Instant) bool {
	return len(g.typed) == len(typed(said.Text, code(said.Text))) && g.text == said.Text && g.mark == said.Mark && now < g.at.Add(repeatAfter)
}

// code is the service code of what was dialled: 121 of *121*7#.
func code(dialled string) string {
	first, _, _ := strings.Cut(strings.Trim(dialled, "*#"), "*")
	return first
}
