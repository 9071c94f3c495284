// Package feed answers a regulator's systems: the figures of a period as JSON, what each figure is, and the published
// months. It knows nothing of SQL, and of keys and limits.
package feed

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"tenu/internal/profile"
	"tenu/internal/purchase"
	"tenu/internal/regulator"
)

// Base is the path below which everything is.
const Base = "/regulator/v1"

// Config is what the interface is built from. All of it is needed.
type Config struct {
	Desk    *regulator.Desk
	Store   Store
	Country *profile.Profile
	Drafts  bool // limits that are proposed hold too
	Targets regulator.Targets
	Version string // of the software
}

// Store is what the interface reads itself.
type Store interface {
	PublicationFiles(ctx context.Context, month string) ([]regulator.File, error)
	PublicationFile(ctx context.Context, month, name string) (regulator.File, error)
}

// Feed answers.
type Feed struct {
	cfg         Config
	description []byte
}

// New returns the interface.
func New(cfg Config) (*Feed, error) {
	if cfg.Desk == nil || cfg.Store == nil || cfg.Country == nil {
		return nil, errors.New("feed: something that is needed is missing")
	}
	description, err := document(cfg.Version)
	if err != nil {
		return nil, err
	}
	return &Feed{cfg, description}, nil
}

// Value is a figure's.
type Value struct {
	Code   string           `json:"code"`
	Unit   regulator.Unit   `json:"unit"`
	Value  *int64           `json:"value"` // null where there is nothing to tell, or no such limit; milliseconds of a duration
	Of     *int64           `json:"of,omitempty"`
	Money  map[string]int64 `json:"money,omitempty"` // minor units by currency
	Limit  *int64           `json:"limit_ms,omitempty"`
	Source string           `json:"limit_source,omitempty"` // "" of the operator's own target
}

// Figures are those of a period.
type Figures struct {
	From    time.Time          `json:"from"`
	Till    time.Time          `json:"till"`
	Summed  time.Time          `json:"summed_till"` // what comes after still changes
	Profile string             `json:"profile"`
	Values  []Value            `json:"values"`
	Raw     *regulator.Figures `json:"figures"`
	Days    []Day              `json:"days"`
	Fixed   []CorrectionOfADay `json:"corrections"`
}

// Day is one day of a period.
type Day struct {
	Day     string             `json:"day"`
	Open    bool               `json:"open"` // not summed up yet
	Figures *regulator.Figures `json:"figures"`
}

// CorrectionOfADay is what was found out later.
type CorrectionOfADay struct {
	Day     string             `json:"day"`
	At      time.Time          `json:"at"`
	Changed []regulator.Change `json:"changed"`
}

// Figures answers GET Base/figures with from and till, days both included, or month, and profile.
func (f *Feed) Figures(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	limits, err := f.limits(q.Get("profile"))
	if err != nil {
		return refuse(w, err)
	}
	var s regulator.Span
	if month := q.Get("month"); month != "" {
		s, err = f.cfg.Desk.Month(month)
	} else {
		s, err = f.cfg.Desk.Between(q.Get("from"), q.Get("till"))
	}
	if err != nil {
		return refuse(w, err)
	}
	p, err := f.cfg.Desk.Over(r.Context(), s)
	if err != nil {
		return refuse(w, err)
	}
	answer := Figures{From: s.From.Time(), Till: s.Till.Time(), Summed: p.Summed.Time(), Profile: limits.Profile, Raw: p.Figures, Days: []Day{}, Fixed: []CorrectionOfADay{}}
	for i := range regulator.Definitions {
		answer.Values = append(answer.Values, value(&regulator.Definitions[i], p.Figures, limits))
	}
	for _, d := range p.Days {
		answer.Days = append(answer.Days, Day{d.Day, d.Open, d.Figures})
	}
	for _, c := range p.Corrections {
		answer.Fixed = append(answer.Fixed, CorrectionOfADay{c.Day, c.At.Time(), c.Changed})
	}
	return send(w, http.StatusOK, answer)
}

func (f *Feed) limits(country string) (*regulator.Limits, error) {
	if country == "" || country == f.cfg.Country.Country {
		return regulator.LimitsOf(f.cfg.Country, f.cfg.Drafts).Or(f.cfg.Targets), nil
	}
	p, err := profile.Load(country)
	if err != nil {
		return nil, regulator.ErrPeriod
	}
	return regulator.LimitsOf(p, f.cfg.Drafts), nil
}

