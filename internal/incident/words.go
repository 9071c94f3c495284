package incident

import (
	"embed"
	"fmt"
	"io/fs"
	"strconv"

	"tenu/internal/money"
	"tenu/internal/notify/gsm7"
	"tenu/internal/phrase"
	"tenu/internal/purchase"
)

//go:embed words/*.yaml
var deskWords embed.FS

// deskStandard is the language that is spoken where another is asked for.
const deskStandard = "fr"

func loadDeskTexts() (*phrase.Texts, error) {
	dir, err := fs.Sub(deskWords, "words")
	if err != nil {
		return nil, fmt.Errorf("incident: %w", err)
	}
	texts, err := phrase.LoadTexts(deskStandard, dir)
	if err != nil {
		return nil, fmt.Errorf("incident: %w", err)
	}
	return texts, nil
}

var whatKeys = map[Dimension]string{ByProduct: "what_product", ByProvider: "what_provider", ByPayer: "what_payer", ByChannel: "what_channel", ByOperator: "what_operator",
	ByCentre: "what_centre"}

// draft writes what is said of an incident to the public, unless a person did.
func (d *Desk) draft(i *Incident) {
	if i.Worded {
		return
	}
	i.Title, i.Text = map[purchase.Language]string{}, map[purchase.Language]string{}
	for _, code := range d.texts.Languages() {
		language := purchase.Language(code)
		t := d.texts.In(code)
		what := ""
		if d.cfg.Label != nil {
			what = d.cfg.Label(i.Series, language)
		}
		if what == "" {
			what = t.Say(whatKeys[i.Series.By], "Name", i.Series.Name)
		}
		title, text := "title", "ongoing"
		switch {
		case i.Rule == RuleNotices:
			title, text = "title_notices", "ongoing_notices"
		case i.Rule == RuleSilence:
			text = "ongoing_silence"
		case i.PausedAt != 0 && i.Share < 1000:
			text = "ongoing_paused"
		}
		switch i.Status {
		case Ongoing:
		case Recovering:
			text = "recovering"
		case Resolved:
			text = "resolved"
		case Closed:
			text = "closed"
		}
		since := i.Since.Time().In(d.cfg.Location)
		i.Title[language] = t.Say(title, "What", what)
		i.Text[language] = t.Say(text, "What", what, "Date", since.Format("02/01"), "Time", since.Format("15:04"))
	}
}

// sms is a text to a customer that fits one SMS.
func (d *Desk) sms(c *Customer, key string) string {
	t := d.texts.In(string(c.Language))
	paid := c.Amount
	if c.Pending == 0 {
		paid = c.Given
	}
	by := c.ResolveBy.Time().In(d.cfg.Location)
	item := c.Product
	if d.cfg.Product != nil {
		item = d.cfg.Product(c.Product, c.Language)
	}
	mark := ""
	switch {
	case c.Case != 0 && d.cfg.CaseName != nil:
		mark = t.Say("mark_case", "Case", d.cfg.CaseName(c.Case))
	case d.cfg.Reference != nil:
		mark = t.Say("mark_purchase", "Reference", d.cfg.Reference(c.First))
	}
	return gsm7.Fit(t.Say(key, "Item", item, "Paid", money.Amount{Minor: paid, Currency: c.Currency}.String(), "Count", strconv.FormatInt(c.Purchases, 10),
		"Date", by.Format("02/01"), "Time", by.Format("15:04"), "Mark", mark))
}
