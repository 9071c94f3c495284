// Package profile holds what countries demand of whoever sells airtime and bundles: one versioned file for each country or
// union of countries, in which every limit names its source and date. Where a country publishes none, the
// file says so, and the operator's own target holds: none is invented. It knows nothing of what keeps the limits.
package profile

import (
	"embed"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"tenu/internal/yamlfile"
)

//go:embed countries/*.yaml
var countries embed.FS

// Rule names what a limit is of.
type Rule string

// The rules. What each needs beside its source is in forms.
const (
	RefundWithin      Rule = "refund_within"      // a purchase that failed, from when that is known
	PendingWithin     Rule = "pending_within"     // a purchase whose outcome is unknown, from the charge
	NoticeOfEach      Rule = "notice_of_each"     // the customer is told of every success and failure
	RestoreWithin     Rule = "restore_within"     // credit that was lost
	OverchargeWithin  Rule = "overcharge_within"  // refund of what was charged too much
	SoftwareWithin    Rule = "software_within"    // a failed recharge that software is to blame for
	NetworkWithin     Rule = "network_within"     // one that the network is to blame for
	AnswerWithin      Rule = "answer_within"      // a complaint's first answer
	ResolveWithin     Rule = "resolve_within"     // a complaint
	FeedbackWithin    Rule = "feedback_within"    // a complaint that was escalated to the regulator
	EscalatedWithin   Rule = "escalated_within"   // its resolution
	AgentWithin       Rule = "agent_within"       // the wait for somebody who answers a call
	CallbackWithin    Rule = "callback_within"    // of a call that nobody answered
	CallsAnswered     Rule = "calls_answered"     // their share of a thousand
	ComplaintCodes    Rule = "complaint_codes"    // by which complaints are counted
	Complaints        Rule = "complaints"         // how they are handled, in words
	Reporting         Rule = "reporting"          // what is reported, in words
	AccountValidity   Rule = "account_validity"   // of what was bought, in words
	UsersTold         Rule = "users_told"         // by a message, of an incident that lasts longer
	RegulatorNotified Rule = "regulator_notified" // of an incident that lasts longer, or affects as many
	SalesSuspended    Rule = "sales_suspended"    // of what is down for longer
)

// form is what a rule needs.
type form uint8

const (
	within   form = iota + 1 // Within
	words                    // Text
	share                    // PerThousand
	codes                    // Codes
	incident                 // Lasts or Customers; Within and Severity may be
)

var forms = map[Rule]form{RefundWithin: within, PendingWithin: within, NoticeOfEach: words, RestoreWithin: within, OverchargeWithin: within,
	SoftwareWithin: within, NetworkWithin: within, AnswerWithin: within, ResolveWithin: within, FeedbackWithin: within, EscalatedWithin: within,
	AgentWithin: within, CallbackWithin: within, CallsAnswered: share, ComplaintCodes: codes, Complaints: words, Reporting: words, AccountValidity: words,
	UsersTold: incident, RegulatorNotified: incident, SalesSuspended: incident}

// Limit is one rule of a country.
type Limit struct {
	Rule        Rule
	Within      time.Duration
	Lasts       time.Duration // of an incident: longer than
	Customers   int64         // of an incident: affected, at least
	Severity    string        // of an incident: at least; "" for any
	PerThousand int
	Codes       map[string]string
	Text        string
	Country     string // the file that it stands in
	Source      string
	Date        string // of the source: 2026-01-08, 2026, or "unknown"
	Draft       bool   // proposed, and not in force
	Note        string
}

// Profile is what holds in a country.
type Profile struct {
	Country string
	Version int
	Name    map[string]string // by language
	// Limits are the country's own and those of its unions, in the order of the files.
	Limits []Limit
	// None says of rules for which nothing was found, what was looked for.
	None map[Rule]string
}

// file is a file as it is written.
type file struct {
	Country string            `yaml:"country"`
	Version int               `yaml:"version"`
	Name    map[string]string `yaml:"name"`
	Unions  []string          `yaml:"unions"`
	Limits  []limit           `yaml:"limits"`
	None    map[string]string `yaml:"none"`
}

type limit struct {
	Rule        string            `yaml:"rule"`
	Within      string            `yaml:"within"`
	Lasts       string            `yaml:"lasts"`
	Customers   int64             `yaml:"customers"`
	Severity    string            `yaml:"severity"`
	PerThousand int               `yaml:"per_thousand"`
	Codes       map[string]string `yaml:"codes"`
	Text        string            `yaml:"text"`
	Source      string            `yaml:"source"`
	Date        string            `yaml:"date"`
	State       string            `yaml:"state"`
	Note        string            `yaml:"note"`
}

// Countries lists the countries and unions that there are files of.
func Countries() (names []string) {
	files, err := countries.ReadDir("countries")
	if err != nil {
		return nil // they are embedded
	}
	for _, f := range files {
		names = append(names, strings.ToUpper(strings.TrimSuffix(f.Name(), path.Ext(f.Name()))))
	}
	return names
}

