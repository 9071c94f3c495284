package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"tenu/internal/incident"
	"tenu/internal/purchase"
)

// subscribersAtOnce is how many subscribers' messages are kept in one transaction.
const subscribersAtOnce = 500

// announced is what was told of incidents.
type announced struct {
	told  map[string]bool // what subscribers were
	shown string          // what the status page was, in short
}

// announce writes to subscribers when an incident began and when it is over, until ctx ends, and shows on the page what other
// nodes and commands did. Each message is kept once, whatever node wrote it.
func (n *node) announce(ctx context.Context) {
	var a announced
	for ctx.Err() == nil {
		wait := announceEvery
		if err := n.announceAll(ctx, &a); err != nil && ctx.Err() == nil {
			n.log.Warn("subscribers wait for news of incidents", slog.Any("error", err))
			wait = time.Second
		}
		select {
		case <-ctx.Done():
		case <-n.news:
		case <-n.app.clock.After(wait):
		}
	}
}

const (
	announceEvery = 10 * time.Second // news of other nodes
	announceFor   = time.Hour        // how old news may be that is told
)

func (n *node) announceAll(ctx context.Context, a *announced) error {
	now := n.app.clock.Now()
	incidents, err := n.store.Incidents(ctx, incident.Query{Since: now.Add(-announceFor)})
	if err != nil {
		return fmt.Errorf("read incidents: %w", err)
	}
	told := map[string]bool{}
	var shown strings.Builder
	for _, p := range n.pauses.Pauses() {
		fmt.Fprint(&shown, p.ID, p.Share, " ")
	}
	for i := range incidents {
		fmt.Fprint(&shown, incidents[i].ID, incidents[i].Version, " ")
	}
	if a.shown != shown.String() {
		a.shown = shown.String()
		n.status.Changed()
	}
	for i := range incidents {
		in := &incidents[i]
		for _, news := range []struct {
			at   purchase.Instant
			what incident.Event
		}{{in.SeenAt, incident.EventOpened}, {in.ResolvedAt, incident.EventResolved}} {
			key := fmt.Sprint(in.ID, news.what, news.at)
			switch {
			case news.at == 0 || news.at < now.Add(-announceFor):
				continue
			case !a.told[key]:
				if err := n.announceTo(ctx, in, news.what); err != nil {
					return err
				}
			}
			told[key] = true
		}
	}
	a.told = told
	return nil
}

// announceTo keeps the messages of one piece of news.
func (n *node) announceTo(ctx context.Context, in *incident.Incident, what incident.Event) error {
	for after := purchase.MSISDN(0); ; {
		messages, err := n.subscriptions.Messages(ctx, in, what, after, subscribersAtOnce)
		if err != nil || len(messages) == 0 {
			return err
		}
		if err := n.store.Write(ctx, messages); err != nil {
			return fmt.Errorf("write to subscribers: %w", err)
		}
		after = messages[len(messages)-1].To
		n.letters.Wake()
	}
}
