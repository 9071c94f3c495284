package status

import (
	"cmp"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"slices"
	"time"

	"tenu/internal/incident"
	"tenu/internal/purchase"
)

// The bounds of the feed.
const (
	feedItems = 60
	feedText  = 600
)

// rss is RSS 2.0 (https://www.rssboard.org/rss-specification).
type rss struct {
	XMLName xml.Name `xml:"rss"`
	Version string   `xml:"version,attr"`
	Atom    string   `xml:"xmlns:atom,attr"`
	Channel channel  `xml:"channel"`
}

type channel struct {
	Title       string   `xml:"title"`
	Link        string   `xml:"link"`
	Self        selfLink `xml:"atom:link"`
	Description string   `xml:"description"`
	Language    string   `xml:"language"`
	Built       string   `xml:"lastBuildDate,omitempty"`
	TTL         int      `xml:"ttl"` // minutes
	Items       []item   `xml:"item"`
}

type selfLink struct {
	Address string `xml:"href,attr"`
	Rel     string `xml:"rel,attr"`
	Kind    string `xml:"type,attr"`
}

type item struct {
	Title       string `xml:"title"`
	Link        string `xml:"link"`
	Description string `xml:"description"`
	Date        string `xml:"pubDate"`
	Name        name   `xml:"guid"`
	at          purchase.Instant
}

type name struct {
	Text      string `xml:",chardata"`
	Permanent bool   `xml:"isPermaLink,attr"`
}

// feed has an item for everything that happened to an incident, so that who follows it is
// told of each. It does not change while nothing happens.
func (t *tongue) feed(s *Snapshot) (File, error) {
	file := named("feed", t.Code, ".xml")
	brand := short(t.cfg.Brand, 40)
	c := channel{Title: brand + " · " + t.Say("title"), Link: t.cfg.Public + t.name("index"), Self: selfLink{t.cfg.Public + file, "self",
		"application/rss+xml"},
		Description: t.Say("title"), Language: t.Code, TTL: 1}
	for i := range s.Incidents {
		in := &s.Incidents[i]
		add := func(what, id string, at purchase.Instant) {
			c.Items = append(c.Items, item{Title: t.title(in, 120) + " · " + what, Link: t.cfg.Public + t.name(base(in.ID)),
				Description: short(said(in.Text, t.Code), feedText), Date: at.Time().Format(time.RFC1123Z), Name: name{Text: base(in.ID) + "/" + id}, at: at})
		}
		if len(in.Entries) == 0 {
			add(t.status(in.Status).Word, "0", in.SeenAt)
		}
		for j := range in.Entries {
			if e := &in.Entries[j]; public(e.Event) {
				add(t.event(e), fmt.Sprint(e.Seq), e.At)
			}
		}
	}
	slices.SortStableFunc(c.Items, func(a, b item) int { return cmp.Compare(b.at, a.at) })
	if c.Items = c.Items[:min(len(c.Items), feedItems)]; len(c.Items) > 0 {
		c.Built = c.Items[0].Date
	}
	body, err := xml.MarshalIndent(rss{Version: "2.0", Atom: "http://www.w3.org/2005/Atom", Channel: c}, "", " ")
	if err != nil {
		return File{}, fmt.Errorf("status: write %s: %w", file, err)
	}
	return File{file, "application/rss+xml; charset=utf-8", append([]byte(xml.Header), append(body, '\n')...)}, nil
}

// What status.json holds. Amounts are in minor units of the currency, times in RFC 3339.
type document struct {
	At         string              `json:"at"`
	State      string              `json:"state"`
	Currency   string              `json:"currency"`
	Components []componentDocument `json:"components"`
	Incidents  []incidentDocument  `json:"incidents"`
}

type componentDocument struct {
	By    string                       `json:"by"`
	Name  string                       `json:"name"`
	Label map[purchase.Language]string `json:"label"`
	State string                       `json:"state"`
	Days  []dayDocument                `json:"days"`
}

type dayDocument struct {
	Date     string `json:"date"`
	Measured int64  `json:"measured_s"`
	Degraded int64  `json:"degraded_s"`
	Paused   int64  `json:"paused_s"`
}

type incidentDocument struct {
	ID          string                       `json:"id"`
	Status      string                       `json:"status"`
	Title       map[purchase.Language]string `json:"title"`
	Text        map[purchase.Language]string `json:"text"`
	Since       string                       `json:"since"`
	SeenAt      string                       `json:"seen_at"`
	PausedAt    string                       `json:"paused_at,omitempty"`
	RecoveredAt string                       `json:"recovered_at,omitempty"`
	ResolvedAt  string                       `json:"resolved_at,omitempty"`
	ClosedAt    string                       `json:"closed_at,omitempty"`
	ExpectedAt  string                       `json:"expected_at,omitempty"`
	Affected    affectedDocument             `json:"affected"`
}

type affectedDocument struct {
	Customers      int64 `json:"customers"`
	Told           int64 `json:"told"`
	Purchases      int64 `json:"purchases"`
	Credited       int64 `json:"credited"`
	Refunded       int64 `json:"refunded"`
	Pending        int64 `json:"pending"`
	Amount         int64 `json:"amount"`
	AmountCredited int64 `json:"amount_credited"`
	AmountRefunded int64 `json:"amount_refunded"`
	AmountPending  int64 `json:"amount_pending"`
}

// data is the snapshot for programs.
func (s *Site) data(snap *Snapshot) (File, error) {
	d := document{At: stamp(snap.At), State: snap.state().word(), Currency: string(snap.Currency), Components: []componentDocument{},
		Incidents: []incidentDocument{}}
	for i := range snap.Components {
		c := &snap.Components[i]
		doc := componentDocument{By: c.Series.By.String(), Name: c.Series.Name, Label: c.Name, State: c.State.word(), Days: []dayDocument{}}
		for _, day := range c.Days {
			doc.Days = append(doc.Days, dayDocument{day.At.Time().In(s.cfg.Location).Format(time.DateOnly), int64(day.Measured / time.Second),
				int64(day.Degraded / time.Second), int64(day.Paused / time.Second)})
		}
		d.Components = append(d.Components, doc)
	}
	for i := range snap.Incidents {
		in := &snap.Incidents[i]
		n := &in.Totals
		d.Incidents = append(d.Incidents, incidentDocument{ID: fmt.Sprintf("I-%d", in.ID), Status: statusWord(in.Status), Title: in.Title, Text: in.Text,
			Since: stamp(in.Since), SeenAt: stamp(in.SeenAt), PausedAt: stamp(in.PausedAt), RecoveredAt: stamp(in.RecoveredAt),
			ResolvedAt: stamp(in.ResolvedAt), ClosedAt: stamp(in.ClosedAt), ExpectedAt: stamp(in.ExpectedAt),
			Affected: affectedDocument{n.Customers, n.Told, n.Purchases, n.Credited, n.Refunded, n.Pending, n.Amount, n.AmountCredited, n.AmountGiven,
				n.AmountPending}})
	}
	body, err := json.Marshal(d)
	if err != nil {
		return File{}, fmt.Errorf("status: write status.json: %w", err)
	}
	return File{"status.json", "application/json", append(body, '\n')}, nil
}

// stamp is an instant for programs, "" for never.
func stamp(at purchase.Instant) string {
	if at == 0 {
		return ""
	}
	return at.Time().Format(time.RFC3339)
}

func statusWord(s incident.Status) string {
	switch s {
	case incident.Ongoing:
		return "ongoing"
	case incident.Recovering:
		return "recovering"
	case incident.Resolved:
		return "resolved"
	case incident.Closed:
		return "closed"
	}
	return ""
}
