package cgrates

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"tenu/internal/partner"
	"tenu/internal/purchase"
)

// Bounds of an answer: an account with hundreds of balances has some hundred
// thousand bytes, and some ten thousand marks.
const (
	maxAnswer = 512 << 10
	maxMarks  = 50_000 // commas, colons, opening brackets: {}, costs fifty times its size to read
)

// rpcError is an error that CGRateS itself answered, as in "NOT_FOUND".
type rpcError string

// The errors that the adapter branches on (utils/errors.go).
const (
	errNotFound rpcError = "NOT_FOUND"
	errExists   rpcError = "EXISTS"
)

// Error is the text as CGRateS wrote it, bounded.
func (e rpcError) Error() string { return string(e[:min(len(e), 160)]) }

// answered reports whether an error is CGRateS's own answer.
func answered(err error) bool {
	var own rpcError
	return errors.As(err, &own)
}

// call makes one JSON-RPC 1.0 call by HTTP POST. It returns an rpcError when
// CGRateS answered one, an error wrapping partner.ErrUnsent when nothing left,
// and any other error when the call may or may not have been executed.
func (p *Partner) call(ctx context.Context, method string, params, result any) error {
	body, err := json.Marshal(map[string]any{"id": 1, "method": method, "params": []any{params}})
	if err != nil {
		return fmt.Errorf("%w: %w", partner.ErrUnsent, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.config.URL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: %w", partner.ErrUnsent, err)
	}
	request.Header.Set("Content-Type", "application/json")
	if p.config.User != "" {
		request.SetBasicAuth(p.config.User, p.config.Password)
	}
	answer, err := partner.Exchange(p.transport, request, maxAnswer)
	if err != nil {
		return err
	}
	if answer.Status != http.StatusOK {
		return fmt.Errorf("HTTP status %d", answer.Status)
	}
	return parseAnswer(answer.Body, result)
}

// parseAnswer reads a JSON-RPC answer into result, or returns its error.
func parseAnswer(body []byte, result any) error {
	var envelope struct {
		ID     *int            `json:"id"`
		Result json.RawMessage `json:"result"`
		Error  json.RawMessage `json:"error"`
	}
	marks := 0
	for _, mark := range [][]byte{[]byte(","), []byte(":"), []byte("{"), []byte("[")} {
		marks += bytes.Count(body, mark)
	}
	if marks > maxMarks {
		return errors.New("answer of too many values")
	}
	if err := json.Unmarshal(body, &envelope); err != nil {
		return fmt.Errorf("unreadable answer: %w", err)
	}
	switch {
	case envelope.ID == nil || *envelope.ID != 1:
		return errors.New("answer to another call")
	case len(envelope.Error) > 0 && !bytes.Equal(envelope.Error, []byte("null")):
		var text string
		if err := json.Unmarshal(envelope.Error, &text); err != nil || text == "" {
			return errors.New("unreadable error in the answer")
		}
		return rpcError(text)
	case len(envelope.Result) == 0 || bytes.Equal(envelope.Result, []byte("null")):
		return errors.New("answer without a result")
	}
	if err := json.Unmarshal(envelope.Result, result); err != nil {
		return fmt.Errorf("unreadable result: %w", err)
	}
	return nil
}

// acknowledged makes a call that answers "OK" and nothing else.
func (p *Partner) acknowledged(ctx context.Context, method string, params any) error {
	var ok string
	if err := p.call(ctx, method, params, &ok); err != nil {
		return err
	}
	if ok != "OK" {
		return fmt.Errorf("%s did not answer OK", method)
	}
	return nil
}

// setActions stores the actions of a key. They are a pure function of the
// order, so those that exist are the same.
func (p *Partner) setActions(ctx context.Context, key string, actions []action) error {
	err := p.acknowledged(ctx, "APIerSv2.SetActions",
		map[string]any{"ActionsId": key, "Overwrite": false, "Actions": actions})
	if errors.Is(err, errExists) {
		return nil
	}
	return err
}

// execute asks for the stored actions of a key on an account. That it answers
// OK says only that it has ended: it skips an account that does not exist.
func (p *Partner) execute(ctx context.Context, account purchase.MSISDN, key string) error {
	return p.acknowledged(ctx, "APIerSv1.ExecuteAction",
		map[string]any{"Tenant": p.config.Tenant, "Account": accountName(account), "ActionsId": key})
}
