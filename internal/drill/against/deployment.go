package against

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// What is read of one answer at most, and how long one is waited for.
const (
	answerLimit  = 8 << 20
	answerWithin = time.Minute
)

// problem is an answer that says why not.
type problem struct {
	Status     int    `json:"status"`
	Code       string `json:"code"`
	Detail     string `json:"detail"`
	Message    string `json:"message"`
	Text       string `json:"error"` // as the sandbox has it
	RetryAfter int    `json:"retry_after"`
}

// Error is the problem in words.
func (p *problem) Error() string {
	for _, text := range []string{p.Detail, p.Message, p.Text} {
		if text != "" && p.Code != "" {
			return p.Code + ": " + text
		} else if text != "" {
			return text
		}
	}
	if p.Code != "" {
		return p.Code
	}
	return fmt.Sprintf("it answers %d %s", p.Status, http.StatusText(p.Status))
}

// server is something that answers JSON over HTTP.
type server struct {
	client *http.Client
	base   string // without a slash at its end
	key    string // "" where none is needed
}

// call makes one request and reads its answer into out, nil for no matter what. An answer
// that says why not comes back as a *problem.
func (s *server) call(ctx context.Context, method, path, once string, body, out any) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	var text io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("write request: %w", err)
		}
		text = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, method, s.base+path, text)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	if s.key != "" {
		request.Header.Set("Authorization", "Bearer "+s.key)
	}
	if once != "" {
		request.Header.Set("Idempotency-Key", once)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := s.client.Do(request)
	if err != nil {
		return fmt.Errorf("reach %s: %w", s.base, err)
	}
	defer func() { _ = response.Body.Close() }() // it was only read
	answer, err := io.ReadAll(io.LimitReader(response.Body, answerLimit))
	switch {
	case err != nil:
		return fmt.Errorf("read the answer of %s: %w", s.base, err)
	case response.StatusCode >= http.StatusMultipleChoices:
		p := &problem{}
		_ = json.Unmarshal(answer, p) // of another kind, it says nothing but its status
		p.Status = response.StatusCode
		return p
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("read the answer of %s%s: %w", s.base, path, err)
	}
	return nil
}

// deployment is what an installation says of itself.
type deployment struct {
	Version       string             `json:"version"`
	Test          bool               `json:"test"`
	Status        string             `json:"status"`
	DeliverWithin int64              `json:"deliver_within_ms"`
	Expected      int64              `json:"expected_ms"`
	Partners      []deployedPartner  `json:"partners"`
	products      map[string]product // by code
}

type deployedPartner struct {
	Name     string `json:"name"`
	Role     string `json:"role"`
	Control  string `json:"control"`
	Lateness int64  `json:"lateness_ms"`
}

// product is something on sale.
type product struct {
	Code       string   `json:"code"`
	Kind       string   `json:"kind"`
	PayWith    []string `json:"pay_with"`
	Min        int64    `json:"min"`
	Max        int64    `json:"max"`
	Step       int64    `json:"step"`
	Paused     bool     `json:"paused"`
	PausedWith []string `json:"paused_with"`
}

// The roles of partners.
const (
	payer    = "payer"
	provider = "provider"
	centre   = "centre"
)

// deployed asks an installation what it is, and refuses every one that is not declared a
// test deployment.
func deployed(ctx context.Context, api *server) (*deployment, error) {
	u, err := url.Parse(api.base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is not the address of a deployment's API, such as http://127.0.0.1:8480", api.base)
	}
	var d deployment
	err = api.call(ctx, http.MethodGet, "/v1/deployment", "", nil, &d)
	var p *problem
	switch {
	case errors.As(err, &p) && p.Status == http.StatusUnauthorized:
		return nil, fmt.Errorf("%s does not know the API key: %w", api.base, p)
	case errors.As(err, &p) && p.Status == http.StatusForbidden:
		return nil, fmt.Errorf("the API key may not do what a drill needs (purchases:write, purchases:read, products:read): %w", p)
	case errors.As(err, &p) && p.Status == http.StatusNotFound:
		return nil, fmt.Errorf("%s does not say what it is: %w; nothing was done", api.base, ErrNoTest)
	case err != nil:
		return nil, err
	case !d.Test:
		return nil, fmt.Errorf("%s does not declare itself a test deployment (test_deployment: true in its configuration): %w; nothing was done", api.base, ErrNoTest)
	}
	var list struct {
		Products []product `json:"products"`
	}
	if err := api.call(ctx, http.MethodGet, "/v1/products", "", nil, &list); err != nil {
		return nil, fmt.Errorf("read what is on sale: %w", err)
	}
	d.products = map[string]product{}
	for _, p := range list.Products {
		d.products[p.Code] = p
	}
	return &d, nil
}

// party is one side of a purchase.
type party struct {
	Number  string `json:"number"`
	Partner string `json:"partner"`
}

type amount struct {
	Minor int64 `json:"amount"`
}

// bought is a purchase as its client sees it.
type bought struct {
	Reference string     `json:"reference"`
	State     string     `json:"state"`
	Final     bool       `json:"final"`
	Payer     party      `json:"payer"`
	Recipient party      `json:"recipient"`
	Total     amount     `json:"total"`
	Units     amount     `json:"units"`
	CreatedAt time.Time  `json:"created_at"`
	ChargedAt *time.Time `json:"charged_at"`
	ClosedAt  *time.Time `json:"closed_at"`
	Timeline  []entry    `json:"timeline"`
}

// The states that end a purchase.
const (
	credited = "credited"
	refunded = "refunded"
)

// settled reports whether a customer who paid has units or money, where the customer paid.
func (b *bought) settled() bool { return b.Final && (b.State != "declined" || b.ChargedAt == nil) }

// entry is one thing recorded about a purchase.
type entry struct {
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"`
	Leg     string    `json:"leg"`
	Outcome string    `json:"outcome"`
	Ref     string    `json:"ref"`
	Fact    string    `json:"fact"`
}

// wish is what a customer buys.
type wish struct {
	Product  string `json:"product"`
	Number   string `json:"number"`
	Payer    string `json:"payer"`
	Amount   int64  `json:"amount,omitempty"`
	PayWith  string `json:"pay_with"`
	Language string `json:"language"`
	Again    bool   `json:"again"`
}

// record is an incident as the status page has it. Its times have whole seconds.
type record struct {
	ID          string            `json:"id"`
	Status      string            `json:"status"`
	Title       map[string]string `json:"title"`
	SeenAt      time.Time         `json:"seen_at"`
	PausedAt    time.Time         `json:"paused_at"`
	RecoveredAt time.Time         `json:"recovered_at"`
	ResolvedAt  time.Time         `json:"resolved_at"`
	ClosedAt    time.Time         `json:"closed_at"`
	Affected    Affected          `json:"affected"`
}

// records reads the status page for programs.
func records(ctx context.Context, client *http.Client, address string) ([]record, error) {
	page := &server{client: client, base: strings.TrimRight(address, "/")}
	var document struct {
		Incidents []record `json:"incidents"`
	}
	if err := page.call(ctx, http.MethodGet, "/status.json", "", nil, &document); err != nil {
		return nil, fmt.Errorf("read the status page: %w", err)
	}
	return document.Incidents, nil
}
