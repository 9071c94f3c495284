package customer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"tenu/internal/purchase"
)

// preferences keeps what customers chose.
type preferences interface {
	// Choices returns what a number chose; the zero Choices when it chose nothing.
	Choices(ctx context.Context, number purchase.MSISDN) (Choices, error)
	// SetChoices replaces what a number chose.
	SetChoices(ctx context.Context, number purchase.MSISDN, c Choices, at purchase.Instant) error
	// Favourites returns a number's favourites by name.
	Favourites(ctx context.Context, number purchase.MSISDN) ([]Favourite, error)
	// PutFavourite keeps a favourite, and renames it if it is kept already. It returns
	// ErrFull when the number has so many others.
	PutFavourite(ctx context.Context, number purchase.MSISDN, f Favourite, at purchase.Instant, most int) error
	// DropFavourite forgets a favourite, if it is there.
	DropFavourite(ctx context.Context, number, recipient purchase.MSISDN) error
}

// ErrFull says that there is no room for another favourite.
var ErrFull = errors.New("customer: too many favourites")

// Choices are a customer's own.
type Choices struct {
	Language purchase.Language // "" when none was chosen
	// Muted are the facts that are not told by push. An SMS about money is never muted.
	Muted purchase.FactSet
}

// Favourite is a number that a customer buys for.
type Favourite struct {
	Recipient purchase.MSISDN
	Name      string
}

// The bounds of favourites.
const (
	maxFavourites = 20
	maxName       = 30 // characters
)

// Choices returns what a number chose.
func (d *Desk) Choices(ctx context.Context, number purchase.MSISDN) (Choices, error) {
	return d.cfg.Store.Choices(ctx, number)
}

// SetChoices replaces what a number chose. Durable on return.
func (d *Desk) SetChoices(ctx context.Context, number purchase.MSISDN, c Choices) error {
	if err := d.cfg.Store.SetChoices(ctx, number, c, d.cfg.Clock.Now()); err != nil {
		return fmt.Errorf("set choices: %w", err)
	}
	return nil
}

// Favourites returns a number's favourites by name.
func (d *Desk) Favourites(ctx context.Context, number purchase.MSISDN) ([]Favourite, error) {
	return d.cfg.Store.Favourites(ctx, number)
}

// PutFavourite keeps a favourite. Its name is cut to what fits. Durable on return.
func (d *Desk) PutFavourite(ctx context.Context, number purchase.MSISDN, f Favourite) error {
	f.Name = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, f.Name))
	if runes := []rune(f.Name); len(runes) > maxName {
		f.Name = string(runes[:maxName])
	}
	if err := d.cfg.Store.PutFavourite(ctx, number, f, d.cfg.Clock.Now(), maxFavourites); err != nil {
		return fmt.Errorf("keep a favourite: %w", err)
	}
	return nil
}

// DropFavourite forgets a favourite, if it is there.
func (d *Desk) DropFavourite(ctx context.Context, number, recipient purchase.MSISDN) error {
	return d.cfg.Store.DropFavourite(ctx, number, recipient)
}
