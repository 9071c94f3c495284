package main

import (
	"context"
	"log/slog"
	"net/url"
	"time"

	"tenu/internal/purchase"
	"tenu/internal/telemetry"
	"tenu/internal/voice/centre"
)

// tracesConfig is where spans are sent, and of how much of what happens.
type tracesConfig struct {
	Endpoint string   `yaml:"endpoint"`
	Sample   *float64 `yaml:"sample"`
}

// sampled is the part that is traced where the configuration does not say.
const sampled = 0.01

func (c *config) checkTraces() error {
	t := &c.Traces
	if part := t.Sample; part != nil && !(*part > 0 && *part <= 1) { // NaN is neither
		return c.file.Errorf("traces.sample", "must be above 0 and at most 1")
	}
	if t.Endpoint == "" {
		return nil
	}
	u, err := url.Parse(t.Endpoint)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return c.file.Errorf("traces.endpoint", "must be an address such as http://127.0.0.1:4318/v1/traces, without user, query and fragment")
	}
	return nil
}

// tracing is a node's traces, nil where there are none.
type tracing struct {
	traces    *telemetry.Traces
	reference func(purchase.ID) purchase.Reference
}

// buildTraces begins the traces, of partners' calls among them.
func (n *node) buildTraces(keys *purchase.Keyring) (err error) {
	t := &n.cfg.Traces
	if t.Endpoint == "" {
		return nil
	}
	part := sampled
	if t.Sample != nil {
		part = *t.Sample
	}
	n.reference = keys.Reference
	n.traces, err = telemetry.NewTraces(telemetry.TracesConfig{Endpoint: t.Endpoint, Sample: part, Version: version, Node: n.cfg.Node, Log: n.log,
		Chance: n.app.uint64, Clock: n.app.clock})
	if err != nil {
		return usage(n.cfg.file.Errorf("traces", "%w", err))
	}
	for i := range n.parts.members {
		n.parts.members[i].Partner = n.traces.Partner(n.parts.members[i].Partner)
	}
	return nil
}

// traceCall tells of a call of the line that is over.
func (n *node) traceCall(c *centre.Call) {
	if n.traces == nil {
		return
	}
	about := purchase.Reference("")
	if c.Purchase != 0 {
		about = n.reference(c.Purchase)
	}
	attrs := []slog.Attr{slog.String("call", c.ID), slog.String("trunk", c.Trunk)}
	if c.Number != 0 {
		attrs = append(attrs, slog.Any("number", c.Number))
	}
	n.traces.Call(string(c.Release), about, c.At, c.Ended, attrs...)
}

// tracesWithin is how long the last spans may take to be sent.
const tracesWithin = 3 * time.Second

// endTraces sends the last spans. That a collector does not take them is no failure of the node.
func (n *node) endTraces() {
	ctx, cancel := context.WithTimeout(context.Background(), tracesWithin)
	defer cancel()
	if err := n.traces.Stop(ctx); err != nil {
		n.log.Warn("the last spans are not sent", slog.Any("error", err))
	}
}
