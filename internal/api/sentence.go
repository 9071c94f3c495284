package api

import (
	"embed"
	"fmt"
	"io/fs"

	"tenu/internal/phrase"
	"tenu/internal/purchase"
)

//go:embed phrases/*.yaml
var phrases embed.FS

// sentences say where a purchase stands, in its language.
type sentences struct{ book *phrase.Book }

func loadSentences() (sentences, error) {
	dir, err := fs.Sub(phrases, "phrases")
	if err != nil {
		return sentences{}, fmt.Errorf("sentences: %w", err)
	}
	book, err := phrase.Load(phrase.Schema{Default: "fr", Phrases: map[string][]string{"charging": nil,
		"crediting_airtime": nil, "crediting_bundle": nil, "credited_airtime": nil, "credited_bundle": nil,
		"refunding": nil, "refunded": nil, "declined": nil, "unanswered": nil}}, dir)
	return sentences{book}, err
}

func (s sentences) of(p *purchase.Purchase) string {
	key := p.State.String()
	switch p.State {
	case purchase.Crediting, purchase.Credited:
		if p.Bundle {
			key += "_bundle"
		} else {
			key += "_airtime"
		}
	case purchase.Declined:
		// Of a payer that never answered, "nothing was taken" would be a guess.
		if p.Opened.Has(purchase.MatterUnknownCharge) {
			key = "unanswered"
		}
	case purchase.Charging, purchase.Refunding, purchase.Refunded:
	}
	return s.book.In(string(p.Language))[key].Text()
}