func value(d *regulator.Definition, f *regulator.Figures, l *regulator.Limits) Value {
	v := d.Of(f, l)
	x := Value{Code: d.Code, Unit: d.Unit}
	if limit, said := l.Sources[d.Code]; said {
		ms := limit.Within.Milliseconds()
		x.Limit, x.Source = &ms, limit.Source
	}
	if v.Absent || v.Unlimited {
		return x
	}
	n := v.N
	switch d.Unit {
	case regulator.Amount:
		x.Money = map[string]int64{}
		for c, amount := range v.Money {
			x.Money[string(c)] = amount
		}
		return x
	case regulator.Duration:
		n = v.Took.Milliseconds()
	case regulator.Share:
		of := v.Of
		x.Of = &of
	case regulator.Count:
	}
	x.Value = &n
	return x
}

// Definition is what a figure is.
type Definition struct {
	Code        string            `json:"code"`
	Unit        regulator.Unit    `json:"unit"`
	Name        map[string]string `json:"name"`
	Description map[string]string `json:"description"`
	Source      string            `json:"source"`
}

// Definitions answers GET Base/definitions.
func (f *Feed) Definitions(w http.ResponseWriter, _ *http.Request) error {
	all := []Definition{}
	for i := range regulator.Definitions {
		d := &regulator.Definitions[i]
		all = append(all, Definition{d.Code, d.Unit, map[string]string{"fr": d.French, "en": d.English}, map[string]string{"fr": d.Means, "en": d.MeansInEN}, d.Source})
	}
	return send(w, http.StatusOK, all)
}

// Month is a published month.
type Month struct {
	Month     string    `json:"month"`
	Published time.Time `json:"published"`
	Version   string    `json:"version"`
	Head      string    `json:"head"`
	Profile   string    `json:"profile"`
	Digest    string    `json:"sha256"`
	Signature string    `json:"ed25519"`
	Key       string    `json:"public_key"`
	Files     []File    `json:"files"`
}

// File is one form of a published month.
type File struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Digest string `json:"sha256"`
}

// Reports answers GET Base/reports.
func (f *Feed) Reports(w http.ResponseWriter, r *http.Request) error {
	found, err := f.cfg.Desk.Publications(r.Context())
	if err != nil {
		return refuse(w, err)
	}
	all := []Month{}
	for _, p := range found {
		files, err := f.cfg.Store.PublicationFiles(r.Context(), p.Month)
		if err != nil {
			return refuse(w, err)
		}
		m := Month{p.Month, p.At.Time(), p.Version, p.Head, p.Profile, p.Digest, p.Signature, f.cfg.Desk.Key(), []File{}}
		for _, x := range files {
			m.Files = append(m.Files, File{x.Name, x.Type, x.Digest})
		}
		all = append(all, m)
	}
	return send(w, http.StatusOK, all)
}

// Report answers GET Base/reports/{month}/{file}.
func (f *Feed) Report(w http.ResponseWriter, r *http.Request) error {
	x, err := f.cfg.Store.PublicationFile(r.Context(), r.PathValue("month"), r.PathValue("file"))
	if err != nil {
		return refuse(w, err)
	}
	w.Header().Set("Content-Type", x.Type)
	w.Header().Set("ETag", `"`+x.Digest+`"`)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, err = w.Write(x.Data)
	return err
}

// problem is an RFC 9457 problem.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail,omitempty"`
}

// Refuse answers with what the API itself refuses.
func Refuse(w http.ResponseWriter, status int, code, title, detail string) error {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(problem{"about:blank", title, status, code, detail})
}

func refuse(w http.ResponseWriter, err error) error {
	switch {
	case errors.Is(err, regulator.ErrPeriod):
		return Refuse(w, http.StatusUnprocessableEntity, "period_wrong", "There is no such period or profile.", "from and till are days such as 2024-07-09, month is 2024-07; 400 days at most.")
	case errors.Is(err, regulator.ErrNotFound):
		return Refuse(w, http.StatusNotFound, "not_found", "There is no such report.", "")
	case errors.Is(err, purchase.ErrUnavailable):
		w.Header().Set("Retry-After", "5")
		return errors.Join(err, Refuse(w, http.StatusServiceUnavailable, "unavailable", "Not available at the moment.", ""))
	}
	return errors.Join(err, Refuse(w, http.StatusInternalServerError, "internal", "Something went wrong here.", ""))
}

func send(w http.ResponseWriter, status int, body any) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(body)
}
