// Package alert tells whoever receives Prometheus alerts (an Alertmanager, by its interface v2) of incidents: that one began,
// how severe it is, that it is over. It keeps what to tell in memory: the desk says again what is open when a process
// begins. It must not know a customer's number.
package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"tenu/internal/incident"
	"tenu/internal/purchase"
)

// Config is what a client is built from. URL and Clock are needed.
type Config struct {
	// URL is the Alertmanager's, as in http://alertmanager:9093; the path of its interface is added.
	URL   string
	Clock purchase.Clock
	// Labels are added to each alert, such as which installation this is.
	Labels map[string]string
	// Page is the page of an incident, "" for none. Nil: there are none.
	Page func(incident.ID) string
	// Language is that of the texts (default "en").
	Language purchase.Language
	// Transport makes the calls; http.DefaultTransport when nil.
	Transport http.RoundTripper
	// Repeat is how often what is open is told again (default 1 min), for as long as whoever keeps the record tells of it. The receiver takes an alert for over when it
	// hears nothing for four times that.
	Repeat time.Duration
}

// The bounds of a client.
const (
	callWithin = 10 * time.Second
	retryFirst = 2 * time.Second
	maxKept    = 1000
	maxAnswer  = 4096
	// forgetAfter is how many repeats nobody tells of an incident before it is forgotten: a desk tells once a minute.
	forgetAfter = 10
)

// Client tells one receiver. It is safe for concurrent use.
type Client struct {
	cfg    Config
	target string
	client *http.Client
	wake   chan struct{}

	mu    sync.Mutex
	kept  map[incident.ID]*kept
	fresh bool // something is to be told before the next repeat
	sent  purchase.Instant
	fails int
}

// kept is an incident as it was last told to the client.
type kept struct {
	incident.Alert
	former []incident.Severity // that the receiver knows it by no more
	over   bool
	heard  purchase.Instant // when the client was last told of it
}

var labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// New returns a client, or an error that says what cannot be.
func New(cfg Config) (*Client, error) {
	target, err := url.Parse(cfg.URL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("alert: its URL cannot be read: %w", err)
	case target.Scheme != "http" && target.Scheme != "https" || target.Host == "":
		return nil, errors.New("alert: its URL must begin with http:// or https:// and name a host")
	case cfg.Clock == nil:
		return nil, errors.New("alert: a clock is needed")
	}
	for name := range cfg.Labels {
		if !labelName.MatchString(name) || slices.Contains(labels, name) {
			return nil, fmt.Errorf("alert: no label can be called %q", name)
		}
	}
	if cfg.Repeat <= 0 {
		cfg.Repeat = time.Minute
	}
	if cfg.Language == "" {
		cfg.Language = "en"
	}
	return &Client{cfg: cfg, target: target.JoinPath("api/v2/alerts").String(), wake: make(chan struct{}, 1), kept: map[incident.ID]*kept{},
		client: &http.Client{Transport: cfg.Transport, Timeout: callWithin, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}, nil
}

// labels are those that tell alerts apart.
var labels = []string{"alertname", "incident", "series", "dimension", "rule", "party", "severity"}

// Tell takes in an incident as it stands. It never waits. Of more than 1000 that are open at once the rest is not told.
func (c *Client) Tell(a incident.Alert) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.kept[a.Incident.ID]
	over := a.Incident.Status >= incident.Resolved
	switch {
	case k == nil && (over && a.Event == "" || len(c.kept) >= maxKept):
		return
	case k == nil:
		k = &kept{}
		c.kept[a.Incident.ID] = k
		c.fresh = true
	case k.Incident.Version > a.Incident.Version:
		return
	}
	if was := k.Incident.Severity; was != 0 && was != a.Incident.Severity && !slices.Contains(k.former, was) {
		k.former = append(k.former, was)
	}
	k.former = slices.DeleteFunc(k.former, func(s incident.Severity) bool { return s == a.Incident.Severity })
	k.Alert, k.over, k.heard = a, over, c.cfg.Clock.Now()
	if a.Event != "" {
		c.fresh = true
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// alert is one alert as the interface has it.
type alert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

// of is an incident as alerts: one as it is, and one that ends for each severity that it had before.
func (c *Client) of(k *kept, now purchase.Instant) (all []alert) {
	i := &k.Incident
	one := func(s incident.Severity, ends purchase.Instant) alert {
		a := alert{Labels: maps.Clone(c.cfg.Labels), StartsAt: i.Since.Time(), EndsAt: max(ends, i.Since).Time()}
		if a.Labels == nil {
			a.Labels = map[string]string{}
		}
		for name, value := range map[string]string{"alertname": "TenuIncident", "incident": i.ID.String(), "series": i.Series.Name,
			"dimension": i.Series.By.String(), "rule": string(i.Rule), "party": i.Party, "severity": s.String()} {
			if value != "" {
				a.Labels[name] = value
			}
		}
		t := &k.Totals
		a.Annotations = map[string]string{"summary": i.Title[c.cfg.Language], "description": i.Text[c.cfg.Language], "status": i.Status.String(),
			"customers": strconv.FormatInt(t.Customers, 10), "purchases": strconv.FormatInt(t.Purchases, 10), "pending": strconv.FormatInt(t.Pending, 10)}
		if c.cfg.Page != nil {
			a.GeneratorURL = c.cfg.Page(i.ID)
		}
		return a
	}
	ends := now.Add(4 * c.cfg.Repeat)
	if k.over {
		if ends = now; i.ResolvedAt != 0 {
			ends = i.ResolvedAt
		}
	}
	all = append(all, one(i.Severity, ends))
	for _, s := range k.former {
		all = append(all, one(s, now))
	}
	return all
}

// Step tells the receiver what is new, and from time to time again what is open. It returns when to call it again; an error
// says that the receiver did not take it, and it is told again.
func (c *Client) Step(ctx context.Context, now purchase.Instant) (next purchase.Instant, err error) {
	c.mu.Lock()
	c.forget(now)
	if len(c.kept) == 0 || !c.fresh && now < c.sent.Add(c.cfg.Repeat) {
		defer c.mu.Unlock()
		return max(c.sent, now-1).Add(c.cfg.Repeat), nil
	}
	var all []alert
	told := make(map[incident.ID]kept, len(c.kept))
	for _, id := range slices.Sorted(maps.Keys(c.kept)) {
		all = append(all, c.of(c.kept[id], now)...)
		told[id] = *c.kept[id]
	}
	c.fresh = false
	c.mu.Unlock()

	err = c.post(ctx, all)

	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.fresh = true
		c.fails = min(c.fails+1, 16)
		return now.Add(min(retryFirst<<(c.fails-1), c.cfg.Repeat)), err
	}
	c.sent, c.fails = now, 0
	for id, was := range told {
		k := c.kept[id]
		if k == nil {
			continue
		}
		k.former = slices.DeleteFunc(slices.Clone(k.former), func(s incident.Severity) bool { return slices.Contains(was.former, s) })
		if k.over && was.over && k.Incident.Version == was.Incident.Version {
			delete(c.kept, id)
		}
	}
	if c.fresh {
		return now, nil
	}
	return now.Add(c.cfg.Repeat), nil
}

// forget drops what nobody told of for long: another node keeps the record now, and tells of it, and of its end. A
// node that went on would keep the alert open for ever.
func (c *Client) forget(now purchase.Instant) {
	for id, k := range c.kept {
		if !k.over && now > k.heard.Add(forgetAfter*max(c.cfg.Repeat, time.Minute)) {
			delete(c.kept, id)
		}
	}
}

// post sends alerts.
func (c *Client) post(ctx context.Context, all []alert) error {
	body, err := json.Marshal(all)
	if err != nil {
		return fmt.Errorf("write alerts: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.target, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("tell of incidents: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := c.client.Do(r)
	if err != nil {
		return fmt.Errorf("tell of incidents: %w", err)
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxAnswer)) // only to say what is wrong
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("tell of incidents: the receiver answered %s: %s", answer.Status, strings.ToValidUTF8(string(text), ""))
	}
	return nil
}

// Run tells until ctx ends. What goes wrong is told to failed, and tried again.
func (c *Client) Run(ctx context.Context, failed func(error)) {
	for ctx.Err() == nil {
		now := c.cfg.Clock.Now()
		next, err := c.Step(ctx, now)
		wake := c.wake
		if err != nil && ctx.Err() == nil {
			failed(err)
			wake = nil // a receiver that is down is not asked more often for that
		}
		select {
		case <-ctx.Done():
		case <-c.cfg.Clock.After(max(next.Sub(c.cfg.Clock.Now()), 0)):
		case <-wake:
		}
	}
}