// Load returns a country's profile, or an error that says which there are.
func Load(country string) (*Profile, error) {
	if !slices.Contains(Countries(), country) {
		return nil, fmt.Errorf("there is no profile of %q; there are %s", country, strings.Join(Countries(), ", "))
	}
	name := "countries/" + strings.ToLower(country) + ".yaml"
	data, err := countries.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read the profile of %s: %w", country, err)
	}
	p, unions, err := Parse(path.Base(name), data)
	if err != nil {
		return nil, err
	}
	for _, u := range unions {
		of, err := Load(u)
		if err != nil {
			return nil, fmt.Errorf("profile of %s: %w", country, err)
		}
		p.Limits = append(p.Limits, of.Limits...)
	}
	return p, nil
}

// Parse reads a file, and names the unions that the country is of. Errors name the file, the line and the key.
func Parse(name string, data []byte) (p *Profile, unions []string, err error) {
	var raw file
	at, err := yamlfile.Decode(name, data, &raw)
	if err != nil {
		return nil, nil, fmt.Errorf("profile: %w", err)
	}
	p = &Profile{Country: raw.Country, Version: raw.Version, Name: raw.Name, None: map[Rule]string{}}
	switch {
	case !countryCode.MatchString(raw.Country):
		return nil, nil, at.Errorf("country", "a code such as BF is needed")
	case raw.Version < 1:
		return nil, nil, at.Errorf("version", "counts from 1")
	case raw.Name["fr"] == "" || raw.Name["en"] == "":
		return nil, nil, at.Errorf("name", "is needed in fr and en")
	case slices.Contains(raw.Unions, raw.Country):
		return nil, nil, at.Errorf("unions", "%s is not its own", raw.Country)
	}
	for i := range raw.Limits {
		l, err := raw.Limits[i].limit()
		if err != nil {
			return nil, nil, at.Errorf(fmt.Sprintf("limits[%d]", i), "%w", err)
		}
		l.Country = raw.Country
		p.Limits = append(p.Limits, l)
	}
	for rule, why := range raw.None {
		switch {
		case forms[Rule(rule)] == 0:
			return nil, nil, at.Errorf("none", "there is no rule %q", rule)
		case why == "":
			return nil, nil, at.Errorf("none", "%s: say what was looked for", rule)
		case slices.ContainsFunc(p.Limits, func(l Limit) bool { return l.Rule == Rule(rule) }):
			return nil, nil, at.Errorf("none", "%s has a limit", rule)
		}
		p.None[Rule(rule)] = why
	}
	return p, raw.Unions, nil
}

var (
	countryCode = regexp.MustCompile(`^[A-Z]{2,8}$`)
	dated       = regexp.MustCompile(`^([0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?|unknown)$`)
)

// longest bounds a time of a limit.
const longest = 10 * 365 * 24 * time.Hour

// span reads a time, 0 for none.
func span(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d > longest {
		return 0, fmt.Errorf("%q is no time such as 30s or 24h", text)
	}
	return d, nil
}

// limit checks a limit.
func (raw *limit) limit() (l Limit, err error) {
	l = Limit{Rule: Rule(raw.Rule), Customers: raw.Customers, Severity: raw.Severity, PerThousand: raw.PerThousand, Codes: raw.Codes, Text: raw.Text,
		Source: raw.Source, Date: raw.Date, Draft: raw.State == "draft", Note: raw.Note}
	if l.Within, err = span(raw.Within); err != nil {
		return l, fmt.Errorf("within: %w", err)
	}
	if l.Lasts, err = span(raw.Lasts); err != nil {
		return l, fmt.Errorf("lasts: %w", err)
	}
	of := forms[l.Rule]
	switch {
	case of == 0:
		return l, fmt.Errorf("rule: there is no rule %q", raw.Rule)
	case raw.Source == "":
		return l, errors.New("source: who says so, and where, is needed")
	case !dated.MatchString(raw.Date):
		return l, errors.New("date: of the source, as 2026-01-08 or 2026, or unknown")
	case raw.State != "in force" && raw.State != "draft":
		return l, errors.New("state: in force or draft")
	case (l.Within != 0) != (of == within) && of != incident:
		return l, errors.New("within: does not fit the rule")
	case (l.Text != "") != (of == words):
		return l, errors.New("text: does not fit the rule")
	case (l.PerThousand != 0) != (of == share) || l.PerThousand < 0 || l.PerThousand > 1000:
		return l, errors.New("per_thousand: does not fit the rule")
	case (len(l.Codes) != 0) != (of == codes):
		return l, errors.New("codes: do not fit the rule")
	case l.Customers < 0 || (l.Lasts > 0 || l.Customers > 0) != (of == incident):
		return l, errors.New("lasts, customers: do not fit the rule")
	case l.Severity != "" && (of != incident || !slices.Contains([]string{"minor", "major", "critical"}, l.Severity)):
		return l, errors.New("severity: minor, major or critical, of an incident")
	}
	return l, nil
}

// Of returns the limits of a rule, drafts only where they are asked for.
func (p *Profile) Of(rule Rule, drafts bool) (found []Limit) {
	for _, l := range p.Limits {
		if l.Rule == rule && (drafts || !l.Draft) {
			found = append(found, l)
		}
	}
	return found
}

// Within is the shortest time that a rule gives, false where nothing is said.
func (p *Profile) Within(rule Rule, drafts bool) (l Limit, said bool) {
	for _, each := range p.Of(rule, drafts) {
		if each.Within > 0 && (!said || each.Within < l.Within) {
			l, said = each, true
		}
	}
	return l, said
}
