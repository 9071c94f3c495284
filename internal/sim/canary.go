package sim

import (
	"context"
	"fmt"

	"tenu/internal/incident"
	"tenu/internal/money"
	"tenu/internal/purchase"
)

// canary tries what is paused, at the house's expense: what credits by a purchase for a number of ours, what only charges
// by asking after its health. It is an incident.Canary.
type canary struct {
	n     *node
	under map[string]purchase.Intent // purchases on their way, by their keys
}

// canaryNumber is no customer's.
const canaryNumber purchase.MSISDN = 22679999999

const (
	canaryClient = "canary"
	canaryValue  = 100
)

// Try is incident.Canary.
func (c *canary) Try(ctx context.Context, p incident.Pause, now purchase.Instant) (incident.ProbeResult, error) {
	switch p.Series.By {
	case incident.ByProvider, incident.ByProduct:
		return c.sell(ctx, &p, now)
	case incident.ByPayer:
		return c.askHealth(&p), nil
	case incident.ByChannel, incident.ByOperator, incident.ByCentre:
	}
	return incident.ProbeResult{Answer: incident.ProbeNone, Said: "it cannot be tried without customers"}, nil
}

// askHealth asks a partner whether it is well: a call that meets what other calls do.
func (c *canary) askHealth(p *incident.Pause) incident.ProbeResult {
	w := c.n.w
	d := w.dice(51, uint64(p.ID), uint64(p.Tries)) //nolint:gosec // counts
	switch f := w.plan.script.draw(d, p.Series.Name, w.now.Sub(w.begins), doFaults); {
	case w.honest:
	case f == NoConnection, f == RequestLost, f == ReplyLost, f == ServerError, f == Garbage, f == LateExecution:
		return incident.ProbeResult{Answer: incident.ProbeBad, Said: "it does not say that it is well"}
	}
	return incident.ProbeResult{Answer: incident.ProbeGood, Said: "it says that it is available"}
}

// sell makes the purchase, where it is not made, and tells where it stands.
func (c *canary) sell(ctx context.Context, p *incident.Pause, now purchase.Instant) (incident.ProbeResult, error) {
	n := c.n
	key := fmt.Sprintf("canary-%d-%d", p.ID, p.Tries)
	intent, begun := c.under[key]
	if !begun {
		r := purchase.Request{Client: canaryClient, ClientKey: key, Channel: canaryClient, Language: "fr", PayerNumber: canaryNumber,
			Recipient: canaryNumber, Payer: houseName, Provider: n.w.provider(), Product: "airtime", Offer: 1, Currency: money.XOF,
			Total: canaryValue, Units: canaryValue, Again: true}
		if p.Series.By == incident.ByProvider {
			r.Provider = p.Series.Name
		} else {
			r.Product, r.Bundle = p.Series.Name, p.Series.Name != "airtime"
		}
		r.Digest = digest(int(p.ID*1000+p.Tries), 0xcb)
		clear(c.under) // of pauses that ended meanwhile; whoever asks again buys the same
		c.under[key] = n.steps.Buy(ctx, r)
		return incident.ProbeResult{Said: "it is on its way"}, nil
	}
	if !intent.Settled() {
		return incident.ProbeResult{Said: "it is on its way"}, nil
	}
	made, _, err := intent.Result(ctx)
	if err != nil {
		delete(c.under, key) // the next look makes it
		return incident.ProbeResult{}, fmt.Errorf("sell a canary: %w", err)
	}
	records, err := n.w.store.of(n).Load(ctx, made.ID)
	if err != nil {
		return incident.ProbeResult{}, fmt.Errorf("load a canary: %w", err)
	}
	if len(records) == 1 {
		made = records[0].Purchase
	}
	return incident.Judge(&made, p.Series, n.w.keys.Reference(made.ID), watchExpects, now), nil
}
