// Package drill plays scenarios, such as the day of 9 July 2024, on a private
// installation with the real engine, care desk, outboxes and database, and measures what
// became of every customer. It reads scenario files, runs them through the simulation,
// and sets beside them the platform as it was: one that confirms what was merely accepted,
// sees nothing, and gives nothing back. It knows no partner's protocol.
package drill

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"tenu/internal/purchase"
	"tenu/internal/sim"
	"tenu/internal/yamlfile"
)

//go:embed scenarios/*.yaml
var shipped embed.FS

// Scenario is a day that can be played.
type Scenario struct {
	Name   string
	Title  map[string]string // by language: "fr", "en"
	Script sim.Script        // without a seed and arrivals
	// Purchases are made where nobody says how many.
	Purchases int
	Rhythm    []Weight
	AsItWas   AsItWas

	file *yamlfile.File
}

// Errorf is an error about a key of the scenario's file, such as "windows[0].faults.dropped": it
// names the file, the line and the key.
func (s *Scenario) Errorf(path, format string, args ...any) error {
	return s.file.Errorf(path, format, args...)
}

// Weight is how many purchases are made from a time on, relative to other times.
type Weight struct {
	From time.Duration // since the scenario begins
	Of   int
}

// AsItWas is what the platform as it was does about purchases that fail.
type AsItWas struct {
	Treated sim.Span // after the charge, by hand
	Kept    int      // of a thousand promised callbacks
}

// The bounds of a scenario.
const (
	MaxPurchases = 1_000_000
	maxNodes     = 4
	maxList      = 100 // entries of any list
)

// file is a scenario's file.
type file struct {
	Title      map[string]string `yaml:"title"`
	Timezone   string            `yaml:"timezone"`
	Begins     string            `yaml:"begins"`
	Ends       string            `yaml:"ends"`
	Purchases  int               `yaml:"purchases"`
	Customers  int               `yaml:"customers"`
	Nodes      int               `yaml:"nodes"`
	Rhythm     []rhythmEntry     `yaml:"rhythm"`
	Rules      rulesEntry        `yaml:"rules"`
	Partners   []partnerEntry    `yaml:"partners"`
	Windows    []windowEntry     `yaml:"windows"`
	Centre     centreEntry       `yaml:"centre"`
	Troubles   []troubleEntry    `yaml:"troubles"`
	Complaints complaintsEntry   `yaml:"complaints"`
	Line       lineEntry         `yaml:"line"`
	AsItWas    asItWasEntry      `yaml:"as_it_was"`
}

type rhythmEntry struct {
	From   string `yaml:"from"`
	Weight int    `yaml:"weight"`
}

type rulesEntry struct {
	DeliverWithin string `yaml:"deliver_within"`
	ResolveWithin string `yaml:"resolve_within"`
}

type partnerEntry struct {
	Name       string `yaml:"name"`
	Role       string `yaml:"role"`
	Share      string `yaml:"share"`
	Answers    string `yaml:"answers"`
	Declines   string `yaml:"declines"`
	Timeout    string `yaml:"timeout"`
	Idempotent *bool  `yaml:"idempotent"`
	Query      *bool  `yaml:"query"`
	Cancel     bool   `yaml:"cancel"`
	Lateness   string `yaml:"lateness"`
	AtOnce     int    `yaml:"at_once"`
}

type windowEntry struct {
	Partner string            `yaml:"partner"`
	From    string            `yaml:"from"`
	Till    string            `yaml:"till"`
	Faults  map[string]string `yaml:"faults"`
	Late    string            `yaml:"late"`
	Answers string            `yaml:"answers"`
}

type centreEntry struct {
	PerSecond int `yaml:"messages_per_second"`
}

type troubleEntry struct {
	At    string `yaml:"at"`
	What  string `yaml:"what"`
	Node  int    `yaml:"node"`
	Lasts string `yaml:"lasts"`
}

type complaintsEntry struct {
	Untold  string `yaml:"untold"`
	Told    string `yaml:"told"`
	After   string `yaml:"after"`
	Again   string `yaml:"again"`
	Times   int    `yaml:"times"`
	Phone   string `yaml:"by_phone"`
	Call    string `yaml:"wants_call"`
	Reached string `yaml:"reached"`
}

