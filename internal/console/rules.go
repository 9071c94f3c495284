package console

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
)

type ruleLine struct {
	Name, Does, When, Budget, By, At string
	Version                          int
	Active                           bool
}

type rulesPage struct {
	frame
	Rules      []ruleLine
	Treatments []treatedLine
}

type treatedLine struct{ When, Rule, Case, Does, Amount string }

func (v *visit) ruleLine(r *care.Rule, names map[auth.StaffID]string) ruleLine {
	l := ruleLine{Name: r.Name, Does: v.Say("step_" + string(r.Do)), Version: r.Version, Active: r.Active, At: v.moment(r.At), By: names[r.By.Staff]}
	if r.By.Kind != care.ByStaff {
		l.By = "tenu"
	}
	var asks []string
	for _, m := range r.When.Matters {
		asks = append(asks, v.matter(m))
	}
	for _, s := range r.When.States {
		asks = append(asks, v.Say("state_"+s.String()))
	}
	if r.When.After > 0 {
		asks = append(asks, v.Say("rule_after", "Time", r.When.After.String()))
	}
	if r.When.Most > 0 {
		asks = append(asks, v.Say("rule_most", "Amount", v.amount(r.When.Most, v.cfg.Sales.Catalogue().Currency())))
	}
	if r.When.Prefer != care.PreferNone {
		asks = append(asks, v.Say("prefer_"+itoa(int(r.When.Prefer))))
	}
	if r.When.Proven {
		asks = append(asks, v.Say("rule_proven"))
	}
	l.When = strings.Join(asks, ", ")
	if r.Budget > 0 {
		l.Budget = v.amount(r.Budget, v.cfg.Sales.Catalogue().Currency())
	}
	return l
}

// rules lists the rules of automatic treatment, and what they did lately.
func (c *Console) rules(v *visit) {
	ctx := v.r.Context()
	p := &rulesPage{frame: v.frame("rules")}
	names, err := v.names()
	if err != nil {
		v.fail(err)
		return
	}
	rules, err := c.cfg.Store.Rules(ctx)
	if err != nil {
		v.fail(err)
		return
	}
	for i := range rules {
		p.Rules = append(p.Rules, v.ruleLine(&rules[i], names))
	}
	done, err := c.cfg.Store.Treatments(ctx, "", 50)
	if err != nil {
		v.fail(err)
		return
	}
	for i := range done {
		p.Treatments = append(p.Treatments, v.treatedLine(&done[i]))
	}
	v.show(http.StatusOK, "rules", p)
}

func (v *visit) treatedLine(t *care.Treatment) treatedLine {
	l := treatedLine{v.moment(t.At), t.Rule, v.cfg.Care.CaseReference(t.Case), v.Say("step_" + string(t.Do)), ""}
	if t.Amount > 0 {
		l.Amount = v.amount(t.Amount, v.cfg.Sales.Catalogue().Currency())
	}
	return l
}

type rulePage struct {
	frame
	Rule     care.Rule
	Fresh    bool
	After    string
	Prefer   int
	Versions []ruleLine
	Matters  []option
	States   []option
	Steps    []choice
	Dry      *care.DryRun
	DryCost  string
	Would    []treatedLine
	Days     int
}

type option struct {
	Code, Name string
	On         bool
}

// ruleOf is the newest version of the rule that the address names, or a new one.
func (v *visit) ruleOf() (care.Rule, []care.Rule, bool, error) {
	name, err := url.PathUnescape(v.r.PathValue("rule"))
	if err != nil {
		return care.Rule{}, nil, false, care.ErrNotFound
	}
	versions, err := v.cfg.Store.RuleVersions(v.r.Context(), name)
	switch {
	case err != nil:
		return care.Rule{}, nil, false, err
	case len(versions) > 0:
		return versions[len(versions)-1], versions, false, nil
	case name != "new":
		return care.Rule{}, nil, false, care.ErrNotFound
	}
	return care.Rule{Active: true, Order: 1000, Do: care.StepSettle}, nil, true, nil
}

// rule shows one rule, its versions, and what it would do to past cases.
func (c *Console) rule(v *visit) {
	r, versions, fresh, err := v.ruleOf()
	if err != nil {
		v.fail(err)
		return
	}
	v.showRule(http.StatusOK, r, versions, fresh, "", nil)
}

func (v *visit) showRule(status int, r care.Rule, versions []care.Rule, fresh bool, wrong string, dry *care.DryRun) {
	p := &rulePage{frame: v.frame("rules"), Rule: r, Fresh: fresh, Prefer: int(r.When.Prefer), Dry: dry, Days: 30}
	p.Problem = wrong
	if r.When.After > 0 {
		p.After = r.When.After.String()
	}
	names, err := v.names()
	if err != nil {
		v.fail(err)
		return
	}
	for i := len(versions) - 1; i >= 0; i-- {
		p.Versions = append(p.Versions, v.ruleLine(&versions[i], names))
	}
	for _, m := range append(append([]purchase.Matter{}, purchase.Matters...), care.Matters...) {
		p.Matters = append(p.Matters, option{string(m), v.matter(m), contains(r.When.Matters, m)})
	}
	for _, s := range purchase.States {
		p.States = append(p.States, option{s.String(), v.Say("state_" + s.String()), contains(r.When.States, s)})
	}
	for _, s := range care.Steps {
		p.Steps = append(p.Steps, choice{string(s), v.Say("step_" + string(s))})
	}
	if dry != nil {
		p.DryCost = v.amount(dry.Amount, v.cfg.Sales.Catalogue().Currency())
		for i := range dry.Would {
			l := v.treatedLine(&dry.Would[i])
			l.Rule = dry.Would[i].Result
			p.Would = append(p.Would, l)
		}
	}
	v.show(status, "rule", p)
}

