package console

import (
	"cmp"
	"errors"
	"log/slog"
	"mime"
	"time"

	"tenu/internal/incident"
	"tenu/internal/incident/report"
	"tenu/internal/purchase"
)

// reportTries is how often a report's figures are read that change between two readings.
const reportTries = 3

// reportPage gives an incident's report as a page that needs nothing else.
func (c *Console) reportPage(v *visit) {
	v.report("html", "text/html; charset=utf-8", c.reports.HTML)
}

// reportPaper gives it as a PDF.
func (c *Console) reportPaper(v *visit) { v.report("pdf", "application/pdf", c.reports.PDF) }

// report gives a report to be kept, in the language that is asked for, or the person's.
func (v *visit) report(ending, kind string, write func(*report.Data, string) ([]byte, error)) {
	in, ok := v.incidentOf()
	if !ok {
		return
	}
	lang := v.lang
	if asked := v.query("language"); contains(v.texts.Languages(), asked) {
		lang = asked
	}
	body, err := v.written(in.ID, lang, write)
	if err != nil {
		v.fail(err)
		return
	}
	v.w.Header().Set("Content-Security-Policy", "sandbox; default-src 'none'; style-src 'unsafe-inline'")
	v.hand(body, kind, mime.FormatMediaType("attachment", map[string]string{"filename": in.ID.String() + "-" + lang + "." + ending}))
}

// written is a report whose figures agree. They are read one after the other: while things
// happen they are read again, and at last without what is read one by one.
func (v *visit) written(id incident.ID, lang string, write func(*report.Data, string) ([]byte, error)) (body []byte, err error) {
	for try := range reportTries {
		data, err := v.reported(id)
		if err != nil {
			return nil, err
		}
		if try == reportTries-1 {
			data.Minutes, data.Settled = nil, incident.Settlements{}
		}
		var disagree *report.DisagreeError
		body, err = write(data, lang)
		if err == nil || !errors.As(err, &disagree) || try == reportTries-1 {
			return body, err
		}
		v.cfg.Log.Debug("the figures of a report disagree", slog.String("incident", id.String()), slog.Any("error", err))
	}
	return nil, nil
}

// reportMost bounds the minutes of a report: a longer incident's has none.
const reportMost = 7 * 24 * time.Hour

// reportBefore is how much of the time before the first failure a report shows, to be compared with.
const reportBefore = 15 * time.Minute

// reported is what a report is made of.
func (v *visit) reported(id incident.ID) (*report.Data, error) {
	ctx := v.r.Context()
	in, err := v.cfg.Incidents.Incident(ctx, id)
	if err != nil {
		return nil, err
	}
	d := &report.Data{Brand: v.cfg.Brand, At: v.cfg.Clock.Now(), Location: v.cfg.Location, Incident: in}
	if d.Staff, err = v.names(); err != nil {
		return nil, err
	}
	if d.Entries, err = v.cfg.Record.Entries(ctx, id); err != nil {
		return nil, err
	}
	d.Series, d.Party = map[purchase.Language]string{}, map[purchase.Language]string{}
	for _, code := range v.texts.Languages() {
		other := *v
		other.lang, other.Tongue = code, v.texts.In(code)
		d.Series[purchase.Language(code)] = other.seriesName(in.Series)
		d.Party[purchase.Language(code)] = other.partyName(in.Party)
	}
	minute := purchase.Instant(time.Minute.Microseconds())
	from, till := in.Since.Add(-reportBefore)/minute*minute, v.reportTill(&in)
	var course []incident.Bucket
	if till.Sub(from) <= reportMost {
		var whole bool
		if course, whole, err = v.cfg.Incidents.Course(ctx, &in, from, till, time.Minute); err != nil {
			return nil, err
		}
		d.AffectedOnly = !whole
	}
	if d.Settled, err = v.cfg.Record.Settlements(ctx, id, report.Ends()); err != nil {
		return nil, err
	}
	if d.Totals, err = v.cfg.Record.Totals(ctx, id); err != nil {
		return nil, err
	}
	d.Currency = cmp.Or(d.Totals.Currency, v.cfg.Sales.Catalogue().Currency())
	told := report.Telling{Whom: report.Customers}
	for _, b := range course {
		d.Minutes = append(d.Minutes, report.Minute{At: b.At, Sold: b.Sold, Paid: b.Charged, Credited: b.Credited, Refunded: b.Given, Paused: b.Refused,
			Told: b.Told})
		if b.Told > 0 {
			if told.Count == 0 {
				told.First = b.At
			}
			told.Last, told.Count = b.At, told.Count+b.Told
		}
	}
	if told.Count > 0 && told.Count == d.Totals.Told {
		d.Told = append(d.Told, told)
	}
	return d, nil
}

// reportTill is the end of the time that a report is of: nothing is settled, and nobody told, once it is closed.
func (v *visit) reportTill(in *incident.Incident) purchase.Instant {
	if in.ClosedAt != 0 {
		return in.ClosedAt.Add(time.Minute)
	}
	return v.cfg.Clock.Now().Add(time.Second)
}