type lineEntry struct {
	Agents   int    `yaml:"agents"`
	Handling string `yaml:"handling"`
	Patience string `yaml:"patience"`
	Opens    string `yaml:"opens"`
	Closes   string `yaml:"closes"`
	Informed string `yaml:"informed"`
}

type asItWasEntry struct {
	Treated string `yaml:"treated_after"`
	Kept    string `yaml:"callbacks_kept"`
}

// Names lists the scenarios that come with tenu.
func Names() []string {
	entries, err := fs.ReadDir(shipped, "scenarios")
	if err != nil {
		return nil // they are part of the program
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return names
}

// Shipped returns the file of a scenario that comes with tenu; ok is false when there is none.
func Shipped(name string) (text []byte, ok bool) {
	text, err := shipped.ReadFile("scenarios/" + name + ".yaml")
	return text, err == nil
}

// Parse reads a scenario file. Errors name the file, the line and the key.
func Parse(name string, data []byte) (*Scenario, error) {
	r := reader{raw: file{}}
	var err error
	if r.at, err = yamlfile.Decode(name, data, &r.raw); err != nil {
		return nil, fmt.Errorf("read a scenario: %w", err)
	}
	base := name[strings.LastIndexAny(name, "/\\")+1:]
	s := &Scenario{Name: strings.TrimSuffix(base, ".yaml"), file: r.at}
	for _, part := range []func(*Scenario){r.day, r.rhythm, r.partners, r.windows, r.troubles, r.people} {
		if part(s); r.err != nil {
			return nil, fmt.Errorf("read a scenario: %w", r.err)
		}
	}
	return s, nil
}

// Arrivals are when so many customers buy: spread by the rhythm, and drawn from the seed.
func (s *Scenario) Arrivals(seed uint64, purchases int) []time.Duration {
	type piece struct {
		from, till time.Duration
		before, of float64
	}
	var pieces []piece
	sum := 0.0
	last := s.Script.Ends
	for i, w := range s.Rhythm {
		till := last
		if i+1 < len(s.Rhythm) {
			till = s.Rhythm[i+1].From
		}
		of := float64(w.Of) * (till - w.From).Seconds()
		pieces = append(pieces, piece{w.From, till, sum, of})
		sum += of
	}
	all := make([]time.Duration, purchases)
	for i := range all {
		at := (float64(i) + sim.Chance(seed, 50, uint64(i))) / float64(purchases) * sum
		k := slices.IndexFunc(pieces, func(p piece) bool { return at < p.before+p.of })
		if k < 0 { // a rounding error above the sum
			all[i] = last
			continue
		}
		p := pieces[k]
		all[i] = p.from + time.Duration((at-p.before)/p.of*float64(p.till-p.from))
	}
	return all
}

// reader reads a file until something is wrong.
type reader struct {
	at     *yamlfile.File
	raw    file
	err    error
	begins time.Time
}

// wrong notes the first error.
func (r *reader) wrong(path, format string, args ...any) {
	if r.err == nil {
		r.err = r.at.Errorf(path, format, args...)
	}
}

// day reads when it is, and for how long.
func (r *reader) day(s *Scenario) {
	raw := &r.raw
	zone, err := time.LoadLocation(orText(raw.Timezone, "Africa/Ouagadougou"))
	if err != nil {
		r.wrong("timezone", "%q is no time zone", raw.Timezone)
		return
	}
	if r.begins, err = time.ParseInLocation("2006-01-02 15:04", raw.Begins, zone); err != nil {
		r.wrong("begins", "%q is not a day and time such as \"2024-07-09 12:45\"", raw.Begins)
		return
	}
	for language := range raw.Title {
		if language != "fr" && language != "en" {
			r.wrong("title."+language, "a title is in fr or en")
		}
	}
	if raw.Title["fr"] == "" || raw.Title["en"] == "" {
		r.wrong("title", "a title in fr and en is needed")
	}
	s.Title = raw.Title
	s.Script.Begins, s.Script.Location = purchase.At(r.begins), zone
	s.Script.Ends = r.clock("ends", raw.Ends)
	s.Purchases = r.count("purchases", raw.Purchases, 20_000, MaxPurchases)
	s.Script.Customers = r.count("customers", raw.Customers, max(s.Purchases/2, 1), MaxPurchases)
	s.Script.Nodes = r.count("nodes", raw.Nodes, 2, maxNodes)
	s.Script.Messages = r.count("centre.messages_per_second", raw.Centre.PerSecond, 50, 10_000)
	rules := purchase.DefaultRules()
	rules.DeliverWithin = r.duration("rules.deliver_within", raw.Rules.DeliverWithin, rules.DeliverWithin)
	rules.ResolveWithin = r.duration("rules.resolve_within", raw.Rules.ResolveWithin, rules.ResolveWithin)
	if err := rules.Check(); r.err == nil && err != nil {
		r.wrong("rules", "%w", err)
	}
	s.Script.Rules = rules
}

// rhythm reads when customers buy.
func (r *reader) rhythm(s *Scenario) {
	if len(r.raw.Rhythm) > maxList {
		r.wrong("rhythm", "at most %d entries", maxList)
		return
	}
	some := false
	for i, e := range r.raw.Rhythm {
		path := fmt.Sprintf("rhythm[%d]", i)
		at := r.clockFrom(path+".from", e.From)
		if n := len(s.Rhythm); n > 0 && at <= s.Rhythm[n-1].From {
			r.wrong(path+".from", "%s does not come after %s", e.From, r.raw.Rhythm[i-1].From)
		}
		if at >= s.Script.Ends {
			r.wrong(path+".from", "%s does not come before the end", e.From)
		}
		if e.Weight < 0 || e.Weight > 1_000_000 {
			r.wrong(path+".weight", "must be between 0 and 1000000")
		}
		some = some || e.Weight > 0
		s.Rhythm = append(s.Rhythm, Weight{at, e.Weight})
	}
	if len(s.Rhythm) == 0 {
		s.Rhythm, some = []Weight{{0, 1}}, true
	}
	if !some {
		r.wrong("rhythm", "nobody buys anything")
	}
	if s.Rhythm[0].From > 0 {
		s.Rhythm = append([]Weight{{0, 0}}, s.Rhythm...)
	}
}

// people reads what customers do, their line, and the platform as it was.
func (r *reader) people(s *Scenario) {
	c, l := &r.raw.Complaints, &r.raw.Line
	s.Script.Habits = sim.Habits{
		Untold: r.share("complaints.untold", c.Untold, 600), Told: r.share("complaints.told", c.Told, 100),
		After: r.span("complaints.after", c.After, sim.Span{Low: 2 * time.Minute, High: 30 * time.Minute}),
		Again: r.span("complaints.again", c.Again, sim.Span{Low: 20 * time.Minute, High: 90 * time.Minute}),
		Times: r.count("complaints.times", c.Times, 4, 50), Phone: r.share("complaints.by_phone", c.Phone, 700),
		Call: r.share("complaints.wants_call", c.Call, 400), Reached: r.share("complaints.reached", c.Reached, 850)}
	s.Script.Line = sim.Line{Agents: r.count("line.agents", l.Agents, 12, 1000),
		Handling: r.span("line.handling", l.Handling, sim.Span{Low: 2 * time.Minute, High: 5 * time.Minute}),
		Patience: r.span("line.patience", l.Patience, sim.Span{Low: time.Minute, High: 4 * time.Minute}),
		Opens:    r.ofDay("line.opens", l.Opens, 0), Closes: r.ofDay("line.closes", l.Closes, 24*time.Hour),
		Informed: r.share("line.informed", l.Informed, 700)}
	if hours := s.Script.Line; r.err == nil && (hours.Opens+15*time.Minute > hours.Closes || hours.Opens%(15*time.Minute) != 0) {
		r.wrong("line.opens", "the line opens at a quarter of an hour, before it closes")
	}
	s.AsItWas = AsItWas{Treated: r.span("as_it_was.treated_after", r.raw.AsItWas.Treated, sim.Span{Low: 24 * time.Hour, High: 96 * time.Hour}),
		Kept: r.share("as_it_was.callbacks_kept", r.raw.AsItWas.Kept, 0)}
}