// putRule tries a rule, or keeps it as a further version.
func (c *Console) putRule(v *visit) {
	was, versions, fresh, err := v.ruleOf()
	if err != nil {
		v.fail(err)
		return
	}
	r := v.ruleForm(was, fresh)
	if v.form("step") == "try" {
		dry, err := c.cfg.Care.Try(v.r.Context(), r, v.Now.Add(-30*24*time.Hour))
		if err != nil {
			v.fail(err)
			return
		}
		v.showRule(http.StatusOK, r, versions, fresh, "", &dry)
		return
	}
	if version, err := strconv.Atoi(v.form("version")); err == nil {
		r.Version = version
	}
	var refusal *care.Refusal
	switch kept, err := c.cfg.Care.PutRule(v.r.Context(), v.who, r); {
	case errors.As(err, &refusal):
		v.showRule(http.StatusUnprocessableEntity, r, versions, fresh, v.why(refusal.Why, 0), nil)
	case errors.Is(err, care.ErrStale):
		v.showRule(http.StatusConflict, r, versions, fresh, v.Say("changed"), nil)
	case err != nil:
		v.fail(err)
	default:
		v.see("/rules/" + url.PathEscape(kept.Name) + "?done=saved")
	}
}

// ruleForm is a rule as it was sent.
func (v *visit) ruleForm(was care.Rule, fresh bool) care.Rule {
	r := care.Rule{Name: was.Name, Version: was.Version, Do: care.Step(v.form("do")), Active: v.form("active") != ""}
	if fresh {
		r.Name = v.form("name")
	}
	// What is no number is below zero, which no rule may hold.
	number := func(name string) int64 {
		n, err := strconv.ParseInt(cmp.Or(v.form(name), "0"), 10, 64)
		if err != nil {
			return -1
		}
		return n
	}
	r.Order, r.Amount, r.Budget, r.When.Most = int(number("order")), number("amount"), number("budget"), number("most")
	r.When.Proven = v.form("proven") != ""
	if n := number("prefer"); n > 0 && n <= int64(care.PreferMoney) {
		r.When.Prefer = care.Preference(n)
	}
	r.When.After = -1
	if d, err := time.ParseDuration(cmp.Or(v.form("after"), "0")); err == nil {
		r.When.After = d
	}
	for _, m := range v.r.PostForm["matter"] {
		r.When.Matters = append(r.When.Matters, purchase.Matter(m))
	}
	for _, s := range purchase.States {
		if contains(v.r.PostForm["state"], s.String()) {
			r.When.States = append(r.When.States, s)
		}
	}
	return r
}

type macrosPage struct {
	frame
	Macros []care.Macro
	Edit   bool
	Form   care.Macro // that was typed and not taken
}

// macros lists the texts that agents use again.
func (c *Console) macros(v *visit) { v.showMacros(http.StatusOK, "", care.Macro{}) }

// showMacros lists the macros; what was typed and not taken stays, as a new one.
func (v *visit) showMacros(status int, wrong string, typed care.Macro) {
	all, err := v.cfg.Store.Macros(v.r.Context())
	if err != nil {
		v.fail(err)
		return
	}
	typed.Version = 0
	for _, m := range all {
		if m.Name == typed.Name && m.Language == typed.Language {
			typed.Version = m.Version // sent again, it replaces what now is shown
		}
	}
	p := &macrosPage{v.frame("macros"), all, v.may(auth.EditMacros), typed}
	p.Problem = wrong
	v.show(status, "macros", p)
}

// The bounds of macros.
const (
	maxMacroName = 40
	maxMacroText = 300
)

// putMacro keeps a text, or removes it when it is empty.
func (c *Console) putMacro(v *visit) {
	m := care.Macro{Name: v.form("name"), Language: purchase.Language(v.form("language")), Text: v.form("text")}
	version, err := strconv.ParseInt(v.form("version"), 10, 64)
	if err != nil {
		version = 0
	}
	m.Version = version + 1
	if m.Name == "" || len(m.Name) > maxMacroName || len(m.Text) > maxMacroText || !contains(v.texts.Languages(), string(m.Language)) {
		v.showMacros(http.StatusUnprocessableEntity, v.Say("macro_wrong"), m)
		return
	}
	switch err := c.cfg.Store.PutMacro(v.r.Context(), m); {
	case errors.Is(err, care.ErrStale):
		v.showMacros(http.StatusConflict, v.Say("changed"), m)
	case err != nil:
		v.fail(err)
	default:
		v.see("/macros?done=saved")
	}
}
