package sandbox

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
)

// showMovement finds a movement, draws the query's faults and shows it.
func (c *walletCall) showMovement(find func(context.Context) (Movement, error), show func(Movement) any) {
	m, err := find(c.r.Context())
	if err != nil && !errors.Is(err, ErrNoEntry) {
		c.broken(err)
		return
	}
	if !c.draw("query", m.Number) {
		return
	}
	if err != nil {
		c.fail(errUnknown)
		return
	}
	c.reply(http.StatusOK, show(m))
}

// showTransaction is GET /transactions/{transactionReference}.
func (l *Wallet) showTransaction(c *walletCall) {
	c.showMovement(func(ctx context.Context) (Movement, error) {
		m, err := l.book.Movement(ctx, c.r.PathValue("reference"))
		if err == nil && m.Leg == legUndo {
			err = ErrNoEntry // the wallet's own affair
		}
		return m, err
	}, func(m Movement) any { return l.transaction(m) })
}

// showRequestState is GET /requeststates/{serverCorrelationId}.
func (l *Wallet) showRequestState(c *walletCall) {
	c.showMovement(func(ctx context.Context) (Movement, error) { return l.byServerID(ctx, c.r.PathValue("id")) },
		func(m Movement) any { return l.requestState(m, c.now) })
}

// showResponse is GET /responses/{clientCorrelationId}: a link to what the
// request became, or to its state while it waits or when it failed.
func (l *Wallet) showResponse(c *walletCall) {
	c.showMovement(func(ctx context.Context) (Movement, error) {
		list, err := l.book.ByKey(ctx, strings.ToLower(c.r.PathValue("id")))
		if err != nil || len(list) == 0 {
			return Movement{}, errors.Join(err, emptyIs(len(list), err))
		}
		return list[0], nil
	}, func(m Movement) any {
		link := "/transactions/" + m.Ref
		if m.Status == StatusPending || m.Status == StatusFailed {
			link = "/requeststates/" + l.serverID(m.Seq)
		}
		return struct {
			Link string `json:"link"`
		}{link}
	})
}

// holder returns the account's number that the path names, and draws the
// faults of the operation.
func (c *walletCall) holder() (string, bool) {
	kind, id := c.r.PathValue("identifierType"), c.r.PathValue("identifier")
	config := &c.wallet.config
	problem := errUnknown
	switch {
	case kind == config.MerchantKey && id == config.Merchant:
		problem = nil
	case kind == "msisdn":
		id, problem = number([]walletParty{{kind, id}})
	}
	if problem != nil {
		c.fail(problem)
		return "", false
	}
	return id, c.draw("account", id)
}

// showBalance is GET /accounts/{identifierType}/{identifier}/balance.
func (l *Wallet) showBalance(c *walletCall) {
	id, ok := c.holder()
	if !ok {
		return
	}
	currency := string(l.config.Currency)
	a, err := l.account(c.r.Context(), l.book.View, id, currency, c.now)
	if err != nil {
		c.broken(err)
		return
	}
	c.reply(http.StatusOK, walletBalance{Status: a.Status, Current: decimal(a.Balance, currency), Available: decimal(a.Balance, currency),
		Reserved: decimal(0, currency), Uncleared: decimal(0, currency), Currency: currency})
}

// showStatus is GET /accounts/{identifierType}/{identifier}/status.
func (l *Wallet) showStatus(c *walletCall) {
	id, ok := c.holder()
	if !ok {
		return
	}
	a, err := l.account(c.r.Context(), l.book.View, id, string(l.config.Currency), c.now)
	if err != nil {
		c.broken(err)
		return
	}
	c.reply(http.StatusOK, struct {
		Status string `json:"accountStatus"`
	}{a.Status})
}

// showHistory is GET /accounts/{identifierType}/{identifier}/transactions,
// newest first.
func (l *Wallet) showHistory(c *walletCall) {
	limit, err := queryInt(c.r, "limit", 50, pageLimit)
	offset, err2 := queryInt(c.r, "offset", 0, 1<<40)
	if errors.Join(err, err2) != nil {
		c.fail(errOffset)
		return
	}
	id, ok := c.holder()
	if !ok {
		return
	}
	list, err := l.book.ByNumber(c.r.Context(), id, int(offset), int(limit))
	if err != nil {
		c.broken(err)
		return
	}
	transactions := []*walletTransaction{}
	for _, m := range list {
		transactions = append(transactions, l.transaction(m))
	}
	c.reply(http.StatusOK, transactions)
}

// showHeartbeat is GET /heartbeat.
func (l *Wallet) showHeartbeat(c *walletCall) {
	const restored = 5 * time.Minute
	c.hits = l.faults.Draw("heartbeat", "")
	beat := walletHeartbeat{Status: available}
	switch {
	case c.hits.Has(LoseRequest):
		cut()
	case c.hits.Has(Outage):
		beat = walletHeartbeat{Status: "unavailable", Restored: isoTime(c.now.Add(restored))}
	case c.hits.Has(Degraded):
		beat = walletHeartbeat{Status: "degraded", Delay: 1000, Restored: isoTime(c.now.Add(restored))}
	}
	c.reply(http.StatusOK, beat)
}
