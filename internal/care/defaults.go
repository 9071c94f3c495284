package care

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"time"

	"tenu/internal/purchase"
	"tenu/internal/yamlfile"
)

//go:embed rules.yaml
var defaultRules []byte

// rulesFile is the file of rules.
type rulesFile struct {
	Rules []ruleEntry `yaml:"rules"`
}

type ruleEntry struct {
	Name    string   `yaml:"name"`
	Do      string   `yaml:"do"`
	Matters []string `yaml:"matters"`
	States  []string `yaml:"states"`
	Prefer  string   `yaml:"prefer"`
	After   string   `yaml:"after"`
	Most    int64    `yaml:"most"`
	Proven  bool     `yaml:"proven"`
	Amount  int64    `yaml:"amount"`
	Budget  int64    `yaml:"budget"`
}

// ParseRules reads a file of rules. Errors name the file, line and key.
func ParseRules(name string, data []byte) ([]Rule, error) {
	var raw rulesFile
	file, err := yamlfile.Decode(name, data, &raw)
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	var all []Rule
	for i := range raw.Rules {
		path := fmt.Sprintf("rules[%d]", i)
		r, key, err := raw.Rules[i].rule()
		if err == nil {
			err = r.check()
		}
		if err == nil && slices.ContainsFunc(all, func(o Rule) bool { return o.Name == r.Name }) {
			key, err = ".name", errors.New("named twice")
		}
		if err != nil {
			return nil, file.Errorf(path+key, "%w", err)
		}
		r.Order = (i + 1) * 10
		all = append(all, r)
	}
	return all, nil
}

// rule reads one entry; key is where it is wrong.
func (e *ruleEntry) rule() (r Rule, key string, err error) {
	r = Rule{Name: e.Name, Version: 1, Active: true, Do: Step(e.Do), Amount: e.Amount, Budget: e.Budget,
		When: When{Most: e.Most, Proven: e.Proven}}
	for _, m := range e.Matters {
		r.When.Matters = append(r.When.Matters, purchase.Matter(m))
	}
	for _, name := range e.States {
		i := slices.IndexFunc(purchase.States, func(s purchase.State) bool { return s.String() == name })
		if i < 0 {
			return r, ".states", fmt.Errorf("no state is called %q", name)
		}
		r.When.States = append(r.When.States, purchase.States[i])
	}
	if e.Prefer != "" {
		i := slices.Index(preferenceNames[:], e.Prefer)
		if i < 0 {
			return r, ".prefer", fmt.Errorf("%q is neither units nor money", e.Prefer)
		}
		r.When.Prefer = Preference(i) //nolint:gosec // a few names
	}
	if e.After != "" {
		if r.When.After, err = time.ParseDuration(e.After); err != nil {
			return r, ".after", fmt.Errorf("%q is not a duration such as 2m", e.After)
		}
	}
	return r, "", nil
}

// Furnish keeps the rules that an installation begins with, where it has none of that
// name. Durable on return.
func (d *Desk) Furnish(ctx context.Context) error {
	rules, err := ParseRules("the built-in rules", defaultRules)
	if err != nil {
		return err
	}
	known, err := d.store.Rules(ctx)
	if err != nil {
		return fmt.Errorf("read rules: %w", err)
	}
	for _, r := range rules {
		if slices.ContainsFunc(known, func(k Rule) bool { return k.Name == r.Name }) {
			continue
		}
		r.At, r.By = d.clock.Now(), Actor{Kind: BySystem}
		if err := d.store.AddRule(ctx, r); err != nil && !errors.Is(err, ErrStale) { // another node was faster
			return fmt.Errorf("keep rule %s: %w", r.Name, err)
		}
	}
	return nil
}
