package regulator

import (
	"maps"
	"strconv"
	"time"

	"tenu/internal/profile"
)

// LimitsOf are the limits of a country's profile, drafts too where they are asked for.
func LimitsOf(p *profile.Profile, drafts bool) *Limits {
	l := &Limits{Profile: p.Country + " " + strconv.Itoa(p.Version), Sources: map[string]profile.Limit{}}
	for _, each := range []struct {
		figure string
		rules  []profile.Rule // the first that the country has
		within *time.Duration
	}{
		{"refund_within", []profile.Rule{profile.RefundWithin}, &l.Refund},
		// Where a failed recharge is to be fixed within a time by its cause, which is not told, the longest holds.
		{"settle_within", []profile.Rule{profile.PendingWithin, profile.NetworkWithin}, &l.Settle},
		{"resolution_within", []profile.Rule{profile.ResolveWithin}, &l.Resolve},
		{"wait_within", []profile.Rule{profile.CallbackWithin}, &l.Call},
	} {
		for _, rule := range each.rules {
			if found, said := p.Within(rule, drafts); said {
				*each.within = found.Within
				l.Sources[each.figure] = found
				break
			}
		}
	}
	return l
}

// Targets are what the operator aims at by itself.
type Targets struct{ Refund, Settle, Resolve, Call time.Duration }

// Or are the limits with the operator's own targets where the country has none. Their source is empty: nobody demands them.
func (l *Limits) Or(own Targets) *Limits {
	filled := *l
	filled.Sources = maps.Clone(l.Sources)
	for _, each := range []struct {
		figure string
		limit  *time.Duration
		own    time.Duration
	}{{"refund_within", &filled.Refund, own.Refund}, {"settle_within", &filled.Settle, own.Settle}, {"resolution_within", &filled.Resolve, own.Resolve}, {"wait_within", &filled.Call, own.Call}} {
		if *each.limit == 0 && each.own > 0 {
			*each.limit = each.own
			filled.Sources[each.figure] = profile.Limit{Within: each.own}
		}
	}
	return &filled
}
