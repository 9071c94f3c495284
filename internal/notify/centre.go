package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
)

// maxAnswer bounds how much of a centre's answer is read.
const maxAnswer = 64 << 10

// SandboxCentre hands messages to the sandbox's message centre over HTTP: POST
// BASE/messages with {"id", "to", "text"}, and
// "resend" where it may have it already. It is safe for concurrent use.
type SandboxCentre struct {
	messages string
	client   *http.Client
}

// NewSandboxCentre returns a client of the centre at a base address such as
// "http://127.0.0.1:8090/sms". The client's transport keeps the connections; a
// message is never sent elsewhere because a centre says so.
func NewSandboxCentre(base string, client *http.Client) (*SandboxCentre, error) {
	address, err := url.Parse(base)
	if err != nil || address.Scheme != "http" && address.Scheme != "https" || address.Host == "" {
		return nil, fmt.Errorf("message centre: %q is not an address such as http://127.0.0.1:8090", base)
	}
	if client == nil {
		return nil, fmt.Errorf("message centre %s: an HTTP client is needed", base)
	}
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &SandboxCentre{address.JoinPath("messages").String(), &own}, nil
}

type message struct {
	ID     string `json:"id"`
	To     string `json:"to"`
	Text   string `json:"text"`
	Resend bool   `json:"resend,omitempty"`
}

// Send is Centre. Any answer of 200 to 299 means that the centre has the
// message; 400, 409, 413 and 422 that it will not take it.
func (c *SandboxCentre) Send(ctx context.Context, m Message) error {
	body, err := json.Marshal(message{m.ID, m.To.String(), m.Text, m.Resend})
	if err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.messages, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("message centre: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.client.Do(request)
	if err != nil {
		return fmt.Errorf("message centre: %w", failure(err))
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswer)) // so that the connection can be used again
	switch status := response.StatusCode; status {
	case http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return fmt.Errorf("%w: status %d", ErrRefused, status)
	default:
		if status < 200 || status > 299 {
			return fmt.Errorf("message centre: status %d", status)
		}
		return nil
	}
}

// failure is what is told of an exchange that failed: this side's words, and
// none of the centre's, which may hold a number (invariant N6).
func failure(err error) error {
	var network *net.OpError
	if errors.As(err, &network) {
		if network.Op == "dial" { // nothing has left
			return fmt.Errorf("%w: %w", ErrNotTaken, network)
		}
		return network
	}
	for _, known := range []error{context.Canceled, context.DeadlineExceeded, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, known) {
			return known
		}
	}
	if untrusted := (*tls.CertificateVerificationError)(nil); errors.As(err, &untrusted) {
		return errors.New("its certificate is not trusted")
	}
	return errors.New("its answer is not HTTP")
}
